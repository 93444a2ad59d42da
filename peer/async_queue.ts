/** Values that come when they come, for one reader: push from callbacks, take with `for await`. */
export class AsyncQueue<T> implements AsyncIterable<T> {
  #values: T[] = [];
  #waiting: PromiseWithResolvers<void> | undefined;
  #closed = false;

  push(value: T): void {
    this.#values.push(value);
    this.#wake();
  }

  /** No more will come; what is there can still be taken. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** The next value, or undefined at the end. */
  async next(): Promise<T | undefined> {
    while (this.#values.length === 0 && !this.#closed) {
      this.#waiting ??= Promise.withResolvers();
      await this.#waiting.promise;
    }
    return this.#values.shift();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const value = await this.next();
      if (value === undefined) return;
      yield value;
    }
  }

  #wake(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }
}
