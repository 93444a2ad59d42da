import type { Clock } from "../protocol/clock.ts";

/** Milliseconds before the first try, before jitter, and between later ones at the most. */
export interface BackoffRange {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** For what somebody waits for. */
const SOON: BackoffRange = { firstMs: 100, longestMs: 5_000 };
/** Milliseconds after which what a try has brought counts as something that lasts. */
const LASTING_MS = 10_000;

/** How long to wait before each try: ever longer, and short again after one that lasted. */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #range: BackoffRange;
  #wait: number;
  #succeededAt = Infinity;

  constructor(clock: Clock, random: () => number = Math.random, range: BackoffRange = SOON) {
    this.#clock = clock;
    this.#random = random;
    this.#range = range;
    this.#wait = range.firstMs;
  }

  /** Milliseconds to wait before the next try: no two programs wait equally long. */
  next(): number {
    const { firstMs, longestMs } = this.#range;
    // Who accepts and breaks off at once is not dialled any faster for it.
    if (this.#clock.now() - this.#succeededAt > LASTING_MS) this.#wait = firstMs;
    this.#succeededAt = Infinity;
    const wait = Math.min(this.#wait * (0.5 + this.#random()), longestMs);
    this.#wait = Math.min(this.#wait * 2, longestMs);
    return wait;
  }

  /** A try has brought what was wanted, just now. */
  succeeded(): void {
    this.#succeededAt = this.#clock.now();
  }
}
