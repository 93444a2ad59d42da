import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
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
  rig.now += 120_000;
  assertEquals(rig.due, [], "the program before is not dialled");
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

/** A side of a simulated network. */
interface Side {
  readonly self: KeyedMember;
  readonly roster: Roster;
}

/** One session, as an end of it sees it. */
interface End {
  readonly id: string;
  open: boolean;
}

/**
 * Two who are told of each other, and a network that delays each message, in order for each session
 * and direction, by what the seed says.
 */
class Two {
  now = 0;
  readonly sides: Side[];
  readonly #events: { at: number; order: number; event: () => void }[] = [];
  readonly #delay: () => number;
  #sessions = 0;
  /** Sessions open at each side, and those that were ended as one too many. */
  readonly open = [new Map<string, End>(), new Map<string, End>()];
  ended = 0;

  constructor(delays: number[], random: () => number) {
    let next = 0;
    this.#delay = () => delays[next++ % delays.length]!;
    this.sides = [member(1, { began: 3 }), member(2, { began: 3 })].map((self) => ({
      self,
      roster: new Roster({ self, name: "x", now: () => this.now, time: () => this.now, random }),
    }));
  }

  at(ms: number, event: () => void): void {
    this.#events.push({ at: this.now + ms, order: this.#events.length, event });
  }

  /** Whatever is due on a side is dialled. */
  poll(side: number): void {
    for (const { id } of this.sides[side]!.roster.dials.due()) {
      this.dial(side, () => this.sides[side]!.roster.dials.dialled(id, "ok"));
    }
  }

  dial(from: number, done = () => {}): void {
    const id = `s${this.#sessions++}`;
    const sessionId = Uint8Array.of(this.#delay(), this.#sessions);
    const to = 1 - from;
    this.at(this.#delay(), () => {
      done();
      const pipes = [new Pipe(this, this.#delay), new Pipe(this, this.#delay)];
      for (const side of [from, to]) {
        this.open[side]!.set(id, { id, open: true });
        pipes[side]!.send(() => this.#joined(1 - side, id, side === to, sessionId, pipes));
      }
    });
  }

  run(untilMs: number): void {
    while (this.now < untilMs) {
      this.#events.sort((a, b) => a.at - b.at || a.order - b.order);
      const next = this.#events[0];
      if (next && next.at <= this.now) {
        this.#events.shift();
        next.event();
      } else this.now = Math.min(untilMs, next?.at ?? untilMs, this.now + 100);
      for (const side of [0, 1]) this.poll(side);
    }
  }

  #joined(side: number, id: string, dialled: boolean, sessionId: Uint8Array, pipes: Pipe[]): void {
    if (!this.open[side]!.has(id)) return;
    const who = this.sides[1 - side]!.self;
    const facts = { dialled, sessionId, onThisMachine: false };
    this.#pipes.set(id, pipes);
    const verdict = this.sides[side]!.roster.joined(id, who, facts);
    const loser = verdict.keep ? verdict.replaces : id;
    if (loser !== undefined) this.#end(side, loser);
  }

  readonly #pipes = new Map<string, Pipe[]>();

  #end(side: number, id: string): void {
    this.ended++;
    this.open[side]!.delete(id);
    this.sides[side]!.roster.left(id, "duplicate");
    this.#pipes.get(id)![side]!.send(() => {
      if (!this.open[1 - side]!.delete(id)) return;
      this.sides[1 - side]!.roster.left(id, "duplicate");
    });
  }
}

/** One direction of a session: in order, each message after its delay. */
class Pipe {
  readonly #two: Two;
  readonly #delay: () => number;
  #last = 0;

  constructor(two: Two, delay: () => number) {
    this.#two = two;
    this.#delay = delay;
  }

  send(event: () => void): void {
    this.#last = Math.max(this.#last, this.#two.now + this.#delay());
    this.#two.at(this.#last - this.#two.now, event);
  }
}

Deno.test("Roster: two who dial each other at once are left with one session, the same for both", () => {
  const delays = fc.array(fc.integer({ min: 0, max: 250 }), { minLength: 1, maxLength: 30 });
  const dials = fc.array(
    fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ max: 400, min: 0 })),
    {
      minLength: 1,
      maxLength: 5,
    },
  );
  fc.assert(
    fc.property(delays, dials, (delays, dials) => {
      const two = new Two(delays, () => 0.5);
      for (const [side, at] of dials) two.at(at, () => two.dial(side));
      two.run(5_000);
      const [here, there] = two.open.map((open) => [...open.keys()]);
      assertEquals([here!.length, here], [1, there]);
      const linked = two.sides.map(({ roster }) => roster.memberOf(here![0]!));
      assert(linked.every((each) => each !== undefined));
      // Nothing more happens.
      const [ended, sessions] = [two.ended, here!.length];
      two.run(120_000);
      assertEquals([two.ended, two.open[0]!.size], [ended, sessions]);
    }),
    { numRuns: 500 },
  );
});
