/**
 * Two members, whatever the order in which their messages arrive: after a while each has one session
 * with the other, the same one, and nothing happens any more.
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { DEAD_AFTER_MS, DIAL_AWAY_AFTER_MS, SESSION_HOLD_MS } from "../../protocol/limits.ts";
import type { KeyedMember } from "../../protocol/member.ts";
import { type Departure, Roster } from "../../protocol/roster.ts";
import { member } from "../fakes/mesh_members.ts";

/** Milliseconds that a message takes at most. */
const SLOWEST_MS = 250;
/** Milliseconds between two attempts to find a session another connection. */
const REDIAL_MS = 2_000;
/** Milliseconds in which a connection that is asked whether it still is one must have answered. */
const CHECK_MS = 3_000;

/** One end of a session. */
class End {
  /** When what was sent last arrives there: what is sent later does not overtake it. */
  arrives = 0;
  away = false;
  /** Whether its connection is dead, though this side may not know it yet. */
  broken = false;
  /** What was sent and has not arrived: it is sent again over the next connection. */
  readonly kept: (() => void)[] = [];

  constructor(
    readonly side: Side,
    readonly sessionId: Uint8Array,
    readonly dialled: boolean,
    /** Whether it is for the other side to say first who it is. */
    readonly waits: boolean,
  ) {}
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
  /** Whose attempts to dial fail. */
  blocked: Side | undefined;
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
      const waits = here.roster.hasKey(there.self.key);
      const near = new End(here, sessionId, true, waits);
      const far = new End(there, sessionId, false, false);
      for (const end of [near, far]) end.side.open.set(id, end);
      if (!waits) this.#sayMember(id, near, far);
      this.#sayMember(id, far, near);
    });
  }

  /**
   * The connections of all sessions break.
   * @param notices milliseconds after which each side knows
   */
  breakAll(notices: readonly number[]): void {
    this.sides.forEach(({ open }, index) => {
      for (const [id, end] of open) {
        end.broken = true;
        this.at(this.now + notices[index]!, () => {
          if (open.get(id) === end && end.broken && !end.away) this.#lose(id, end);
        });
      }
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
      if (isOther && this.blocked !== this.sides[side]) {
        this.dial(side, () => dials.dialled(id, "ok"));
      } else dials.dialled(id, "failed");
    }
  }

  /** @param again whether it is sent again where the connection breaks meanwhile */
  #send(from: End, to: End, event: () => void, again = true): void {
    from.arrives = Math.max(from.arrives, this.now + this.#delay());
    this.at(from.arrives, () => {
      if (!from.broken && !to.broken && !from.away && !to.away) event();
      else if (again) from.kept.push(event);
    });
  }

  #sayMember(id: string, from: End, to: End): void {
    this.#send(from, to, () => this.#heard(id, to, from));
  }

  /** A side knows that a connection is lost; whoever dialled dials again. */
  #lose(id: string, end: End): void {
    end.away = true;
    if (end.side.roster.away(id)) end.side.open.delete(id);
    const lostAt = this.now;
    this.at(lostAt + SESSION_HOLD_MS, () => {
      if (end.away && this.now - lostAt >= SESSION_HOLD_MS) this.#over(end.side, id, "lost");
    });
    if (end.dialled) this.#redial(id, end);
  }

  #redial(id: string, near: End): void {
    const { side } = near;
    const other = this.sides.find((each) => each !== side)!;
    this.at(this.now + REDIAL_MS, () => {
      if (!near.away || !side.open.has(id)) return;
      if (this.blocked === side) return this.#redial(id, near);
      this.#later(() => {
        const far = other.open.get(id);
        if (!far) return this.#later(() => this.#over(side, id, "duplicate"));
        this.#attach(id, far);
        this.#later(() => this.#goOn(id, near, far));
      });
    });
  }

  /** The answer to an attempt to go on has come. */
  #goOn(id: string, near: End, far: End): void {
    if (!near.side.open.has(id)) {
      far.broken = true;
      return this.#later(() => far.side.open.has(id) && this.#lose(id, far));
    }
    this.#attach(id, near);
    for (const event of [...near.kept.splice(0), ...far.kept.splice(0)]) this.#later(event);
  }

  #attach(id: string, end: End): void {
    end.away = end.broken = false;
    end.side.roster.back(id);
  }

  #later(event: () => void): void {
    this.at(this.now + this.#delay(), event);
  }

  /** A member says who it is. */
  #heard(id: string, end: End, other: End): void {
    const { side: { open, roster }, dialled, sessionId } = end;
    if (!open.has(id)) return;
    const who = other.side.self;
    if (end.waits && roster.isHere(who)) return this.#end(open, id);
    if (end.waits) this.#sayMember(id, end, other);
    const facts = { dialled, sessionId, onThisMachine: false };
    const rival = dialled ? undefined : roster.rivalOf(id, who, facts);
    const its = rival === undefined ? undefined : open.get(rival);
    if (!its) return this.#joined(id, end, other);
    const works = !its.broken && other.side.open.get(rival!)?.broken === false;
    this.at(this.now + (works ? 2 * this.#delay() : CHECK_MS), () => {
      if (!works && open.get(rival!) === its && !its.away) this.#lose(rival!, its);
      this.#joined(id, end, other);
    });
  }

  #joined(id: string, end: End, other: End): void {
    const { side, dialled, sessionId } = end;
    if (!side.open.has(id)) return;
    const facts = { dialled, sessionId, onThisMachine: false };
    const verdict = side.roster.joined(id, other.side.self, facts);
    const loser = verdict.keep ? verdict.replaces : id;
    if (end.away) side.roster.away(id);
    if (loser !== undefined) this.#end(side.open, loser);
  }

  #end(open: Map<string, End>, loser: string): void {
    this.ended++;
    const its = open.get(loser);
    open.delete(loser);
    if (its) this.#sayGoodbye(loser, its);
  }

  #sayGoodbye(id: string, end: End): void {
    for (const there of this.sides) {
      const other = there.open.get(id);
      if (other) this.#send(end, other, () => this.#over(there, id, "duplicate"), false);
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

Deno.test("Roster: connections that break, and come back, leave one session, the same for both", () => {
  const notice = fc.integer({ min: 0, max: DEAD_AFTER_MS });
  const breaks = fc.array(fc.tuple(fc.integer({ min: 1_000, max: 60_000 }), notice, notice), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(delays, side, breaks, (delays, first, breaks) => {
      const simulation = new Simulation(delays);
      simulation.dial(first);
      for (const [at, ...notices] of breaks) simulation.at(at, () => simulation.breakAll(notices));
      assertSettled(simulation, 60_000 + DEAD_AFTER_MS + SESSION_HOLD_MS + 20_000);
    }),
    { numRuns: 500 },
  );
});

Deno.test("Roster: who dialled, and cannot come back by itself, is back soon after the other knows", () => {
  const notice = fc.integer({ min: 0, max: DEAD_AFTER_MS });
  fc.assert(
    fc.property(delays, side, notice, notice, (delays, first, ofFirst, ofOther) => {
      const simulation = new Simulation(delays);
      simulation.dial(first);
      const notices = first === 0 ? [ofFirst, ofOther] : [ofOther, ofFirst];
      simulation.at(30_000, () => {
        simulation.blocked = simulation.sides[first];
        simulation.breakAll(notices);
      });
      simulation.run(30_000 + ofOther + DIAL_AWAY_AFTER_MS + CHECK_MS + 6 * SLOWEST_MS);
      const [here, there] = simulation.sessions;
      assertEquals([here!.length, here], [1, there]);
      assertEquals(simulation.begun, 2);
      assertSettled(simulation, 90_000);
    }),
    { numRuns: 500 },
  );
});
