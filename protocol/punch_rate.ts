/**
 * How fast a side may send while it punches: never more than MAX_PUNCH_RATE datagrams in a second,
 * a few of them at once. What matters more may use what the rest must leave (the generic cell rate
 * algorithm, ITU-T I.371).
 */
import { MAX_PUNCH_RATE } from "./limits.ts";

/** Datagrams that may be sent at once, after a pause. */
const BURST = 20;
/** Milliseconds between two datagrams in the long run: with a burst no second has too many. */
const INTERVAL_MS = 1_000 / (MAX_PUNCH_RATE - BURST);

export class PunchRate {
  /** When all that was sent would have been, one each INTERVAL_MS. */
  #spentUntil = -Infinity;

  /**
   * From when on a datagram may be sent, in milliseconds of the caller's clock.
   * @param leave datagrams that could be sent at once afterwards, below BURST
   */
  readyAt(leave: number): number {
    return this.#spentUntil - (BURST - 1 - leave) * INTERVAL_MS;
  }

  /** Counts a datagram, if it may be sent now. */
  take(leave: number, now: number): boolean {
    if (now < this.readyAt(leave)) return false;
    this.#spentUntil = Math.max(this.#spentUntil, now) + INTERVAL_MS;
    return true;
  }
}
