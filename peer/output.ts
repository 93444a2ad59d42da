/**
 * All that the program prints. Standard output carries data: chat lines, or events with `--json`.
 * Everything said to people goes to standard error. What is passed here may come from anywhere: it
 * is escaped here, line by line.
 */
import type { Description } from "./words.ts";
import { escapeText } from "./terminal/escape.ts";
import type { Screen } from "./terminal/screen.ts";
import { type Sink, standardError, standardOutput } from "./terminal/sink.ts";

export interface OutputOptions {
  /** Events on standard output, one a line, and nothing else there. */
  json?: boolean;
  /** Leaves out what `say` says. */
  quiet?: boolean;
  /** Shows where errors came from. */
  debug?: boolean;
  /** Colours where a terminal shows them. Default: unless NO_COLOR is set. */
  color?: boolean;
  /** Called once, when the reader of standard output has gone. Later output to it is dropped. */
  onStdoutClosed?: () => void;
  stdout?: Sink;
  stderr?: Sink;
}

/** What else there is to say of a line of chat. */
export interface MessageOptions {
  /** Whether it is for us alone. */
  private?: boolean;
  /** What tells it from all others. */
  id?: string;
  /** Its author's fingerprint. */
  key?: string;
  /** Who handed it on, where only they say whose line it is. */
  through?: string | undefined;
  /** When it was said: milliseconds since 1970. */
  time?: number;
  /** Whether that was a while ago. */
  late?: boolean;
}

type Stream = "stdout" | "stderr";

/** Green, yellow, blue, magenta, cyan: red is for errors. */
const NAME_COLORS = [32, 33, 34, 35, 36] as const;
const BOLD_RED = "1;31";
const YELLOW = 33;
/** What JSON may hold as it is, and a terminal or a reader of lines should not get raw. */
const UNSAFE_IN_JSON = /[\x7f-\x9f\u2028\u2029\ufff9-\ufffb]|\p{Default_Ignorable_Code_Point}/gu;

export class Output {
  /** Lines go through it while it is there, above what is being typed. */
  screen: Screen | undefined;
  /** Where chat lines go: not to standard output where that carries something else. */
  chatStream: Stream = "stdout";
  readonly json: boolean;
  readonly quiet: boolean;
  readonly #debug: boolean;
  readonly #color: boolean;
  readonly #sinks: Readonly<Record<Stream, Sink>>;

  constructor(options: OutputOptions = {}) {
    const { stdout = standardOutput, stderr = standardError } = options;
    this.json = options.json ?? false;
    this.quiet = options.quiet ?? false;
    this.#debug = options.debug ?? false;
    this.#color = options.color ?? !Deno.noColor;
    this.#sinks = { stdout, stderr };
    stdout.onClosed = options.onStdoutClosed;
  }

  /**
   * `{"event": name, …fields}` with `--json`, else nothing. Fields that are undefined are left out.
   */
  event(name: string, fields: Readonly<Record<string, unknown>> = {}): void {
    if (!this.json) return;
    const text = JSON.stringify({ event: name, ...fields });
    this.#print(text.replace(UNSAFE_IN_JSON, writeAsEscapes), "stdout");
  }

  /** For people, on standard error; nothing with `--quiet`. Each argument is one line. */
  say(...lines: string[]): void {
    if (!this.quiet) this.#printLines(lines);
  }

  /** For people, on standard error, also with `--quiet`. Each argument is one line. */
  warn(...lines: string[]): void {
    this.#printLines(lines, YELLOW);
  }

  /**
   * Says on standard error what went wrong and what to try next; an event as well with `--json`.
   */
  error(description: Description): void {
    const { code, message, hint, stack } = description;
    this.event("error", { code, message, hint });
    const label = this.#paint("p2p: error:", BOLD_RED, "stderr");
    this.#print(`${label} ${escapeText(message)}`, "stderr");
    if (hint !== undefined) this.#print(`     ${escapeText(hint)}`, "stderr");
    if (this.#debug) this.#printLines(stack);
  }

  /**
   * A line of chat: `from: text`, or the event `message`. One that is for us alone, comes late, or
   * may not be theirs, says so: no name ends like that.
   */
  message(from: string, text: string, options: MessageOptions = {}): void {
    const { id, key, through, time, late } = options;
    const said = time === undefined ? undefined : new Date(time);
    if (this.json) {
      const how = { private: options.private || undefined, late: late || undefined };
      const whose = { from, text, id, key, through, time: said?.toISOString() };
      return this.event("message", { ...whose, ...how });
    }
    const name = this.#paint(escapeText(from), colorOf(from), this.chatStream);
    const how = [
      options.private && "privately",
      through !== undefined && `through ${escapeText(through)}`,
      late && said && clockTime(said),
    ].filter(Boolean);
    const aside = how.length === 0 ? "" : ` (${how.join(", ")})`;
    this.#print(`${name}${aside}: ${escapeText(text)}`, this.chatStream);
  }

  /**
   * What a command was run for, on standard output; with `--json` events have that, and this goes
   * where all else goes. Each argument is one line.
   */
  report(...lines: string[]): void {
    if (this.json) return this.say(...lines);
    for (const line of lines) this.#print(escapeText(line), "stdout");
  }

  /** Text of our own on standard output, as it is: help, the version. */
  write(text: string): void {
    this.#sinks.stdout.write(text);
  }

  #printLines(lines: readonly string[], color?: number): void {
    for (const line of lines) {
      const safe = escapeText(line);
      this.#print(color ? this.#paint(safe, color, "stderr") : safe, "stderr");
    }
  }

  #print(line: string, to: Stream): void {
    if (this.screen) this.screen.print(line, to);
    else this.#sinks[to].write(`${line}\n`);
  }

  #paint(text: string, color: number | string, to: Stream): string {
    return this.#color && this.#sinks[to].terminal ? `\x1b[${color}m${text}\x1b[0m` : text;
  }
}

/** "14:05", in local time. */
function clockTime(date: Date): string {
  return [date.getHours(), date.getMinutes()].map((n) => String(n).padStart(2, "0")).join(":");
}

/** The same name has the same colour everywhere. */
function colorOf(name: string): number {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)!) >>> 0;
  return NAME_COLORS[hash % NAME_COLORS.length]!;
}

/** As JSON writes them: a pair of escapes beyond the basic plane. */
function writeAsEscapes(character: string): string {
  return character.split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}
