/** What a process has written so far, for tests that wait for something in it. */

/** Milliseconds after which what a test waits for will not come any more. */
const DEADLINE_MS = 20_000;

export class Captured {
  /** Resolves at the end of the output. */
  readonly ended: Promise<void>;
  readonly #chunks: Uint8Array[] = [];
  readonly #decoder = new TextDecoder();
  /** The lines that are complete. */
  readonly lines: string[] = [];
  #text = "";
  #lastLine = "";
  #over = false;
  #changed = Promise.withResolvers<void>();
  readonly #onLine: ((line: string) => void) | undefined;

  /** @param onLine told of each line when it is complete */
  constructor(stream: ReadableStream<Uint8Array>, onLine?: (line: string) => void) {
    this.#onLine = onLine;
    this.ended = this.#read(stream);
  }

  /** All of it, as text. */
  get text(): string {
    return this.#text;
  }

  /** All of it. */
  get bytes(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  /**
   * Waits until `look` finds something other than undefined.
   * @param context tells what else is known, if it does not come
   * @param deadlineMs how long it may take
   * @throws {Error} when the output ends, or the time is over, without it
   */
  async until<T>(
    look: () => T | undefined,
    wanted: string,
    context: () => string = () => "",
    deadlineMs = DEADLINE_MS,
  ): Promise<T> {
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), deadlineMs);
    try {
      let expired = false;
      for (;;) {
        const found = look();
        if (found !== undefined) return found;
        if (this.#over || expired) {
          throw new Error(`Did not come: ${wanted}. It wrote:\n${this.#text}${context()}`);
        }
        expired = await Promise.race([this.#changed.promise, late.promise]) === "late";
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const chunk of stream) {
      this.#chunks.push(chunk);
      this.#take(this.#decoder.decode(chunk, { stream: true }));
      this.#wake();
    }
    this.#over = true;
    this.#wake();
  }

  #take(text: string): void {
    this.#text += text;
    const lines = (this.#lastLine + text).split("\n");
    this.#lastLine = lines.pop()!;
    for (const line of lines) {
      this.lines.push(line);
      this.#onLine?.(line);
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
