/**
 * Whether a disk answers at once, as it does where the system's cache takes or has the bytes: then a
 * blocking call costs a third less than one on the thread pool, and no more time. One that makes us
 * wait must not make everything else wait, too.
 */

/** Milliseconds from which on a call was slow. */
const SLOW_MS = 20;
/** Calls on the thread pool before a blocking one is tried again. */
const PATIENCE = 64;

export class Promptness {
  readonly #now: () => number;
  #patience = 0;

  /** @param now the time in milliseconds, but in tests the clock's */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether the next call may block. Asked once for each call: counts those that may not. */
  mayBlock(): boolean {
    if (this.#patience === 0) return true;
    this.#patience--;
    return false;
  }

  /** Makes a blocking call, and takes note of how long it took. */
  measure<T>(call: () => T): T {
    const started = this.#now();
    const result = call();
    if (this.#now() - started >= SLOW_MS) this.#patience = PATIENCE;
    return result;
  }
}
