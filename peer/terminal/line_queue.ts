/** Lines on their way from the keyboard to the one who takes them. */
export class LineQueue {
  readonly #lines: string[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(line: string): void {
    this.#lines.push(line);
    this.#wake?.();
  }

  /** What was pushed can still be taken; nothing comes after it. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The lines in order, for one taker at a time. */
  async *take(): AsyncGenerator<string, void, void> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) yield line;
      else if (this.#ended) return;
      else await this.#arrival();
    }
  }

  #arrival(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }
}
