import { assert, assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../protocol/errors.ts";
import { type KeyedMember, memberId } from "../../protocol/member.ts";
import { Roster, type SessionFacts, type Verdict } from "../../protocol/roster.ts";
import { member } from "../fakes/mesh_members.ts";

const HOUR_MS = 3_600_000;

/** A roster of member 50, and its time. */
class Rig {
  now = 1_000;
  readonly self = member(50, { began: 5 });
  readonly banned = new Set<string>();
  readonly roster = new Roster({
    self: this.self,
    name: "alice",
    now: () => this.now,
    time: () => 1_000_000 + this.now,
    random: () => 0.5,
    banned: (key) => this.banned.has(key.toHex()),
  });

  join(id: string, who: KeyedMember, given: Partial<SessionFacts> = {}): Verdict {
    const facts = { dialled: false, sessionId: session(9), onThisMachine: false, ...given };
    return this.roster.joined(id, who, facts);
  }

  get due(): string[] {
    return this.roster.dials.due().map(({ id }) => id);
  }
}

function session(first: number): Uint8Array {
  return new Uint8Array(16).fill(first, 0, 1);
}

Deno.test("Roster keeps a session with somebody else, and none with ourselves", () => {
  const rig = new Rig();
  const bob = member(1);
  assertEquals(rig.join("s1", bob), { keep: true, since: 1_001_000, returning: false });
  assertEquals(rig.join("s2", rig.self), { keep: false });
  assert(rig.join("s3", member(50, { began: 6 })).keep, "another program of the same user");
  assertEquals(rig.roster.linked("s1").map(({ key }) => key[0]), [50]);
});

for (const [smaller, began] of [["theirs", 1], ["ours", 9]] as const) {
  Deno.test(`Roster: of two sessions the one stays whose initiator is smaller: ${smaller}`, () => {
    for (const oursFirst of [true, false]) {
      const rig = new Rig();
      const bob = member(1, { began });
      rig.join("first", bob, { dialled: oursFirst });
      const verdict = rig.join("second", bob, { dialled: !oursFirst });
      const firstStays = oursFirst === (smaller === "ours");
      if (firstStays) assertEquals(verdict, { keep: false, other: "first" });
      else assert(verdict.keep && verdict.replaces === "first");
      rig.roster.left(firstStays ? "second" : "first", "duplicate");
      assert(rig.roster.memberOf(firstStays ? "first" : "second"));
      assertEquals(rig.due, []);
    }
  });
}

Deno.test("Roster: of two sessions with the same initiator the one with the smaller id stays", () => {
  for (const dialled of [true, false]) {
    const rig = new Rig();
    rig.join("s5", member(1), { dialled, sessionId: session(5) });
    const verdict = rig.join("s7", member(1), { dialled, sessionId: session(7) });
    assertEquals(verdict, { keep: false, other: "s5" });
    const third = rig.join("s3", member(1), { dialled, sessionId: session(3) });
    assert(third.keep && third.replaces === "s5");
  }
});

Deno.test("Roster: a session that is away yields to another with the same member", () => {
  const rig = new Rig();
  rig.join("s1", member(1), { sessionId: session(1) });
  rig.roster.away("s1");
  const verdict = rig.join("s2", member(1), { sessionId: session(2) });
  assert(verdict.keep && verdict.replaces === "s1" && verdict.returning);
  rig.roster.left("s1", "lost");
  assertEquals(rig.roster.memberships.remembered.map(({ state }) => state), ["present"]);
});

Deno.test("Roster: a session that stays instead of a new one is known before, and away it is none", () => {
  const rig = new Rig();
  const bob = member(1, { began: 9 });
  const facts = { dialled: false, sessionId: session(9), onThisMachine: false };
  assertEquals(rig.roster.rivalOf("s1", bob, facts), undefined);
  rig.join("s1", bob, { dialled: true });
  assertEquals(rig.roster.rivalOf("s2", bob, facts), "s1");
  assertEquals(rig.roster.rivalOf("s2", member(1, { began: 8 }), facts), undefined);
  rig.roster.away("s1");
  assertEquals(rig.roster.rivalOf("s2", bob, facts), undefined);
});

Deno.test("Roster: who is away is dialled after 5 s, if it dialled us, and unless something waits", () => {
  const cases: [boolean, boolean, number][] = [
    [false, true, 1],
    [true, true, 0],
    [false, false, 0],
  ];
  for (const [dialled, replaceable, wanted] of cases) {
    const rig = new Rig();
    rig.join("s1", member(1), { dialled });
    rig.roster.away("s1", { replaceable });
    rig.now += 4_999;
    assertEquals(rig.due, []);
    rig.now += 1;
    assertEquals(rig.due.length, wanted);
  }
  const rig = new Rig();
  rig.join("s1", member(1));
  rig.roster.away("s1");
  rig.roster.changed("s1", { ...member(1), addresses: [{ host: "10.0.0.1", port: 1 }] });
  rig.now += 5_000;
  rig.join("s2", member(1));
  assertEquals(rig.due, [], "another session is there");
});

Deno.test("Roster: a program started anew takes the place of the one before, once that is away", () => {
  const rig = new Rig();
  const [old, anew] = [member(1, { name: "bob" }), member(1, { name: "bob", began: 7 })];
  const { names } = rig.roster;
  rig.join("old", old);
  assertEquals(names.take("old", "bob", true), { name: "bob" });
  rig.roster.away("old");
  rig.now += 5_000;
  const verdict = rig.join("anew", anew);
  assertEquals(verdict, { keep: true, replaces: "old", since: 1_001_000, returning: true });
  assertEquals(names.take("anew", "bob", true), { name: "bob" });
  rig.join("carol", member(2));
  rig.roster.told("carol", [{ ...old, addresses: [{ host: "10.0.0.1", port: 1 }] }]);
  rig.now += HOUR_MS - 1;
  assertEquals(rig.due, [], "the program before is not dialled");
  rig.now += 1;
  assertEquals(rig.due.length, 1, "unless it is told of still, an hour later");
});

Deno.test("Roster: a program started anew gets the name when the one before turns out to be away", () => {
  const rig = new Rig();
  const { names } = rig.roster;
  rig.join("old", member(1, { name: "bob" }));
  names.take("old", "bob", true);
  rig.join("anew", member(1, { name: "bob", began: 7 }));
  assertEquals(names.take("anew", "bob", true), { name: "bob-2" });
  assertEquals(rig.roster.away("anew"), undefined, "the older one is no successor");
  rig.roster.back("anew");
  assertEquals(rig.roster.away("old"), "anew");
  assertEquals([names.of("anew"), names.of("old")], ["bob", undefined]);
  rig.roster.left("old", "lost");
  assertEquals(rig.roster.memberships.remembered.map(({ state }) => state), ["present"]);
});

Deno.test("Roster: two programs of one user are both there, the second under another name", () => {
  const rig = new Rig();
  rig.join("one", member(1, { name: "bob" }));
  rig.roster.names.take("one", "bob", true);
  assertEquals(rig.join("two", member(1, { name: "bob", began: 7 })).keep, true);
  assertEquals(rig.roster.names.take("two", "bob", true), { name: "bob-2" });
  rig.roster.left("two", "goodbye");
  assertEquals(rig.roster.memberships.remembered.map(({ state }) => state), ["present"]);
  rig.roster.left("one", "goodbye");
  assertEquals(rig.roster.memberships.remembered.map(({ state }) => state), ["left"]);
});

Deno.test("Roster: the earlier of two programs that comes back does not end the other", () => {
  const rig = new Rig();
  rig.join("later", member(1, { name: "bob", began: 7 }));
  rig.roster.away("later");
  const verdict = rig.join("earlier", member(1, { name: "bob-2" }));
  assert(verdict.keep && verdict.replaces === undefined);
});

Deno.test("Roster: a program with another name is not taken for the one that is away", () => {
  const rig = new Rig();
  rig.join("one", member(1, { name: "bob" }));
  rig.roster.away("one");
  const verdict = rig.join("two", member(1, { name: "robert", began: 7 }));
  assert(verdict.keep && verdict.replaces === undefined);
});

Deno.test("Roster: who said goodbye, or was sent away, is no member and not dialled", () => {
  for (const how of ["goodbye", "sentAway"] as const) {
    const rig = new Rig();
    rig.join("bob", member(1));
    rig.join("carol", member(2));
    rig.roster.left("bob", how);
    rig.roster.told("carol", [member(1)]);
    rig.now += 10_000;
    assertEquals(rig.due, []);
    assertEquals(rig.roster.memberships.has(member(1).key), false);
    rig.join("again", member(1));
    rig.roster.left("again", "lost");
    rig.now += 4_000;
    assertEquals(rig.due, [memberId(member(1))], "it came by itself, and is a member again");
  }
});

Deno.test("Roster: who ends our only session as one too many is not dialled for two seconds", () => {
  for (const how of ["duplicate", "lost"] as const) {
    const rig = new Rig();
    rig.join("bob", member(1, { began: 9 }));
    rig.roster.left("bob", how);
    assertEquals(rig.roster.dials.nextDue(), how === "duplicate" ? 3_000 : 1_000);
  }
});

Deno.test("Roster: keys that are not let in are not dialled", () => {
  const rig = new Rig();
  rig.join("carol", member(2));
  rig.banned.add(member(1).key.toHex());
  rig.roster.told("carol", [member(1), member(3)]);
  rig.now += 10_000;
  assertEquals(rig.due, [memberId(member(3))]);
});

Deno.test("Roster: a member that changes into another is refused", () => {
  const rig = new Rig();
  rig.join("bob", member(1));
  const changed = { ...member(1), name: "robert", addresses: [{ host: "10.0.0.1", port: 1 }] };
  rig.roster.changed("bob", changed);
  assertEquals(rig.roster.memberOf("bob")?.name, "robert");
  assertThrows(() => rig.roster.changed("bob", member(1, { began: 7 })), ProtocolError);
  const signingKey = new Uint8Array(32);
  assertThrows(() => rig.roster.changed("bob", member(1, { signingKey })), ProtocolError);
});

Deno.test("Roster tells each of all others, of 64 at most, and loopback on this machine only", () => {
  const rig = new Rig();
  const here = [{ host: "127.0.0.1", port: 1 }, { host: "10.0.0.1", port: 1 }];
  rig.join("near", member(1, { addresses: here }), { onThisMachine: true });
  rig.join("near too", member(2, { addresses: here }), { onThisMachine: true });
  rig.join("far", member(3, { addresses: here }));
  const hosts = (id: string) => rig.roster.linked(id).map((each) => each.addresses.length);
  assertEquals(hosts("near"), [2, 1]);
  assertEquals(hosts("far"), [1, 1]);
  const before = rig.roster.revision;
  for (let fill = 0; fill < 70; fill++) rig.join(`s${fill}`, member(100 + fill));
  assertEquals(rig.roster.linked("near").length, 64);
  assert(rig.roster.revision > before);
});

Deno.test("Roster: who was lost is so from when its connection was, and not its session", () => {
  const rig = new Rig();
  rig.join("bob", member(1));
  rig.now += 10_000;
  rig.roster.away("bob");
  rig.now += 30_000;
  // A connection on which nobody has greeted was no return.
  rig.roster.away("bob");
  rig.now += 30_000;
  rig.roster.left("bob", "lost");
  assertEquals(rig.roster.memberships.remembered[0]!.lastSeen, 1_011_000);
});

Deno.test("Roster: a member lost for less than an hour is one all the while, and dialled", () => {
  const rig = new Rig();
  rig.join("bob", member(1));
  rig.now += 20_000;
  rig.roster.left("bob", "lost");
  rig.now += HOUR_MS - 1;
  assertEquals(rig.due, [memberId(member(1))]);
  rig.roster.dials.dialled(memberId(member(1)), "failed");
  const verdict = rig.join("bob again", member(1));
  assert(verdict.keep && verdict.returning && verdict.since === 1_001_000);
  rig.roster.left("bob again", "lost");
  rig.now += HOUR_MS;
  assertEquals(rig.due, []);
  const later = rig.join("bob later", member(1));
  assert(later.keep && !later.returning && later.since === 1_000_000 + rig.now);
});

Deno.test("Roster.hasOthers() is true for whom MEMBERS names somebody", () => {
  const rig = new Rig();
  const others = () => ["s1", "s2", "nobody"].map((id) => rig.roster.hasOthers(id));
  const named = () => ["s1", "s2", "nobody"].map((id) => rig.roster.linked(id).length > 0);
  const seen: boolean[][] = [];
  const look = () => {
    assertEquals(others(), named());
    seen.push(others());
  };
  look();
  rig.join("s1", member(1));
  look();
  rig.join("s2", member(2));
  rig.roster.away("s2");
  look();
  rig.roster.left("s2", "goodbye");
  look();
  const [none, one] = [[false, false, false], [false, true, true]];
  assertEquals(seen, [none, one, [true, true, true], one]);
});
