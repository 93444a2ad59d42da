/**
 * Two members, whatever the order in which their messages arrive: after a while each has one session
 * with the other, the same one, and nothing happens any more.
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { DEAD_AFTER_MS, SESSION_HOLD_MS } from "../../protocol/limits.ts";
import type { KeyedMember } from "../../protocol/member.ts";
import { type Departure, Roster } from "../../protocol/roster.ts";
import { member } from "../fakes/mesh_members.ts";

/** Milliseconds that a message takes at most. */
const SLOWEST_MS = 250;

/** One end of a session. */
class End {
  /** When what was sent last arrives there: what is sent later does not overtake it. */
  arrives = 0;
  away = false;

  constructor(readonly side: Side, readonly sessionId: Uint8Array, readonly dialled: boolean) {}
}

/** A member, and the sessions that are open at its end. */
class Side {
  readonly open = new Map<string, End>();

  constructor(readonly self: KeyedMember, readonly roster: Roster) {}
}

class Simulation {
  now = 0;
  sides: [Side, Side];
  /** Sessions that have begun, and that were ended by a verdict. */
  begun = 0;
  ended = 0;
  readonly #delays: readonly number[];
  #taken = 0;
  #events: { at: number; order: number; event: () => void }[] = [];
  #order = 0;

  /** @param delays milliseconds that messages take, in turn, over and over */
  constructor(delays: readonly number[]) {
    this.#delays = delays;
    this.sides = [this.#start(1, 3), this.#start(2, 4)];
  }

  at(ms: number, event: () => void): void {
    this.#events.push({ at: ms, order: this.#order++, event });
  }

  /** Somebody tells a side of the other. */
  tell(to: 0 | 1): void {
    const { roster } = this.sides[to];
    const carol = { dialled: true, sessionId: new Uint8Array(16), onThisMachine: false };
    roster.joined("carol", member(3), carol);
    roster.told("carol", [this.sides[1 - to]!.self]);
  }

  /** A side dials an address, not knowing who is there. */
  dial(from: 0 | 1, done = () => {}): void {
    const [here, there] = [this.sides[from], this.sides[1 - from]!];
    const id = `session ${++this.begun}`;
    const sessionId = Uint8Array.of(this.#delay(), this.begun);
    this.at(this.now + this.#delay(), () => {
      done();
      const ends = [new End(here, sessionId, true), new End(there, sessionId, false)] as const;
      for (const end of ends) end.side.open.set(id, end);
      this.#send(ends[0], ends[1], () => this.#joined(id, ends[1], ends[0]));
      this.#send(ends[1], ends[0], () => this.#joined(id, ends[0], ends[1]));
    });
  }

  /** A side's ends are lost, without a word; the other notices when nothing comes any more. */
  lose(side: 0 | 1): void {
    const here = this.sides[side];
    for (const id of here.open.keys()) this.#over(here, id, "lost");
    const there = this.sides[1 - side]!;
    for (const [id, end] of there.open) {
      this.at(this.now + DEAD_AFTER_MS, () => {
        end.away = true;
        if (there.open.has(id) && there.roster.away(id)) there.open.delete(id);
      });
      this.at(this.now + DEAD_AFTER_MS + SESSION_HOLD_MS, () => this.#over(there, id, "lost"));
    }
  }

  /** A side's program is killed, and started anew: all that it knows is who was a member. */
  restart(side: 0 | 1): void {
    const { self, roster } = this.sides[side];
    this.lose(side);
    const anew = this.#start(self.key[0]!, self.instance[7]! + 10);
    this.sides[side] = anew;
    anew.roster.memberships.restore(roster.memberships.remembered);
    anew.roster.dials.remember(anew.roster.memberships.remembered);
  }

  run(untilMs: number): void {
    while (this.now < untilMs) {
      for (const side of [0, 1] as const) this.#poll(side);
      this.#events.sort((a, b) => a.at - b.at || a.order - b.order);
      const at = this.#events[0]?.at ?? Infinity;
      this.now = Math.max(this.now, Math.min(untilMs, at, this.now + 100));
      const due = this.#events.filter((each) => each.at <= this.now);
      this.#events = this.#events.filter((each) => each.at > this.now);
      for (const { event } of due) event();
    }
  }

  /** The sessions that are open, at each side; each is in its roster, and no other. */
  get sessions(): string[][] {
    return this.sides.map(({ open, roster }) => {
      for (const id of open.keys()) assert(roster.memberOf(id), `${id} is in the roster`);
      return [...open.keys()];
    });
  }

  #start(fill: number, began: number): Side {
    const self = member(fill, { began });
    const now = () => this.now;
    return new Side(self, new Roster({ self, name: "x", now, time: now, random: () => 0.5 }));
  }

  #delay(): number {
    return this.#delays[this.#taken++ % this.#delays.length]!;
  }

