import { assert, assertEquals } from "@std/assert";
import { Standby } from "../../peer/standby.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import type { Reach } from "../../protocol/nat.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { FakeOpening, reachAt } from "../fakes/fake_opening.ts";

/** A standby, the ports that it opens, and what it has the relay told. */
class Rig implements Disposable {
  readonly clock = new FakeClock();
  readonly openings: FakeOpening[] = [];
  readonly told: Reach[] = [];
  /** How often the relay was told that there is no port. */
  withdrawn = 0;
  /** Whether there is a control session. */
  connected = true;
  readonly standby = new Standby({ host: "198.51.100.200", port: 8080 }, {
    open: () => {
      this.openings.push(new FakeOpening());
      return this.openings.at(-1)!;
    },
    clock: this.clock,
    register: (reach) => {
      if (!this.connected) return Promise.reject(new UnreachableError("No relay"));
      if (reach.mapping === undefined) this.withdrawn++;
      else this.told.push(reach);
      this.standby.told(reach);
      return Promise.resolve();
    },
  });

  /** The port opened last. */
  get last(): FakeOpening {
    return this.openings.at(-1)!;
  }

  /** The port opened last comes to be known, and the relay is told. */
  async learn(port: number): Promise<FakeOpening> {
    this.last.learn(reachAt(port));
    await settled();
    return this.last;
  }

  [Symbol.dispose](): void {
    this.standby.close();
    assertEquals(this.clock.pending, 0, "timers are left");
    assert(this.last.closed || this.standby.reach === undefined, "a port is left open");
  }
}

Deno.test("Standby: the relay is told of a port when it is known, and each is used once", async () => {
  using rig = new Rig();
  assertEquals(rig.standby.use(), undefined);
  const first = await rig.learn(4000);
  assertEquals(rig.told, [reachAt(4000)]);
  assertEquals(rig.standby.use(), first);
  assertEquals(rig.standby.use(), undefined);
  // The relay must not tell others of it.
  assertEquals(rig.withdrawn, 1);
  await rig.clock.advance(1_000);
  const second = await rig.learn(4001);
  assertEquals(rig.told, [reachAt(4000), reachAt(4001)]);
  assertEquals(rig.standby.use(), second);
  assertEquals([first.closed, second.closed], [false, false]);
});

Deno.test("Standby: who asks again and again gets one port a second", async () => {
  using rig = new Rig();
  for (let i = 1; i <= 3; i++) {
    await rig.learn(4000 + i);
    assert(rig.standby.use());
    await rig.clock.advance(999);
    assertEquals(rig.openings.length, i);
    await rig.clock.advance(1);
    assertEquals(rig.openings.length, i + 1);
  }
});

Deno.test("Standby: a port of which the relay does not know is not used", async () => {
  using rig = new Rig();
  rig.connected = false;
  const port = await rig.learn(4000);
  assertEquals([rig.standby.use(), rig.standby.reach], [undefined, port.reach]);
  rig.connected = true;
  await rig.standby.tell();
  await rig.standby.tell();
  assertEquals(rig.told, [reachAt(4000)]);
  assertEquals(rig.standby.use(), port);
});

Deno.test("Standby: what the relay did not take is told it again", async () => {
  using rig = new Rig();
  rig.connected = false;
  const port = await rig.learn(4000);
  await rig.clock.advance(15_000);
  assertEquals(rig.standby.use(), undefined);
  rig.connected = true;
  await rig.clock.advance(15_000);
  assertEquals([rig.told, rig.standby.use()], [[reachAt(4000)], port]);
});

Deno.test("Standby: a port of which nothing was found out makes way for another", async () => {
  using rig = new Rig();
  const port = rig.last;
  port.learn(port.reach);
  await rig.clock.advance(16_000);
  assertEquals([rig.openings.length, port.closed], [2, true]);
  const second = await rig.learn(4000);
  assertEquals([rig.standby.use(), rig.told], [second, [reachAt(4000)]]);
});

Deno.test("Standby: a port whose mapping is lost is replaced, and the relay told", async () => {
  using rig = new Rig();
  const first = await rig.learn(4000);
  first.onChanged!();
  assertEquals([first.closed, rig.standby.use()], [true, undefined]);
  await rig.clock.advance(1_000);
  const second = await rig.learn(5000);
  assertEquals([rig.standby.use(), rig.told.at(-1)], [second, reachAt(5000)]);
  // One that is used belongs to whoever uses it.
  assertEquals(second.onChanged, undefined);
});

Deno.test("Standby: after it is closed nothing is told or opened any more", async () => {
  using rig = new Rig();
  const first = await rig.learn(4000);
  assert(rig.standby.use());
  rig.standby.close();
  await rig.clock.advance(5_000);
  assertEquals([rig.openings, rig.told.length], [[first], 1]);
});
