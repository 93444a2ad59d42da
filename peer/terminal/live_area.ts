/**
 * The bottom of the terminal, which changes in place: status lines, and under them the line being
 * typed. Pure: it answers with the text that makes the terminal show it. The terminal itself wraps
 * the typed line, so that a change of its width moves the text as `layOut` says.
 *
 *     film.mkv  ████████░░░░  62%  434/700 MB …
 *     > the line being typed, which may be
 *     longer than the terminal is wide_
 */
import { escapeText } from "./escape.ts";
import { fitWidth, graphemes, graphemeWidth, textWidth } from "./width.ts";

export interface Size {
  columns: number;
  rows: number;
}

/** The line being typed. */
export interface Typed {
  prompt: string;
  text: string;
  /** Index into `text`. */
  cursor: number;
}

/** What the live area shows. */
export interface LiveContent {
  status: readonly string[];
  typed?: Typed | undefined;
}

/** A line broken as a terminal breaks it, and where the cursor stands in it. */
export interface LaidOut {
  rows: string[];
  cursorRow: number;
  cursorColumn: number;
}

/** Breaks a line into the rows that a terminal of that width shows. */
export function layOut(typed: Typed, columns: number): LaidOut {
  const rows = [""];
  let column = 0;
  const laid: LaidOut = { rows, cursorRow: 0, cursorColumn: 0 };
  function add(text: string): void {
    for (const grapheme of graphemes(text)) {
      const width = graphemeWidth(grapheme);
      if (column + width > columns) {
        rows.push("");
        column = 0;
      }
      rows[rows.length - 1] += grapheme;
      column += width;
    }
  }
  add(escapeText(typed.prompt) + escapeText(typed.text.slice(0, typed.cursor)));
  const full = column >= columns;
  laid.cursorRow = full ? rows.length : rows.length - 1;
  laid.cursorColumn = full ? 0 : column;
  add(escapeText(typed.text.slice(typed.cursor)));
  if (laid.cursorRow === rows.length) rows.push("");
  return laid;
}

export class LiveArea {
  /** What the terminal shows now; undefined while it shows nothing. */
  #shown: LiveContent | undefined;
  /** The first row of the typed line that is shown, where it is too long to be shown whole. */
  #scrolled = 0;

  /** Text that takes the live area away and leaves the cursor where it began. */
  erase(size: Size): string {
    const shown = this.#shown;
    if (!shown) return "";
    this.#shown = undefined;
    const above = rowsOf(shown.status, size.columns) + this.#cursorRow(shown, size.columns);
    return `${above ? `\x1b[${Math.min(above, size.rows - 1)}A` : ""}\r\x1b[J`;
  }

  /** Text that shows the live area where the cursor stands, which is at the start of a row. */
  draw(content: LiveContent, size: Size): string {
    const { columns } = size;
    const room = Math.max(0, size.rows - (content.typed ? 2 : 1));
    const status = content.status.slice(0, room).map((line) => fitWidth(line, columns - 1));
    if (!content.typed && status.length === 0) return "";
    this.#shown = { status, typed: content.typed };
    if (!content.typed) return status.join("\n");
    const laid = layOut(content.typed, columns);
    return status.map((line) => `${line}\n`).join("") +
      this.#drawTyped(laid, Math.max(1, size.rows - status.length - 1));
  }

  /** The typed line, or the rows of it around the cursor where it has more than `height`. */
  #drawTyped(laid: LaidOut, height: number): string {
    this.#scrolled = Math.max(0, laid.cursorRow - height + 1);
    const rows = laid.rows.slice(this.#scrolled, this.#scrolled + height);
    const last = rows.at(-1)!;
    const up = rows.length - 1 - (laid.cursorRow - this.#scrolled);
    // Behind a full row the terminal still stands in that row: the next one is begun by hand.
    const text = rows.join("").concat(last === "" && rows.length > 1 ? "\r\n" : "");
    const column = laid.cursorColumn ? `\x1b[${laid.cursorColumn}C` : "";
    return `${text}${up ? `\x1b[${up}A` : ""}\r${column}`;
  }

  #cursorRow(shown: LiveContent, columns: number): number {
    if (!shown.typed) return shown.status.length ? -1 : 0;
    return layOut(shown.typed, columns).cursorRow - this.#scrolled;
  }
}

/** Rows that lines take, each wrapped for itself. */
function rowsOf(lines: readonly string[], columns: number): number {
  return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(textWidth(line) / columns)), 0);
}
