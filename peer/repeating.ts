import type { Clock } from "../protocol/clock.ts";

export interface RepeatingOptions {
  /** Milliseconds between one time and the next. */
  waits: Iterable<number>;
  act: () => void;
  /** Called instead of `act` when the last wait is over. */
  inVain?: () => void;
}

/** Does something when it is started, and again after each wait, until it is stopped. */
export class Repeating {
  readonly #clock: Clock;
  readonly #waits: Iterator<number>;
  readonly #options: RepeatingOptions;
  #cancel = () => {};

  constructor(clock: Clock, options: RepeatingOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#waits = options.waits[Symbol.iterator]();
  }

  /** Once. What is done may stop it. */
  start(): void {
    this.#again();
  }

  /** Idempotent. */
  stop(): void {
    this.#cancel();
  }

  #again(): void {
    const { value, done } = this.#waits.next();
    this.#cancel = done ? () => {} : this.#clock.after(value, () => this.#again());
    if (done) this.#options.inVain?.();
    else this.#options.act();
  }
}
