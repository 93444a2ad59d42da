/** What Tab does to the line being typed, as readline does it. Pure, but for asking what fits. */
import { escapeText } from "./escape.ts";
import { graphemes, textWidth } from "./width.ts";

/** What could stand where something is being typed. */
export interface Candidates {
  /** Index in the line at which the word begins that they would stand for. */
  from: number;
  words: readonly Candidate[];
}

export interface Candidate {
  /** The whole word; begins with what is there of it. */
  text: string;
  /** What goes behind it if it is the only one. */
  end?: string;
  /** How a list shows it. Default: the word. */
  shown?: string;
}

/** What fits the line up to the cursor. */
export type Completer = (before: string) => Promise<Candidates>;

/** What a press of Tab comes to: text in place of what is behind `from`, a list, or nothing. */
export type Completion =
  | { do: "insert"; from: number; text: string }
  | { do: "list"; words: string[] }
  | { do: "nothing" };

/** Words that a list shows. */
const MAX_LISTED = 100;
const GAP = "  ";

/**
 * Completes as far as it is clear; where it is not, lists what fits.
 * @param again whether the key before was Tab, too: only then it lists
 */
export function complete(before: string, { from, words }: Candidates, again: boolean): Completion {
  const typed = before.slice(from);
  const [only] = words;
  const text = words.length === 1 ? only!.text + (only!.end ?? "") : commonStart(words);
  if (text.length > typed.length && text.startsWith(typed)) return { do: "insert", from, text };
  if (!again || words.length < 2) return { do: "nothing" };
  return { do: "list", words: words.map(({ text, shown }) => shown ?? text) };
}

/** The words in columns, as lines that are safe to print, in order from top to bottom. */
export function listInColumns(words: readonly string[], columns: number): string[] {
  const cells = words.slice(0, MAX_LISTED).map(escapeText);
  const width = Math.max(...cells.map(textWidth)) + GAP.length;
  const across = Math.max(1, Math.floor((columns + GAP.length) / width));
  const rows = Math.ceil(cells.length / across);
  const lines = Array.from(
    { length: rows },
    (_, row) =>
      cells.filter((_, index) => index % rows === row)
        .map((cell) => cell + " ".repeat(width - textWidth(cell)))
        .join("").trimEnd(),
  );
  const more = words.length - cells.length;
  return more > 0 ? [...lines, `… and ${more} more`] : lines;
}

/** What all begin with, cut between two characters. */
function commonStart(words: readonly Candidate[]): string {
  const [first, ...others] = words.map(({ text }) => graphemes(text));
  if (!first) return "";
  const differs = first.findIndex((each, index) => others.some((other) => other[index] !== each));
  return first.slice(0, differs < 0 ? first.length : differs).join("");
}
