import type { Clock } from "../protocol/clock.ts";

/** A signal that aborts when another one does, or after some time if it is not called off. */
export class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #cancel: () => void;

  /**
   * @param signal what else aborts it, with its own reason
   * @param ms milliseconds until it aborts by itself
   * @param reason with which it does then
   */
  constructor(clock: Clock, signal: AbortSignal, ms: number, reason: Error) {
    const late = new AbortController();
    this.signal = AbortSignal.any([signal, late.signal]);
    this.#cancel = clock.after(ms, () => late.abort(reason));
  }

  /** Calls it off. */
  [Symbol.dispose](): void {
    this.#cancel();
  }
}
