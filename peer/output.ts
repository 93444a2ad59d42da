/** All that the program prints. */
import type { Description } from "./words.ts";
import type { Screen } from "./terminal/screen.ts";

export interface OutputOptions {
  /** Events on standard output, one a line, instead of people's words there. */
  json?: boolean;
  /** Leaves out what `say` says. */
  quiet?: boolean;
  /** Shows where errors came from. */
  debug?: boolean;
  /** Standard output was closed by its reader; called once. Later output to it is dropped. */
  onStdoutClosed?: () => void;
}

export class Output {
  /** Prints go through it while it is there, above what is being typed. */
  screen: Screen | undefined;
  readonly json: boolean;
  readonly quiet: boolean;
  constructor(options: OutputOptions = {}) {
    this.json = options.json ?? false;
    this.quiet = options.quiet ?? false;
  }
  /** `{"event": name, …fields}` on standard output with --json; else nothing. */
  event(_name: string, _fields: Record<string, unknown> = {}): void {}
  /** For people, on standard error, not with --quiet. Each argument is a line, escaped here. */
  say(..._lines: string[]): void {}
  /** As `say`, also with --quiet. */
  warn(..._lines: string[]): void {}
  /** `p2p: error: …` and its hint on standard error, and the event `error {code, message}`. */
  error(_description: Description): void {}
  /** A chat line: `from: text` on standard output, or the event `message {from, text}`. */
  message(_from: string, _text: string): void {}
  /** Trusted text as it is on standard output: help, version. */
  write(_text: string): void {}
}
