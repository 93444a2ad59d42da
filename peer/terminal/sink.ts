import { encodeText } from "../../protocol/bytes.ts";

/** What a sink writes to: Deno.stdout, Deno.stderr, or a stand-in. */
export interface SinkTarget {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
}

/** Milliseconds between tries while a reader that does not wait has no room. */
const RETRY_MS = 2;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes text to standard output or error: whole, in order, before it returns, so that nothing is
 * lost when the program ends. Where the reader has gone, it writes no more and says so once.
 */
export class Sink {
  readonly terminal: boolean;
  readonly #target: SinkTarget;
  #closed = false;
  /** Called once, when the reader has gone. */
  onClosed: (() => void) | undefined;

  constructor(target: SinkTarget) {
    this.#target = target;
    this.terminal = target.isTerminal();
  }

  write(text: string): void {
    const bytes = encodeText(text);
    for (let offset = 0; offset < bytes.length && !this.#closed;) {
      offset += this.#writeSome(bytes.subarray(offset));
    }
  }

  #writeSome(bytes: Uint8Array): number {
    try {
      return this.#target.writeSync(bytes);
    } catch (error) {
      if (error instanceof Deno.errors.WouldBlock) Atomics.wait(sleeper, 0, 0, RETRY_MS);
      else if (!(error instanceof Deno.errors.Interrupted)) this.#close();
      return 0;
    }
  }

  #close(): void {
    this.#closed = true;
    this.onClosed?.();
  }
}

/** The process's own. */
export const standardOutput: Sink = new Sink(Deno.stdout);
export const standardError: Sink = new Sink(Deno.stderr);
