/**
 * How much may happen: a bucket of units that fills with time (a token bucket). It may be
 * overdrawn: what costs more than the bucket holds is let through once, and paid for before anything
 * that comes after it.
 */
import type { Clock } from "./clock.ts";

export interface AllowanceOptions {
  /** Units that come in a second. */
  readonly perSecond: number;
  /** Units that there are at the most. */
  readonly burst: number;
}

export class Allowance {
  readonly #clock: Clock;
  readonly #perMs: number;
  readonly #burst: number;
  #units: number;
  #at: number;

  constructor(clock: Clock, { perSecond, burst }: AllowanceOptions) {
    this.#clock = clock;
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
    this.#units = burst;
    this.#at = clock.now();
  }

  /** Units that there are now; less than none as long as it is overdrawn. */
  get left(): number {
    const now = this.#clock.now();
    this.#units = Math.min(this.#burst, this.#units + (now - this.#at) * this.#perMs);
    this.#at = now;
    return this.#units;
  }

  /** Spends one unit, if there is one. */
  take(): boolean {
    if (this.left < 1) return false;
    this.#units--;
    return true;
  }

  /**
   * Spends units, whether there are so many or not.
   * @param mostOwed the most by which this leaves it overdrawn, if it was not by more already
   */
  spend(units: number, mostOwed = Infinity): void {
    const { left } = this;
    this.#units = Math.max(left - units, Math.min(left, -mostOwed));
  }

  /** Milliseconds until there are so many units, which must not be more than it holds. */
  msUntil(units: number): number {
    return Math.max(0, (units - this.left) / this.#perMs);
  }
}
