/** The terminal, skeleton. */

export interface ScreenOptions {
  /** Whether to read standard input. Without, only status lines are shown. Default: true. */
  input?: boolean;
  /** Called on Ctrl-C typed at the terminal (where it is not a signal). */
  onInterrupt?: () => void;
}

/** One line at the bottom of the terminal that changes in place. */
export interface StatusLine {
  /** Shows what `render` returns for the terminal's width in columns, now and after a resize. */
  update(render: (columns: number) => string): void;
  remove(): void;
}

export class Screen {
  static open(_options: ScreenOptions = {}): Screen {
    return new Screen();
  }
  /** Whether somebody can be asked: standard input and the place of questions are a terminal. */
  get interactive(): boolean {
    return false;
  }
  /** Whether status lines are shown. */
  get live(): boolean {
    return false;
  }
  /** What stands before the line being typed, "> " to begin with. */
  prompt = "> ";
  /** Lines typed or read, without line ends; ends on Ctrl-D, at the end of input and on `close()`. */
  async *lines(): AsyncIterable<string> {}
  /** Prints whole lines above the live area. The text is trusted: the caller escaped it. */
  print(_text: string, _to: "stdout" | "stderr"): void {}
  status(): StatusLine {
    return { update: () => {}, remove: () => {} };
  }
  /** The next typed line, or null if input ended, was closed, or Ctrl-D was pressed. Questions queue; the draft is kept. Rejects with the signal's reason. */
  ask(_question: string, _options: { signal?: AbortSignal } = {}): Promise<string | null> {
    return Promise.resolve(null);
  }
  /** Restores the terminal. Idempotent. */
  close(): void {}
  [Symbol.dispose](): void {
    this.close();
  }
}
