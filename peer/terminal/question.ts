import { LineEditor } from "./line_editor.ts";

/** A question that waits for a typed line. */
export class Question {
  /** What is typed as its answer. */
  readonly editor: LineEditor = new LineEditor();
  /** The answer; null where nobody gives one. Rejects if the question is withdrawn. */
  readonly answer: Promise<string | null>;
  readonly #settle: (answer: string | null) => void;

  /**
   * @param withdraw called when the signal aborts
   */
  constructor(readonly text: string, signal?: AbortSignal, withdraw?: (asked: Question) => void) {
    const { promise, resolve, reject } = Promise.withResolvers<string | null>();
    const abort = () => {
      withdraw?.(this);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort);
    this.answer = promise.finally(() => signal?.removeEventListener("abort", abort));
    this.#settle = resolve;
  }

  settle(answer: string | null): void {
    this.#settle(answer);
  }
}
