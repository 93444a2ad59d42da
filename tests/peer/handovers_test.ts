import { assertEquals } from "@std/assert";
import { Handovers } from "../../peer/handovers.ts";
import { FakeClock, settled } from "../fakes/clock.ts";

/** Visits of "bob 1", "bob 2" and "carol 1": they go on with who has the same name. */
function handovers(clock: FakeClock): Handovers<string> {
  return new Handovers(clock, (peer, next) => peer.split(" ")[0] === next.split(" ")[0]);
}

Deno.test("Handovers: who shows in time takes the place, and nothing is late", async () => {
  const clock = new FakeClock();
  const waiting = handovers(clock);
  const late = waiting.isLate("bob 1");
  assertEquals([waiting.size, waiting.take("carol 1")], [1, undefined]);
  await clock.advance(9_999);
  assertEquals(waiting.take("bob 2"), "bob 1");
  assertEquals([await late, waiting.size, clock.pending], [false, 0, 0]);
});

Deno.test("Handovers: who does not show within 10 s is late, and is not taken any more", async () => {
  const clock = new FakeClock();
  const waiting = handovers(clock);
  const late = waiting.isLate("bob 1");
  await clock.advance(10_000);
  assertEquals([await late, waiting.take("bob 2"), waiting.size], [true, undefined, 0]);
});

Deno.test("Handovers: of one and the same member only the last session is waited for", async () => {
  const clock = new FakeClock();
  const waiting = handovers(clock);
  const first = waiting.isLate("bob 1");
  const second = waiting.isLate("bob 2");
  assertEquals([await first, waiting.size], [false, 1]);
  assertEquals(waiting.take("bob 3"), "bob 2");
  assertEquals([await second, clock.pending], [false, 0]);
});

Deno.test("Handovers.close() waits for nobody any more", async () => {
  const clock = new FakeClock();
  const waiting = handovers(clock);
  const all = Promise.all(["bob 1", "carol 1"].map((each) => waiting.isLate(each)));
  waiting.close();
  await settled();
  assertEquals([await all, waiting.size, clock.pending], [[false, false], 0, 0]);
});
