/**
 * How fast a side may send while it punches: never more than MAX_PUNCH_RATE datagrams in a second,
 * a few of them at once. What matters more may use what the rest must leave (the generic cell rate
 * algorithm, ITU-T I.371).
 */
import { MAX_PUNCH_RATE } from "./limits.ts";

export class PunchRate {
  readonly #burst: number;
  /** Milliseconds between two datagrams in the long run: with a burst no second has too many. */
  readonly #intervalMs: number;
  /** When all that was sent would have been, one in each interval. */
  #spentUntil = -Infinity;

  /** @param burst datagrams that may be sent at once, after a pause; the more, the fewer later */
  constructor(burst: number) {
    this.#burst = burst;
    this.#intervalMs = 1_000 / (MAX_PUNCH_RATE - burst);
  }

  /**
   * From when on a datagram may be sent, in milliseconds of the caller's clock.
   * @param leave datagrams that could be sent at once afterwards, below the burst
   */
  readyAt(leave: number): number {
    return this.#spentUntil - (this.#burst - 1 - leave) * this.#intervalMs;
  }

  /** Counts a datagram, if it may be sent now. */
  take(leave: number, now: number): boolean {
    if (now < this.readyAt(leave)) return false;
    this.#spentUntil = Math.max(this.#spentUntil, now) + this.#intervalMs;
    return true;
  }
}
