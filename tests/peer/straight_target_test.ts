import { assert, assertEquals } from "@std/assert";
import { StraightTarget } from "../../peer/straight_target.ts";
import type { Connection } from "../../protocol/connection.ts";
import type { Reach } from "../../protocol/nat.ts";
import type { PeerInfo } from "../../protocol/rendezvous.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { connectionPair } from "../fakes/connection_pair.ts";
import { FakeOpening, reachAt } from "../fakes/fake_opening.ts";

const RELAY = { host: "198.51.100.200", port: 8080 };
const INFO: PeerInfo = {
  peer: "203.0.113.2:7",
  username: "anna",
  udp: ["192.168.1.10:9"],
  seen: ["203.0.113.2:9"],
  mapping: "independent",
  secret: new Uint8Array(16).fill(2),
  initiator: false,
};

/** A target whose ports are known as soon as they are open. */
class Rig implements Disposable {
  readonly clock = new FakeClock();
  readonly openings: FakeOpening[] = [];
  readonly told: Reach[] = [];
  readonly taken: Connection[] = [];
  /** How our NAT maps. */
  mapping: Reach["mapping"] = "independent";
  readonly target = new StraightTarget({
    open: () => {
      const opening = new FakeOpening();
      this.openings.push(opening);
      opening.learn({ ...reachAt(4000 + this.openings.length), mapping: this.mapping });
      return opening;
    },
    relay: RELAY,
    clock: this.clock,
    register: (reach) => {
      if (reach.mapping !== undefined) this.told.push(reach);
      this.target.told(reach);
      return Promise.resolve();
    },
    take: (connection) => this.taken.push(connection),
  });

  /** Somebody asks for us, and the next port comes to stand by. */
  async introduce(changes: Partial<PeerInfo> = {}): Promise<void> {
    await settled();
    this.target.answer({ ...INFO, ...changes }, { address: RELAY, localPort: 40_000 });
    await this.clock.advance(1_000);
  }

  /** Ports from which a way is looked for. */
  get tried(): FakeOpening[] {
    return this.openings.filter(({ asked }) => asked);
  }

  [Symbol.dispose](): void {
    this.target.close();
    for (const each of this.tried) each.fail();
  }
}

Deno.test("StraightTarget: who asks is met from the port that they were told of", async () => {
  using rig = new Rig();
  await rig.introduce();
  const [first] = rig.openings;
  assertEquals(rig.told, [reachAt(4001), reachAt(4002)]);
  const { secret, peer, tcp } = first!.asked!;
  assertEquals([secret, peer.mapping], [INFO.secret, "independent"]);
  assertEquals(tcp, { localPort: 40_000, remote: { host: "203.0.113.2", port: 7 } });
  const [near] = connectionPair();
  first!.succeed(near);
  await settled();
  assertEquals(rig.taken, [near]);
});

Deno.test("StraightTarget: who tells nothing of their network does not cost a port", async () => {
  using rig = new Rig();
  await rig.introduce({ mapping: undefined });
  await rig.introduce({ secret: undefined });
  assertEquals(rig.openings.length, 1);
});

Deno.test("StraightTarget: no more than eight tries at once, one of them with many sockets", async () => {
  for (const [own, most] of [["independent", 8], ["dependent", 1]] as const) {
    using rig = new Rig();
    rig.mapping = own;
    // The first port was opened before its NAT was what this test wants it to be.
    await rig.introduce({ mapping: "blocked" });
    const before = rig.tried.length;
    rig.openings[0]!.fail();
    for (let i = 0; i < 10; i++) await rig.introduce();
    assertEquals(rig.tried.length - before, most);
    const unused = rig.openings.filter(({ asked, closed }) => !asked && closed);
    assertEquals(unused.length, 10 - most);
  }
});

Deno.test("StraightTarget: askers at whose ports is guessed leave room for others", async () => {
  using rig = new Rig();
  for (let i = 0; i < 5; i++) await rig.introduce({ mapping: "dependent" });
  assertEquals(rig.tried.length, 2);
  for (let i = 0; i < 8; i++) await rig.introduce();
  assertEquals(rig.tried.length, 8);
});

Deno.test("StraightTarget: a try that hangs is given up, and makes room", async () => {
  using rig = new Rig();
  for (let i = 0; i < 9; i++) await rig.introduce();
  assertEquals(rig.tried.length, 8);
  await rig.clock.advance(35_000);
  assert(rig.tried.every(({ asked }) => asked!.signal.aborted));
  await rig.introduce();
  assertEquals(rig.tried.length, 9);
});

Deno.test("StraightTarget: closing it ends tries, and the port that stands by", async () => {
  const rig = new Rig();
  await rig.introduce();
  rig.target.close();
  assertEquals([rig.tried[0]!.asked!.signal.aborted, rig.openings.at(-1)!.closed], [true, true]);
  await settled();
  assertEquals(rig.clock.pending, 0);
});
