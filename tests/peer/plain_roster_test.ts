import { assertEquals } from "@std/assert";
import { PlainRoster, type Prospect } from "../../peer/plain_roster.ts";

const MINUTE_MS = 60_000;

function at(port: number, nodeId = `node ${port}`): Prospect & { nodeId: string } {
  return { address: { host: "127.0.0.1", port }, nodeId };
}

/** A roster, the ports at which somebody is here, and the ports that are due. */
function rig() {
  const here = new Set<number>();
  const roster = new PlainRoster(({ address }) => here.has(address.port));
  const due = (now: number) => roster.due(now).map(({ address }) => address.port);
  return { roster, here, due };
}

Deno.test("PlainRoster dials who was told of when it is due, and not again for a minute", () => {
  const { roster, due } = rig();
  assertEquals([roster.wait(0), roster.pending], [undefined, false]);
  roster.told(at(1), {}, 1_000);
  roster.told(at(1, "another"), {}, 0);
  assertEquals([due(999), roster.wait(999), roster.pending], [[], 1, true]);
  assertEquals([due(1_000), roster.wait(1_000), roster.pending], [[1], undefined, true]);
  roster.over(at(1));
  assertEquals([roster.wait(1_000), roster.pending], [MINUTE_MS, false]);
  roster.told(at(1), {}, 2_000);
  assertEquals(due(1_000 + MINUTE_MS - 1), []);
  assertEquals([due(1_000 + MINUTE_MS), roster.wait(1_000 + MINUTE_MS)], [[], undefined]);
  roster.told(at(1), {}, 70_000);
  assertEquals(due(70_000), [1]);
});

Deno.test("PlainRoster does not dial who is here by then", () => {
  const { roster, here, due } = rig();
  roster.told(at(1), {}, 1_000);
  here.add(1);
  assertEquals([due(1_000), roster.wait(1_000), roster.pending], [[], undefined, false]);
});

Deno.test("PlainRoster dials whom the user named each minute in which it is not here", () => {
  const { roster, here, due } = rig();
  roster.name(at(1).address, 0);
  assertEquals([due(0), roster.pending], [[1], false]);
  roster.over(at(1));
  assertEquals(due(MINUTE_MS), [1]);
  roster.over(at(1));
  here.add(1);
  assertEquals([due(2 * MINUTE_MS), roster.wait(2 * MINUTE_MS)], [[], MINUTE_MS]);
  here.clear();
  assertEquals(due(3 * MINUTE_MS), [1]);
});

Deno.test("PlainRoster dials eight at once, and lets nobody's lists hold up another's", () => {
  const { roster, due } = rig();
  const [many, few] = [{}, {}];
  for (let port = 1; port <= 20; port++) roster.told(at(port), many, 0);
  roster.told(at(100), few, 5);
  assertEquals(due(10), [1, 100, 2, 3, 4, 5, 6, 7]);
  assertEquals(roster.wait(10), undefined);
  roster.told(at(101), few, 10);
  roster.over(at(100));
  assertEquals([due(10), roster.pending], [[101], true]);
});

Deno.test("PlainRoster keeps 64, the latest of whoever told most goes", () => {
  const { roster, due } = rig();
  const [many, few] = [{}, {}];
  for (let port = 1; port <= 100; port++) roster.told(at(port), many, 0);
  for (let port = 201; port <= 300; port++) roster.told(at(port), few, 0);
  const dialled: number[] = [];
  for (let next = due(0); next.length > 0; next = due(0)) {
    dialled.push(...next);
    for (const port of next) roster.over(at(port));
  }
  assertEquals(dialled.length, 64);
  const ofMany = dialled.filter((port) => port <= 100);
  assertEquals(ofMany.sort((a, b) => a - b), Array.from({ length: 32 }, (_, i) => i + 1));
});
