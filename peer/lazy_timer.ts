import type { Clock } from "../protocol/clock.ts";

/**
 * A timer that is set and unset with nearly every message: the clock's own, which costs more than
 * what a small message does otherwise, is left to run meanwhile.
 */
export class LazyTimer {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #event: () => void;
  #due: number | undefined;
  #cancel: (() => void) | undefined;

  /** @param event called so many milliseconds after `set`, unless it is unset before that */
  constructor(clock: Clock, ms: number, event: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#event = event;
  }

  /** Without effect while it is set. */
  set(): void {
    this.#due ??= this.#clock.now() + this.#ms;
    this.#cancel ??= this.#clock.after(this.#ms, this.#look);
  }

  unset(): void {
    this.#due = undefined;
  }

  /** Unsets it, and lets the clock forget it. */
  stop(): void {
    this.unset();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  readonly #look = () => {
    this.#cancel = undefined;
    if (this.#due === undefined) return;
    const left = this.#due - this.#clock.now();
    if (left > 0) {
      this.#cancel = this.#clock.after(left, this.#look);
    } else {
      this.#due = undefined;
      this.#event();
    }
  };
}
