/** Bytes from a terminal in raw mode → keys. */

const SEQUENCES = {
  "[A": "up",
  "[B": "down",
  "[C": "right",
  "[D": "left",
  "[H": "home",
  "[F": "end",
  "OA": "up",
  "OB": "down",
  "OC": "right",
  "OD": "left",
  "OH": "home",
  "OF": "end",
  "[1~": "home",
  "[3~": "delete",
  "[4~": "end",
  "[7~": "home",
  "[8~": "end",
  "[1;5C": "wordRight",
  "[1;5D": "wordLeft",
  "[1;3C": "wordRight",
  "[1;3D": "wordLeft",
  "b": "wordLeft",
  "f": "wordRight",
  "d": "deleteWordRight",
  "\x7f": "deleteWordLeft",
} as const;

const CONTROLS = {
  "\x01": "home",
  "\x02": "left",
  "\x03": "interrupt",
  "\x04": "endOfInput",
  "\x05": "end",
  "\x06": "right",
  "\x08": "backspace",
  "\t": "tab",
  "\n": "enter",
  "\x0b": "deleteRight",
  "\x0c": "clear",
  "\r": "enter",
  "\x0e": "down",
  "\x10": "up",
  "\x15": "deleteLeft",
  "\x17": "deleteWordLeft",
  "\x7f": "backspace",
} as const;

export type KeyName =
  | typeof SEQUENCES[keyof typeof SEQUENCES]
  | typeof CONTROLS[keyof typeof CONTROLS];

/** Typed text, or a key that does something. */
export type Key = { name: "text"; text: string } | { name: KeyName };

/**
 * One key at the front of what arrived: a sequence, a key with Alt, a control character, or text.
 */
const FRONT = new RegExp(
  String.raw`^(?:\x1b(\[[0-?]*[ -/]*[@-~]|O[ -~]|[^[O\x1b])|(\p{Cc})|(\P{Cc}+))`,
  "u",
);
/** The beginning of a sequence; longer ones than any terminal sends are given up. */
const BEGUN = new RegExp(String.raw`^\x1b(?:\[[0-?]{0,30}[ -/]{0,4}|O)?$`);

/** Incremental: a key may arrive in pieces. Unknown sequences are dropped. */
export class KeyDecoder {
  readonly #decoder = new TextDecoder();
  #pending = "";

  /** The keys that the bytes complete. */
  push(bytes: Uint8Array): Key[] {
    this.#pending += this.#decoder.decode(bytes, { stream: true });
    const keys: Key[] = [];
    while (this.#pending && !BEGUN.test(this.#pending)) {
      const key = this.#take();
      if (key) keys.push(key);
    }
    return keys;
  }

  #take(): Key | undefined {
    const match = FRONT.exec(this.#pending);
    this.#pending = this.#pending.slice(match?.[0].length ?? 1);
    if (!match) return undefined;
    const [, sequence, control, text] = match;
    if (text !== undefined) return { name: "text", text };
    const name = sequence !== undefined
      ? (SEQUENCES as Record<string, KeyName>)[sequence]
      : (CONTROLS as Record<string, KeyName>)[control!];
    return name && { name };
  }
}
