/**
 * The terminal while the program runs: lines appear above, the bottom shows what is in progress and
 * what is being typed. Where standard input is no terminal its lines are handed on as they are;
 * where standard error is none, nothing is drawn.
 */
import { AsyncQueue } from "../async_queue.ts";
import { type Candidates, complete, type Completer, listInColumns } from "./completion.ts";
import { escapeText } from "./escape.ts";
import { type Key, KeyDecoder } from "./keys.ts";
import { LineEditor } from "./line_editor.ts";
import { LiveArea, type Size, type Typed } from "./live_area.ts";
import { Question } from "./question.ts";
import { type LineSource, readLines } from "./read_lines.ts";
import { type Sink, standardError, standardOutput } from "./sink.ts";

/** Standard input, or a stand-in. */
export interface ScreenInput extends LineSource {
  isTerminal(): boolean;
  setRaw(raw: boolean): void;
}

export interface ScreenOptions {
  /** Whether to read standard input. Without, only status lines are shown. Default: true. */
  input?: boolean;
  /** Called when Ctrl-C is typed: at a terminal in raw mode it raises no signal. */
  onInterrupt?: () => void;
  stdin?: ScreenInput;
  stdout?: Sink;
  stderr?: Sink;
  /** The terminal's size, asked before each drawing. */
  size?: () => Size;
}

/** One line at the bottom of the terminal that changes in place. */
export interface StatusLine {
  /**
   * Shows what `render` returns for a width in columns, now and after each resize. Escaped by the
   * caller.
   */
  update(render: (columns: number) => string): void;
  /** Idempotent. */
  remove(): void;
}

/** Redrawing after these: the window changed its size, or the program was stopped and goes on. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows" ? [] : ["SIGWINCH", "SIGCONT"];
/** Milliseconds that keys wait for a completion. */
const MAX_COMPLETING_MS = 1_000;
const KEY_BYTES = 4_096;
/** What stands before the line being typed. */
const PROMPT = "> ";

export class Screen {
  /**
   * Whether lines are typed here and questions answered: input and the place to draw are a
   * terminal.
   */
  readonly interactive: boolean;
  /** Whether status lines are shown. */
  readonly live: boolean;
  /** What Tab completes in the line being typed, if anything. */
  completer: Completer | undefined;

  readonly #stdin: ScreenInput;
  readonly #sinks: Readonly<Record<"stdout" | "stderr", Sink>>;
  /** Where the live area is drawn, if anywhere. */
  readonly #terminal: Sink | undefined;
  readonly #size: () => Size;
  readonly #onInterrupt: (() => void) | undefined;
  readonly #area = new LiveArea();
  readonly #status = new Set<{ render: ((columns: number) => string) | undefined }>();
  readonly #editor = new LineEditor();
  readonly #queue = new AsyncQueue<string>();
  /** The first one is being asked. */
  readonly #questions = new Set<Question>();
  /** Whether the last key was Tab. */
  #tabbed = false;
  /** While it is asked what could be completed. */
  #completing: Promise<void> | undefined;
  #inputEnded = false;
  #closed = false;

  /** Takes the terminal over; `close` gives it back. */
  static open(options: ScreenOptions = {}): Screen {
    const screen = new Screen(options);
    screen.#start();
    return screen;
  }

  private constructor(options: ScreenOptions) {
    const { stdin = Deno.stdin, stdout = standardOutput, stderr = standardError } = options;
    this.#stdin = stdin;
    this.#sinks = { stdout, stderr };
    this.#terminal = Deno.env.get("TERM") === "dumb"
      ? undefined
      : [stderr, stdout].find((sink) => sink.terminal);
    this.live = this.#terminal !== undefined;
    this.interactive = this.live && options.input !== false && stdin.isTerminal();
    this.#size = options.size ?? Deno.consoleSize;
    this.#onInterrupt = options.onInterrupt;
    this.#inputEnded = options.input === false;
  }

