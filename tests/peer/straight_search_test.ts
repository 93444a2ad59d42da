import { assert, assertEquals } from "@std/assert";
import { Race } from "../../peer/race.ts";
import { type NoWay, StraightSearch } from "../../peer/straight_search.ts";
import type { Connection } from "../../protocol/connection.ts";
import type { Mapping } from "../../protocol/mapping.ts";
import type { Reach } from "../../protocol/nat.ts";
import type { PeerInfo } from "../../protocol/rendezvous.ts";
import type { SecureConnection } from "../../protocol/secure.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { connectionPair } from "../fakes/connection_pair.ts";
import { FakeOpening, reachAt } from "../fakes/fake_opening.ts";

const RELAY = { host: "198.51.100.200", port: 8080 };

/** A search, the ports that it opens, and a relay that introduces as often as it is asked. */
class Rig implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly controller = new AbortController();
  readonly race = new Race<SecureConnection>({ clock: this.clock, signal: this.controller.signal });
  readonly openings: FakeOpening[] = [];
  /** What the peer was told with each introduction but the first. */
  readonly introduced: Reach[] = [];
  /** How the peer's NAT maps, as it tells. */
  mapping: Mapping | undefined = "independent";
  readonly search = new StraightSearch(this.race, () => {
    this.openings.push(new FakeOpening());
    return this.openings.at(-1)!;
  }, this.clock);

  get info(): PeerInfo {
    const { mapping } = this;
    const secret = new Uint8Array(16).fill(1);
    const where = { udp: ["192.168.2.10:9"], seen: ["198.51.100.2:9"], mapping };
    return { peer: "198.51.100.2:7", username: "bob", secret, ...where };
  }

  get last(): FakeOpening {
    return this.openings.at(-1)!;
  }

  /** Searches, from the first introduction on. */
  run(): Promise<NoWay | undefined> {
    return this.search.run(this.info, {
      client: { address: RELAY, localPort: 40_000 },
      introduce: (reach) => {
        this.introduced.push(reach);
        return Promise.resolve(this.info);
      },
      secure: (connection: Connection) => Promise.resolve(connection as SecureConnection),
    });
  }

  /** As far as the first try, both sides knowing all. */
  async begin(): Promise<Promise<NoWay | undefined>[]> {
    this.last.learn(reachAt(4000));
    await this.search.reach();
    const running = this.run();
    await settled();
    return [running];
  }

  /** The port opened last is known, and its try fails. */
  async failNext(port: number): Promise<void> {
    this.last.learn(reachAt(port));
    await settled();
    this.last.fail();
    await settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.search[Symbol.dispose]();
    this.race.complete();
    this.controller.abort();
    await settled();
    assertEquals(this.clock.pending, 0, "timers are left");
    assert(this.last.closed || this.last.asked, "a port is left open");
  }
}

Deno.test("StraightSearch: a way that is found joins the race, and ends the search", async () => {
  await using rig = new Rig();
  const [running] = await rig.begin();
  assertEquals(rig.last.asked?.tcp, {
    localPort: 40_000,
    remote: { host: "198.51.100.2", port: 7 },
  });
  const [near] = connectionPair();
  rig.last.succeed(near);
  assertEquals(await running, undefined);
  assertEquals((await rig.race.winner) as Connection, near);
  assertEquals([rig.openings.length, rig.introduced], [1, []]);
});

Deno.test("StraightSearch: a try that fails is followed by two from fresh ports, then people are told why", async () => {
  await using rig = new Rig();
  const [running] = await rig.begin();
  rig.last.fail();
  await settled();
  await rig.failNext(4001);
  await rig.failNext(4002);
  assertEquals(await running, { because: "no datagram came through", forGood: false });
  assertEquals(rig.introduced, [reachAt(4001), reachAt(4002)]);
  assertEquals(rig.openings.map(({ closed }) => closed), [true, true, false]);
});

Deno.test("StraightSearch: a try that took long is not followed at once", async () => {
  await using rig = new Rig();
  rig.mapping = "dependent";
  const [running] = await rig.begin();
  await rig.clock.advance(20_000);
  rig.last.fail();
  assertEquals((await running)?.forGood, false);
  assertEquals(rig.openings.length, 1);
});

Deno.test("StraightSearch: where datagrams cannot pass one try over TCP is all, and it says so", async () => {
  await using rig = new Rig();
  rig.mapping = "blocked";
  const [running] = await rig.begin();
  rig.last.fail("refused");
  const noWay = await running;
  assertEquals([noWay?.forGood, rig.openings.length], [true, 1]);
  assert(noWay!.because !== "refused", noWay!.because);
});

Deno.test("StraightSearch: what STUN says too late for the first introduction is told with the next", async () => {
  await using rig = new Rig();
  const reaching = rig.search.reach();
  await rig.clock.advance(30);
  assertEquals((await reaching).mapping, undefined);
  const running = rig.run();
  await settled();
  rig.last.learn(reachAt(4000));
  await settled();
  assertEquals([rig.introduced, rig.openings.length], [[reachAt(4000)], 1]);
  const [near] = connectionPair();
  rig.last.succeed(near);
  assertEquals(await running, undefined);
});

Deno.test("StraightSearch: a peer that does not know its network yet is asked for again", async () => {
  await using rig = new Rig();
  rig.mapping = undefined;
  const [running] = await rig.begin();
  assertEquals(rig.last.asked, undefined);
  rig.mapping = "independent";
  await rig.clock.advance(1_000);
  assertEquals([rig.introduced, rig.openings.length], [[reachAt(4000)], 1]);
  const [near] = connectionPair();
  rig.last.succeed(near);
  assertEquals(await running, undefined);
});

Deno.test("StraightSearch: a peer that never tells of its network is left alone", async () => {
  await using rig = new Rig();
  rig.mapping = undefined;
  const [running] = await rig.begin();
  await rig.clock.advance(3_000);
  assertEquals((await running)?.forGood, false);
  assertEquals([rig.openings.length, rig.last.asked], [1, undefined]);
});

Deno.test("StraightSearch: nothing is tried any more when a better way was found", async () => {
  await using rig = new Rig();
  const [running] = await rig.begin();
  const [near] = connectionPair();
  rig.race.add({
    path: "lan",
    dial: () => Promise.resolve(near as Connection as SecureConnection),
  });
  assertEquals(await running, undefined);
  assertEquals([rig.openings.length, rig.introduced], [1, []]);
});
