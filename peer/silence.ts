import type { Clock } from "../protocol/clock.ts";

/** Tells, once, when nothing has been heard for so many milliseconds. */
export class Silence {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #tell: () => void;
  #heardAt: number;
  #cancel: () => void;

  constructor(clock: Clock, ms: number, tell: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#tell = tell;
    this.#heardAt = clock.now();
    this.#cancel = clock.after(ms, () => this.#look());
  }

  /** Milliseconds since something was heard. */
  get lasting(): number {
    return this.#clock.now() - this.#heardAt;
  }

  /** Something was heard. */
  broken(): void {
    this.#heardAt = this.#clock.now();
  }

  /** Idempotent. */
  stop(): void {
    this.#cancel();
  }

  #look(): void {
    const left = this.#ms - this.lasting;
    if (left > 0) this.#cancel = this.#clock.after(left, () => this.#look());
    else this.#tell();
  }
}
