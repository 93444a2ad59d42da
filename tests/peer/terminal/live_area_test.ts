import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { layOut, LiveArea, type LiveContent } from "../../../peer/terminal/live_area.ts";
import { graphemes, graphemeWidth, textWidth } from "../../../peer/terminal/width.ts";

/** A sequence with its number and letter, or a character. */
const TOKEN = new RegExp(String.raw`\x1b\[(\d*)([A-Z])|[^\x1b]`, "gu");

/** As much of a terminal as the live area speaks to. */
class FakeTerminal {
  readonly rows: string[][] = [[]];
  #row = 0;
  #column = 0;

  constructor(readonly columns: number) {}

  write(text: string): this {
    for (const [token, count, command] of text.matchAll(TOKEN)) {
      if (command === "A") this.#row = Math.max(0, this.#row - Number(count));
      else if (command === "C") this.#column += Number(count);
      else if (command === "J") this.#clear();
      else if (token === "\r") this.#column = 0;
      else if (token === "\n") this.#newline();
      else this.#put(token);
    }
    return this;
  }

  get text(): string {
    return this.rows.map((row) => row.join("")).join("\n");
  }

  get cursor(): [number, number] {
    return [this.#column, this.#row];
  }

  #put(character: string): void {
    const width = graphemeWidth(character);
    if (this.#column + width > this.columns) this.#newline();
    const row = this.rows[this.#row]!;
    row[this.#column] = character;
    if (width === 2) row[this.#column + 1] = "";
    this.#column += width;
  }

  #newline(): void {
    this.#column = 0;
    this.rows[++this.#row] ??= [];
  }

  #clear(): void {
    this.rows.length = this.#row + 1;
    this.rows[this.#row]!.length = this.#column;
  }
}

Deno.test("layOut() breaks lines as a terminal does", () => {
  const table: [string, number, string[], [number, number]][] = [
    ["", 0, ["> "], [0, 2]],
    ["abc", 1, ["> abc"], [0, 3]],
    ["abcdefgh", 8, ["> abcdefgh", ""], [1, 0]],
    ["abcdefgh", 7, ["> abcdefgh"], [0, 9]],
    ["abcdefghi", 8, ["> abcdefgh", "i"], [1, 0]],
    ["abcdefg漢", 8, ["> abcdefg", "漢"], [1, 2]],
    ["a\x1bb", 3, ["> a\\x1bb"], [0, 8]],
  ];
  for (const [text, cursor, rows, [row, column]] of table) {
    const laid = layOut({ prompt: "> ", text, cursor }, 10);
    assertEquals([laid.rows, laid.cursorRow, laid.cursorColumn], [rows, row, column], text);
  }
});

const content = fc.record({
  status: fc.array(fc.string({ unit: fc.constantFrom("a", "b", "漢", "=") }), { maxLength: 3 }),
  typed: fc.option(
    fc.tuple(fc.string({ unit: fc.constantFrom("x", "y", "漢"), maxLength: 70 }), fc.nat(70))
      .map(([text, at]: [string, number]) => ({
        prompt: "> ",
        text,
        cursor: Math.min(at, text.length),
      })),
    { nil: undefined },
  ),
});

Deno.test("LiveArea.draw() shows what it is given, the cursor in its place, and erase() takes all of it away", () => {
  const columns = fc.integer({ min: 6, max: 30 });
  fc.assert(fc.property(fc.array(content), columns, (contents: LiveContent[], columns: number) => {
    const size = { columns, rows: 40 };
    const terminal = new FakeTerminal(columns);
    const area = new LiveArea();
    const printed: string[] = [];
    for (const content of contents) {
      terminal.write(area.erase(size));
      assertEquals(terminal.text, [...printed, ""].join("\n"));
      const line = `line ${printed.length}`.slice(0, columns);
      printed.push(line);
      terminal.write(`${line}\n${area.draw(content, size)}`);
      assertShows(terminal, content, printed);
    }
  }));
});

/** Asserts that the typed line stands whole at the bottom with the cursor where it should be. */
function assertShows(
  terminal: FakeTerminal,
  { status, typed }: LiveContent,
  printed: string[],
): void {
  const [column, row] = terminal.cursor;
  const first = printed.length;
  assertEquals(terminal.rows.slice(0, first).map((cells) => cells.join("")), printed);
  if (!typed) return;
  const laid = layOut(typed, terminal.columns);
  const shown = terminal.rows.slice(first + status.length).map((cells) => cells.join(""));
  assertEquals(shown, laid.rows);
  assertEquals([column, row - first - status.length], [laid.cursorColumn, laid.cursorRow]);
}

Deno.test("LiveArea.draw() never takes more rows than there are, and keeps the cursor among them", () => {
  const size = { columns: 10, rows: 4 };
  for (const cursor of [0, 50, 100]) {
    const typed = { prompt: "> ", text: "x".repeat(100), cursor };
    const terminal = new FakeTerminal(size.columns);
    const area = new LiveArea();
    terminal.write(area.draw({ status: ["one"], typed }, size));
    assert(terminal.rows.length <= size.rows);
    assert(terminal.cursor[1] >= 1 && terminal.cursor[1] < size.rows);
    assertEquals(terminal.write(area.erase(size)).text, "");
  }
});

Deno.test("LiveArea.draw() cuts status lines so that they do not wrap", () => {
  const terminal = new FakeTerminal(10);
  const area = new LiveArea();
  const size = { columns: 10, rows: 5 };
  terminal.write(area.draw({ status: ["0123456789abc", "漢字漢字漢字"] }, size));
  assertEquals(terminal.text, "01234567…\n漢字漢字…");
  assertEquals(terminal.write(area.erase(size)).text, "");
});

Deno.test("textWidth() counts columns", () => {
  const table: [string, number][] = [
    ["abc", 3],
    ["漢字", 4],
    ["한국", 4],
    ["e\u0301", 1],
    ["👩", 2],
    ["👨‍👩‍👧", 2],
    ["❤️", 2],
    ["🇨🇭", 2],
    ["ไทย", 3],
    ["é…█", 3],
    ["ｆｕｌｌ", 8],
    ["می‌خواهم", 7],
  ];
  for (const [text, width] of table) assertEquals(textWidth(text), width, text);
  for (const [text] of table) assertEquals(graphemes(text).join(""), text);
});
