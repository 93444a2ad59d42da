import { assertEquals } from "@std/assert";
import { MAX_REMEMBERED_MEMBERS } from "../../protocol/limits.ts";
import { Memberships, type RememberedMember } from "../../protocol/memberships.ts";
import { member } from "../fakes/mesh_members.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const START = 1_700_000_000_000;

class Rig {
  now = START;
  memberships = new Memberships(() => this.now);

  /** The program ends, or is killed, and begins anew with what was kept. */
  restart(): void {
    const kept = this.memberships.remembered;
    this.memberships = new Memberships(() => this.now);
    this.memberships.restore(kept);
  }

  get states(): string[] {
    return this.memberships.remembered.map(({ state }) => state);
  }
}

const bob = member(1);

Deno.test("Memberships: who was lost is a member all the while, for an hour", () => {
  const rig = new Rig();
  assertEquals(rig.memberships.present(bob), { since: START, returning: false });
  rig.now += 10 * HOUR_MS;
  rig.memberships.absent(bob.key, "lost");
  rig.now += HOUR_MS - 1;
  assertEquals(rig.memberships.has(bob.key), true);
  assertEquals(rig.memberships.present(bob), { since: START, returning: true });
  rig.memberships.absent(bob.key, "lost");
  rig.now += HOUR_MS;
  assertEquals(rig.memberships.has(bob.key), false);
  assertEquals(rig.memberships.present(bob), { since: rig.now, returning: false });
});

Deno.test("Memberships: who has left is one from when it is back", () => {
  const rig = new Rig();
  rig.memberships.present(bob);
  rig.now += 1_000;
  rig.memberships.absent(bob.key, "left");
  assertEquals([rig.memberships.has(bob.key), rig.states], [false, ["left"]]);
  assertEquals(rig.memberships.present(bob), { since: rig.now, returning: false });
});

Deno.test("Memberships: a restart loses nobody; who was present is lost from when it was last noted", () => {
  const rig = new Rig();
  rig.memberships.present(bob);
  rig.now += 10 * HOUR_MS;
  rig.memberships.present(bob);
  rig.now += HOUR_MS - 1;
  rig.restart();
  assertEquals(rig.states, ["lost"]);
  assertEquals(rig.memberships.present(bob), { since: START, returning: true });
  rig.now += HOUR_MS;
  rig.restart();
  assertEquals(rig.memberships.present(bob).returning, false);
});

Deno.test("Memberships: what was kept under a clock that was ahead counts from now on", () => {
  const rig = new Rig();
  rig.memberships.present(bob);
  rig.now -= 100 * HOUR_MS;
  rig.restart();
  rig.now += HOUR_MS;
  assertEquals(rig.memberships.has(bob.key), false);
});

Deno.test("Memberships gives what has changed, once", () => {
  const rig = new Rig();
  rig.memberships.present(bob);
  rig.memberships.absent(bob.key, "lost");
  const [record, ...others] = rig.memberships.takeChanges();
  const { key, name, signingKey, addresses, relay } = bob;
  const wanted: RememberedMember = {
    key,
    name,
    signingKey,
    addresses,
    relay,
    memberSince: START,
    lastSeen: START,
    state: "lost",
  };
  assertEquals([record, others, rig.memberships.takeChanges()], [wanted, [], []]);
  rig.restart();
  assertEquals(rig.memberships.takeChanges(), []);
});

Deno.test("Memberships keeps those last seen in mind, in that order, and all who are present", () => {
  const rig = new Rig();
  rig.memberships.present(bob);
  for (let number = 0; number < MAX_REMEMBERED_MEMBERS + 10; number++) {
    rig.now += 1_000;
    const key = new Uint8Array(32).fill(5);
    new DataView(key.buffer).setUint32(0, number);
    rig.memberships.present({ ...member(5), key });
    rig.memberships.absent(key, "left");
  }
  const { remembered } = rig.memberships;
  assertEquals(remembered.length, MAX_REMEMBERED_MEMBERS + 1);
  assertEquals(remembered.at(-1)!.key, bob.key);
  assertEquals(remembered[0]!.lastSeen, rig.now);
});

Deno.test("Memberships: as many as come and go at once do not have those who stayed forgotten", () => {
  const rig = new Rig();
  rig.memberships.present(bob);
  rig.now += MINUTE_MS;
  rig.memberships.absent(bob.key, "lost");
  for (let number = 0; number < 2 * MAX_REMEMBERED_MEMBERS; number++) {
    const key = new Uint8Array(32).fill(5);
    new DataView(key.buffer).setUint32(0, number);
    rig.memberships.present({ ...member(5), key });
    rig.now += 1_000;
    rig.memberships.absent(key, "lost");
  }
  const { remembered } = rig.memberships;
  assertEquals([remembered.length, remembered[0]!.key], [MAX_REMEMBERED_MEMBERS, bob.key]);
  assertEquals(rig.memberships.present(bob), { since: START, returning: true });
});
