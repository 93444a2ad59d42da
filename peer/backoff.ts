import type { Clock } from "../protocol/clock.ts";

/** Milliseconds before the first and between later tries, before jitter. */
const FIRST_MS = 100;
const LONGEST_MS = 5_000;
/** Milliseconds after which what a try has brought counts as something that lasts. */
const LASTING_MS = 10_000;

/** How long to wait before each try: ever longer, and short again after one that lasted. */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: () => number;
  #wait = FIRST_MS;
  #succeededAt = Infinity;

  constructor(clock: Clock, random: () => number = Math.random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Milliseconds to wait before the next try: no two programs wait equally long. */
  next(): number {
    // Who accepts and breaks off at once is not dialled any faster for it.
    if (this.#clock.now() - this.#succeededAt > LASTING_MS) this.#wait = FIRST_MS;
    this.#succeededAt = Infinity;
    const wait = Math.min(this.#wait * (0.5 + this.#random()), LONGEST_MS);
    this.#wait = Math.min(this.#wait * 2, LONGEST_MS);
    return wait;
  }

  /** A try has brought what was wanted, just now. */
  succeeded(): void {
    this.#succeededAt = this.#clock.now();
  }
}