  /**
   * Lines typed or read, without their ends. Ends at Ctrl-D, at the end of input and on `close()`.
   * What a pipe brings is read as fast as it is taken.
   * @throws {P2pError} where a line of a pipe is too long or no text
   */
  async *lines(): AsyncGenerator<string, void, void> {
    if (this.interactive || this.#inputEnded) yield* this.#queue;
    else for await (const line of readLines(this.#stdin)) yield line;
  }

  /**
   * Prints a line, or several, above the live area. What is not trusted was escaped by the caller.
   */
  print(text: string, to: "stdout" | "stderr"): void {
    this.#printOn(this.#sinks[to], text);
  }

  /** A new line at the bottom, above the one being typed; shows nothing before its first update. */
  status(): StatusLine {
    const line: { render: ((columns: number) => string) | undefined } = { render: undefined };
    return {
      update: (render) => {
        line.render = render;
        this.#status.add(line);
        this.#redraw();
      },
      remove: () => {
        if (this.#status.delete(line)) this.#redraw();
      },
    };
  }

  /**
   * Asks: the next typed line is the answer. Questions wait for each other, and what was being
   * typed comes back after them.
   * @returns null where there is no answer: nobody to ask, Ctrl-D, the end of input, or the screen
   *   was closed
   * @throws the signal's reason, if it aborts first
   */
  async ask(text: string, options: { signal?: AbortSignal } = {}): Promise<string | null> {
    options.signal?.throwIfAborted();
    if (!this.interactive || this.#inputEnded || this.#closed) return null;
    const question = new Question(text, options.signal, (asked) => this.#leave(asked));
    this.#questions.add(question);
    this.#redraw();
    return await question.answer;
  }

  /** Gives the terminal back as it was found. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#terminal?.write(this.#area.erase(this.#size()));
    this.#closed = true;
    this.#endInput();
    if (this.live) {
      for (const signal of SIGNALS) {
        Deno.removeSignalListener(signal, this.#restart);
      }
    }
    if (this.interactive) this.#stdin.setRaw(false);
    globalThis.removeEventListener("unload", this.#leaveTerminal);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Output and error on a terminal are the same one; a single write cannot flicker, nor be torn
   * apart.
   */
  #printOn(sink: Sink, text: string): void {
    if (!this.live || !sink.terminal || this.#closed) return sink.write(`${text}\n`);
    sink.write(`${this.#area.erase(this.#size())}${text}\n${this.#drawing()}`);
  }

  #start(): void {
    if (this.live) { for (const signal of SIGNALS) Deno.addSignalListener(signal, this.#restart); }
    if (!this.interactive) return;
    this.#stdin.setRaw(true);
    globalThis.addEventListener("unload", this.#leaveTerminal);
    this.#redraw();
    this.#readKeys();
  }

  /** Deno.exit() without close() leaves no remains either. */
  readonly #leaveTerminal = (): void => this.close();

  readonly #restart = (): void => {
    if (this.interactive) this.#stdin.setRaw(true);
    this.#redraw();
  };

  async #readKeys(): Promise<void> {
    const decoder = new KeyDecoder();
    const bytes = new Uint8Array(KEY_BYTES);
    for (;;) {
      const count = await this.#stdin.read(bytes).catch(() => null);
      if (this.#closed) return;
      if (count === null) break;
      for (const key of decoder.push(bytes.subarray(0, count))) {
        this.#press(key);
        if (this.#completing) await this.#completing;
      }
      this.#redraw();
    }
    this.#endInput();
    this.#redraw();
  }

  #press(key: Key): void {
    if (key.name === "interrupt") return this.#onInterrupt?.();
    if (key.name === "clear") return this.#terminal!.write("\x1b[H\x1b[2J");
    if (this.#inputEnded) return;
    const question = this.#asked();
    const editor = question?.editor ?? this.#editor;
    const again = this.#tabbed;
    this.#tabbed = key.name === "tab";
    if (key.name === "endOfInput" && editor.text === "") this.#end(question);
    else if (key.name === "enter") this.#enter(editor, question);
    else if (key.name === "tab") this.#completing = this.#complete(again);
    else editor.press(key);
  }

  /** Completes what is being typed; the keys behind it wait until it is known what fits. */
  async #complete(again: boolean): Promise<void> {
    const before = this.#editor.text.slice(0, this.#editor.cursor);
    const candidates = this.#asked() ? undefined : await this.#candidates(before);
    this.#completing = undefined;
    // A question may have come meanwhile: what is typed then is its answer.
    if (!candidates || this.#asked() || this.#inputEnded || this.#closed) return;
    const completion = complete(before, candidates, again);
    if (completion.do === "insert") {
      this.#editor.complete(completion.from, completion.text);
      this.#redraw();
    } else if (completion.do === "list") {
      const lines = listInColumns(completion.words, this.#size().columns);
      this.#printOn(this.#terminal!, lines.join("\n"));
    }
  }

  /** What fits, or nothing where that takes too long: a folder may be on a network that hangs. */
  async #candidates(before: string): Promise<Candidates | undefined> {
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), MAX_COMPLETING_MS);
    try {
      return await Promise.race([this.completer?.(before), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A line that was typed stays on the terminal, as one that was printed. */
  #enter(editor: LineEditor, question: Question | undefined): void {
    const line = editor.take();
    this.#printOn(this.#terminal!, escapeText((question?.text ?? PROMPT) + line));
    if (question) this.#settle(question, line);
    else this.#queue.push(line);
  }

  #end(question: Question | undefined): void {
    if (question) this.#settle(question, null);
    else this.#endInput();
  }

  #settle(question: Question, answer: string | null): void {
    this.#leave(question);
    question.settle(answer);
  }

  #leave(question: Question): void {
    if (this.#questions.delete(question)) this.#redraw();
  }

  #asked(): Question | undefined {
    return this.#questions.values().next().value;
  }

  #endInput(): void {
    this.#inputEnded = true;
    for (const question of this.#questions) question.settle(null);
    this.#questions.clear();
    this.#queue.close();
  }

  #redraw(): void {
    if (!this.#terminal || this.#closed) return;
    const text = this.#area.erase(this.#size()) + this.#drawing();
    if (text) this.#terminal.write(text);
  }

  #drawing(): string {
    const size = this.#size();
    const status = Array.from(this.#status, (line) => line.render?.(size.columns - 1) ?? "");
    return this.#area.draw({ status, typed: this.#typed() }, size);
  }

  #typed(): Typed | undefined {
    if (!this.interactive || this.#inputEnded) return undefined;
    const question = this.#asked();
    const { text, cursor } = question?.editor ?? this.#editor;
    return { prompt: question?.text ?? PROMPT, text, cursor };
  }
}
