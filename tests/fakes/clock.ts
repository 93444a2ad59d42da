/** Time that stands still until a test moves it. */
import { setImmediate } from "node:timers";
import type { Clock } from "../../protocol/clock.ts";

interface Timer {
  at: number;
  event: () => void;
}

/**
 * Resolves when everything that could go on without time passing has gone on, as far as it lies in
 * memory.
 */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export class FakeClock implements Clock {
  #now = 1_000;
  #timers: Timer[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, event: () => void): () => void {
    const timer = { at: this.#now + ms, event };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** Timers that are set: a test that ends with some has leaked them. */
  get pending(): number {
    return this.#timers.length;
  }

  /**
   * Lets time pass: what falls due happens in order, each after all that came before it has
   * settled.
   */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settled();
    for (let due = this.#next(until); due; due = this.#next(until)) {
      this.#timers = this.#timers.filter((each) => each !== due);
      this.#now = Math.max(this.#now, due.at);
      due.event();
      await settled();
    }
    this.#now = until;
  }

  /** Lets time pass while nothing runs, as when the machine sleeps or the process is held up. */
  holdUp(ms: number): void {
    this.#now += ms;
  }

  /**
   * Lets time pass, a step at a time, until the promise settles; a test that waits for what never
   * comes fails.
   */
  async until<T>(promise: Promise<T>, limitMs: number, stepMs = 10): Promise<T> {
    let waiting = true;
    promise.then(() => waiting = false, () => waiting = false);
    await settled();
    for (const end = this.#now + limitMs; waiting;) {
      if (this.#now >= end) {
        throw new Error(`Nothing came within ${limitMs} ms of the test's clock`);
      }
      await this.advance(stepMs);
    }
    return await promise;
  }

  #next(until: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at <= until && (!first || timer.at < first.at)) first = timer;
    }
    return first;
  }
}
