/**
 * How fast the messages of one member are taken in a chat where there are others, too (README.md,
 * section 8): each costs, and what costs more than there is left is waited for. Whoever says all
 * that by itself, on and on, floods.
 */
import { Allowance } from "./allowance.ts";
import type { Clock } from "./clock.ts";
import {
  FLOOD_ENDED_AFTER_MS,
  FLOOD_EXCUSED_UNITS,
  FLOOD_TOLD_AFTER_MS,
  TAKEN_AT_ONCE,
  TAKEN_PER_SECOND,
} from "./limits.ts";

const TAKEN = { burst: TAKEN_AT_ONCE, perSecond: TAKEN_PER_SECOND };
/** Units that are waited for at once: waiting for each would cost more than taking it. */
const TOGETHER = 25;
/** Who has not left so many units again is still at the limit. */
const AT_LIMIT = TAKEN_AT_ONCE / 4;

/** A message that was taken. */
export interface Taken {
  /** Units that it costs. */
  readonly cost: number;
  /** Whether it is its sender's own, not a line that it hands on. */
  readonly own: boolean;
}

/** What is to be done about a member: its user is told of it, or it is sent away. */
export type FloodVerdict = "tell" | "sendAway";

export class Intake {
  readonly #clock: Clock;
  readonly #all: Allowance;
  /** As it would be without the lines that the member hands on: they are not its doing. */
  readonly #own: Allowance;
  #bounded = false;
  /** Units of what may have been said before there was a limit. */
  #excused = 0;
  /** Since when the member's own messages have kept us at the limit. */
  #floodsSince: number | undefined;
  /** What was last found to be done. */
  #said: FloodVerdict | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#all = new Allowance(clock, TAKEN);
    this.#own = new Allowance(clock, TAKEN);
  }

  /** There is no limit, until the next message is taken. */
  release(): void {
    this.#bounded = false;
    this.#floodsSince = undefined;
  }

  /** What comes may have been said long ago, and come all at once for that. */
  excuse(): void {
    this.#excused = FLOOD_EXCUSED_UNITS;
    this.#floodsSince = undefined;
  }

  /** Takes a message. */
  take({ cost, own }: Taken): void {
    if (!this.#bounded) this.excuse();
    this.#bounded = true;
    this.#all.spend(cost);
    if (own) this.#count(cost);
  }

  /** Milliseconds until the next message may be taken. */
  get waitMs(): number {
    return this.#all.left >= 0 ? 0 : this.#all.msUntil(TOGETHER);
  }

  /** What is to be done now, if anything: each is said once. */
  get verdict(): FloodVerdict | undefined {
    if (this.#floodsSince === undefined || this.#own.left >= AT_LIMIT) return undefined;
    const ms = this.#clock.now() - this.#floodsSince;
    const verdict = verdictAfter(ms);
    if (!verdict || verdict === this.#said || this.#said === "sendAway") return undefined;
    this.#said = verdict;
    return verdict;
  }

  #count(cost: number): void {
    if (this.#own.left >= AT_LIMIT) this.#floodsSince = undefined;
    this.#own.spend(cost);
    this.#excused = Math.max(0, this.#excused - cost);
    if (this.#excused === 0 && this.#own.left < AT_LIMIT) this.#floodsSince ??= this.#clock.now();
  }
}

function verdictAfter(ms: number): FloodVerdict | undefined {
  if (ms >= FLOOD_ENDED_AFTER_MS) return "sendAway";
  return ms >= FLOOD_TOLD_AFTER_MS ? "tell" : undefined;
}
