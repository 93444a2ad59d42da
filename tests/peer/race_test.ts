import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Contender, HEAD_START_MS, Race, UPGRADE_MS } from "../../peer/race.ts";
import type { Path } from "../../protocol/connection.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { connectionPair, type MemoryConnection } from "../fakes/connection_pair.ts";

/** A way that leads somewhere, or fails, when the test says so. */
class FakeWay implements Contender<MemoryConnection> {
  readonly connection = connectionPair()[0];
  readonly #answer = Promise.withResolvers<MemoryConnection>();
  dialled = 0;
  aborted = false;

  constructor(readonly path: Path) {}

  dial(signal: AbortSignal): Promise<MemoryConnection> {
    this.dialled++;
    signal.addEventListener("abort", () => {
      this.aborted = true;
      this.#answer.reject(signal.reason);
    });
    return this.#answer.promise;
  }

  arrive(): Promise<void> {
    this.#answer.resolve(this.connection);
    return settled();
  }

  fail(error = new Error("no way")): Promise<void> {
    this.#answer.reject(error);
    return settled();
  }
}

/** A way that does not heed its signal: its handshake was complete already. */
class LateWay extends FakeWay {
  override dial(): Promise<MemoryConnection> {
    return super.dial(new AbortController().signal);
  }
}

function start() {
  const clock = new FakeClock();
  const controller = new AbortController();
  const race = new Race<MemoryConnection>({ clock, signal: controller.signal });
  return { clock, controller, race };
}

/** Everything that is better, to the end of the race. */
async function drain(race: Race<MemoryConnection>): Promise<MemoryConnection[]> {
  const all: MemoryConnection[] = [];
  for await (const each of race.better) all.push(each);
  return all;
}

Deno.test("Race: all direct ways start at once, and the first one wins", async () => {
  const { clock, race } = start();
  const [slow, fast, circuit] = [new FakeWay("lan"), new FakeWay("lan"), new FakeWay("relayed")];
  race.add(slow);
  race.add(fast);
  race.addLater(circuit);
  race.complete();
  assertEquals([slow.dialled, fast.dialled, circuit.dialled], [1, 1, 0]);
  await fast.arrive();
  assertEquals(await race.winner, fast.connection);
  assert(race.over.aborted && slow.aborted);
  assertEquals(await drain(race), []);
  assertEquals([circuit.dialled, clock.pending], [0, 0]);
});

Deno.test("Race: the circuit starts after the head start, and a better way then replaces it", async () => {
  const { clock, race } = start();
  const [lan, direct, circuit] = [
    new FakeWay("lan"),
    new FakeWay("direct"),
    new FakeWay("relayed"),
  ];
  for (const way of [lan, direct]) race.add(way);
  race.addLater(circuit);
  race.complete();
  await clock.advance(HEAD_START_MS - 1);
  assertEquals(circuit.dialled, 0);
  await clock.advance(1);
  assertEquals(circuit.dialled, 1);
  await circuit.arrive();
  assertEquals(await race.winner, circuit.connection);
  assert(!race.over.aborted);
  const better = drain(race);
  await direct.arrive();
  assert(!race.over.aborted);
  await lan.arrive();
  assertEquals(await better, [direct.connection, lan.connection]);
  assert(race.over.aborted);
  assertEquals(clock.pending, 0);
});

Deno.test("Race: the circuit starts at once where no direct way is left", async () => {
  for (const count of [0, 3]) {
    const { clock, race } = start();
    const ways = Array.from({ length: count }, () => new FakeWay("lan"));
    const circuit = new FakeWay("relayed");
    for (const way of ways) race.add(way);
    race.addLater(circuit);
    race.complete();
    for (const way of ways) {
      assertEquals(circuit.dialled, 0);
      await way.fail();
    }
    assertEquals(circuit.dialled, 1);
    await circuit.arrive();
    assertEquals(await race.winner, circuit.connection);
    assert(race.over.aborted);
    assertEquals(clock.pending, 0);
  }
});

Deno.test("Race: nobody waits for a better way longer than the time for it", async () => {
  const { clock, race } = start();
  const [lan, circuit] = [new FakeWay("lan"), new FakeWay("relayed")];
  race.add(lan);
  race.addLater(circuit);
  race.complete();
  await clock.advance(HEAD_START_MS);
  await circuit.arrive();
  await clock.advance(UPGRADE_MS - 1);
  assert(!lan.aborted);
  await clock.advance(1);
  assert(lan.aborted && race.over.aborted);
  assertEquals(await drain(race), []);
  assert(!circuit.connection.closed, "the winner was closed");
});

Deno.test("Race: what arrives too late, or is no better, is closed", async () => {
  const { clock, race } = start();
  const [same, late, first] = [new LateWay("direct"), new LateWay("lan"), new FakeWay("direct")];
  for (const way of [same, late, first]) race.add(way);
  race.complete();
  await first.arrive();
  await same.arrive();
  assert(same.connection.closed && !first.connection.closed);
  await clock.advance(UPGRADE_MS);
  await late.arrive();
  assert(late.connection.closed);
  assertEquals(await drain(race), []);
  assertEquals(clock.pending, 0);
});

Deno.test("Race: if all fail it is over, and tells why each did", async () => {
  const { clock, race } = start();
  const [direct, circuit] = [new FakeWay("direct"), new FakeWay("relayed")];
  race.add(direct);
  race.addLater(circuit);
  race.complete();
  const [one, two] = [new Error("one"), new Error("two")];
  await direct.fail(one);
  await circuit.fail(two);
  await assertRejects(() => race.winner, Error, "No way was found");
  assertEquals(race.failures, [{ path: "direct", error: one }, { path: "relayed", error: two }]);
  assert(race.over.aborted);
  assertEquals(clock.pending, 0);
});

Deno.test("Race: it is not over before it is known that no more ways come", async () => {
  const { race } = start();
  const [first, second] = [new FakeWay("lan"), new FakeWay("lan")];
  race.add(first);
  await first.fail();
  assert(!race.over.aborted);
  race.add(second);
  race.complete();
  await second.arrive();
  assertEquals(await race.winner, second.connection);
});

Deno.test("Race: a way that could not be better than what there is does not start", async () => {
  const { clock, race } = start();
  const [direct, other, circuit] = [
    new FakeWay("direct"),
    new FakeWay("direct"),
    new FakeWay("relayed"),
  ];
  race.add(direct);
  await direct.arrive();
  race.add(other);
  race.addLater(circuit);
  race.complete();
  assertEquals([other.dialled, circuit.dialled, clock.pending], [0, 0, 0]);
  assert(race.over.aborted);
});

Deno.test("Race: an abort ends everything, at whatever point", async () => {
  for (const when of ["before", "during", "after"]) {
    const { clock, controller, race } = start();
    const [lan, circuit] = [new FakeWay("lan"), new FakeWay("relayed")];
    const reason = new Error("enough");
    if (when === "before") controller.abort(reason);
    race.add(lan);
    race.addLater(circuit);
    race.complete();
    if (when === "after") {
      await clock.advance(HEAD_START_MS);
      await circuit.arrive();
    }
    controller.abort(reason);
    await settled();
    if (when === "after") assertEquals(await race.winner, circuit.connection);
    else assertEquals(await race.winner.catch((error) => error), reason);
    assertEquals(lan.aborted, when !== "before");
    assert(race.over.aborted);
    assertEquals(await drain(race), []);
    assertEquals(clock.pending, 0);
  }
});