  #poll(side: 0 | 1): void {
    const { dials } = this.sides[side].roster;
    for (const { id, key } of dials.due()) {
      const isOther = key[0] === this.sides[1 - side]!.self.key[0];
      if (isOther) this.dial(side, () => dials.dialled(id, "ok"));
      else dials.dialled(id, "failed");
    }
  }

  #send(from: End, to: End, event: () => void): void {
    from.arrives = Math.max(from.arrives, this.now + this.#delay());
    this.at(from.arrives, () => !from.away && !to.away && event());
  }

  #joined(id: string, end: End, other: End): void {
    const { side, dialled, sessionId } = end;
    if (!side.open.has(id)) return;
    const facts = { dialled, sessionId, onThisMachine: false };
    const verdict = side.roster.joined(id, other.side.self, facts);
    const loser = verdict.keep ? verdict.replaces : id;
    if (loser === undefined) return;
    this.ended++;
    const its = side.open.get(loser);
    side.open.delete(loser);
    if (its) this.#sayGoodbye(loser, its);
  }

  #sayGoodbye(id: string, end: End): void {
    for (const there of this.sides) {
      const other = there.open.get(id);
      if (other) this.#send(end, other, () => this.#over(there, id, "duplicate"));
    }
  }

  #over(side: Side, id: string, how: Departure): void {
    if (side.open.delete(id)) side.roster.left(id, how);
  }
}

const side = fc.constantFrom(0 as const, 1 as const);
const delays = fc.array(fc.integer({ min: 0, max: SLOWEST_MS }), { minLength: 1, maxLength: 30 });

/** Runs until `ms`, then asserts that there is one session, and that for an hour nothing happens. */
function assertSettled(simulation: Simulation, ms: number): void {
  simulation.run(ms);
  const { sessions, begun, ended } = simulation;
  assertEquals([sessions[0]!.length, sessions[0]], [1, sessions[1]]);
  simulation.run(ms + 600_000);
  assertEquals([simulation.sessions, simulation.begun, simulation.ended], [sessions, begun, ended]);
}

Deno.test("Roster: however two dial each other, one session stays, the same for both", () => {
  const dials = fc.array(fc.tuple(side, fc.nat(400)), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(delays, dials, (delays, dials) => {
      const simulation = new Simulation(delays);
      for (const [from, at] of dials) simulation.at(at, () => simulation.dial(from));
      assertSettled(simulation, 5_000);
      assert(simulation.begun <= dials.length, "nobody dials again");
    }),
    { numRuns: 300 },
  );
});

Deno.test("Roster: two who are told of each other have one session, and most often no other", () => {
  fc.assert(
    fc.property(delays, side, fc.nat(4_000), (delays, first, later) => {
      const simulation = new Simulation(delays);
      simulation.at(0, () => simulation.tell(first));
      simulation.at(later, () => simulation.tell(first === 0 ? 1 : 0));
      assertSettled(simulation, 8_000);
      assert(simulation.begun <= 2);
      if (first === 0 && later < 1_000) assertEquals(simulation.begun, 1);
    }),
    { numRuns: 300 },
  );
});

Deno.test("Roster: a session that one side alone has lost is replaced, at the latest when both know", () => {
  const losses = fc.array(fc.tuple(side, fc.integer({ min: 1_000, max: 60_000 })), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(delays, side, losses, (delays, first, losses) => {
      const simulation = new Simulation(delays);
      simulation.dial(first);
      for (const [who, at] of losses) simulation.at(at, () => simulation.lose(who));
      assertSettled(simulation, 60_000 + DEAD_AFTER_MS + SESSION_HOLD_MS + 60_000);
    }),
    { numRuns: 300 },
  );
});

Deno.test("Roster: a program started anew takes its place when the one before is known to be away", () => {
  fc.assert(
    fc.property(
      delays,
      side,
      side,
      fc.integer({ min: 1_000, max: 30_000 }),
      (delays, first, who, at) => {
        const simulation = new Simulation(delays);
        simulation.dial(first);
        simulation.at(at, () => simulation.restart(who));
        simulation.run(at + DEAD_AFTER_MS + 20_000);
        const [here, there] = simulation.sessions;
        assertEquals([here!.length, here], [1, there]);
        const { remembered } = simulation.sides[0].roster.memberships;
        assertEquals(remembered[0]!.memberSince < at, true, "it is a member all the while");
        assertSettled(simulation, at + 300_000);
      },
    ),
    { numRuns: 300 },
  );
});
