import type { Key, KeyName } from "./keys.ts";
import { graphemes } from "./width.ts";

const MAX_HISTORY = 500;

/** A line being typed: pure state that keys change. */
export class LineEditor {
  #text = "";
  #cursor = 0;
  readonly #history: string[] = [];
  /** Where in the history the line stands; its length for the line that is new. */
  #at = 0;
  /** The new line, while an older one is shown. */
  #draft = "";

  get text(): string {
    return this.#text;
  }

  /** Where the next character goes: an index into `text`, always between two graphemes. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Applies a key; one that means nothing here changes nothing. */
  press(key: Key): void {
    if (key.name === "text") this.#replace(this.#cursor, this.#cursor, key.text);
    else this.#move(key.name);
  }

  /** Puts a text in place of what stands between an index and the cursor. */
  complete(from: number, text: string): void {
    this.#replace(from, this.#cursor, text);
  }

  /** Ends the line: it goes into the history, and an empty one begins. */
  take(): string {
    const line = this.#text;
    if (line && line !== this.#history.at(-1)) this.#history.push(line);
    if (this.#history.length > MAX_HISTORY) this.#history.shift();
    this.#at = this.#history.length;
    this.#draft = "";
    this.#show("");
    return line;
  }

  #move(name: KeyName): void {
    const at = this.#cursor;
    switch (name) {
      case "left":
        this.#cursor = this.#left();
        break;
      case "right":
        this.#cursor = this.#right();
        break;
      case "home":
        this.#cursor = 0;
        break;
      case "end":
        this.#cursor = this.#text.length;
        break;
      case "wordLeft":
        this.#cursor = this.#wordLeft();
        break;
      case "wordRight":
        this.#cursor = this.#wordRight();
        break;
      case "backspace":
        this.#replace(this.#left(), at);
        break;
      case "delete":
      case "endOfInput":
        this.#replace(at, this.#right());
        break;
      case "deleteLeft":
        this.#replace(0, at);
        break;
      case "deleteRight":
        this.#replace(at, this.#text.length);
        break;
      case "deleteWordLeft":
        this.#replace(this.#wordLeft(), at);
        break;
      case "deleteWordRight":
        this.#replace(at, this.#wordRight());
        break;
      case "up":
        this.#recall(this.#at - 1);
        break;
      case "down":
        this.#recall(this.#at + 1);
        break;
    }
  }

  #recall(to: number): void {
    if (to < 0 || to > this.#history.length) return;
    if (this.#at === this.#history.length) this.#draft = this.#text;
    this.#at = to;
    this.#show(this.#history[to] ?? this.#draft);
  }

  #show(text: string): void {
    this.#text = text;
    this.#cursor = text.length;
  }

  #replace(from: number, to: number, text = ""): void {
    this.#text = this.#text.slice(0, from) + text + this.#text.slice(to);
    this.#cursor = this.#boundary(from + text.length);
  }

  /**
   * The first place at or behind an index that is between two graphemes: what was put in may have
   * joined them.
   */
  #boundary(index: number): number {
    let boundary = 0;
    for (const grapheme of graphemes(this.#text)) {
      if (boundary >= index) break;
      boundary += grapheme.length;
    }
    return boundary;
  }

  #left(): number {
    const last = graphemes(this.#text.slice(0, this.#cursor)).at(-1);
    return this.#cursor - (last?.length ?? 0);
  }

  #right(): number {
    const [next] = graphemes(this.#text.slice(this.#cursor));
    return this.#cursor + (next?.length ?? 0);
  }

  #wordLeft(): number {
    const before = graphemes(this.#text.slice(0, this.#cursor));
    while (isSpace(before.at(-1))) before.pop();
    while (before.length && !isSpace(before.at(-1))) before.pop();
    return before.join("").length;
  }

  #wordRight(): number {
    const behind = /^\s*\S*/.exec(this.#text.slice(this.#cursor))![0].length;
    return this.#boundary(this.#cursor + behind);
  }
}

function isSpace(grapheme: string | undefined): boolean {
  return grapheme !== undefined && /^\s/.test(grapheme);
}
