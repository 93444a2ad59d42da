import { assertEquals, assertRejects } from "@std/assert";
import { type LineSource, readLines } from "../../../peer/terminal/read_lines.ts";
import { P2pError } from "../../../protocol/errors.ts";

/** Hands out the bytes in pieces of at most `size`, and counts how many were asked for. */
class Pieces implements LineSource {
  reads = 0;
  #bytes: Uint8Array;

  constructor(content: string | Uint8Array, readonly size = Infinity) {
    this.#bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  }

  read(into: Uint8Array): Promise<number | null> {
    this.reads++;
    const piece = this.#bytes.subarray(0, Math.min(this.size, into.length));
    this.#bytes = this.#bytes.subarray(piece.length);
    into.set(piece);
    return Promise.resolve(piece.length || null);
  }
}

Deno.test("readLines() yields lines however they arrive", async () => {
  const table: [string, string[]][] = [
    ["", []],
    ["one\ntwo\n", ["one", "two"]],
    ["one\ntwo", ["one", "two"]],
    ["\n\r\n\n", ["", "", ""]],
    ["crlf\r\nno cr\r in\rside\n", ["crlf", "no cr\r in\rside"]],
    ["größe 漢字 👩‍🚀\n", ["größe 漢字 👩‍🚀"]],
    [`${"x".repeat(200_000)}\nend`, ["x".repeat(200_000), "end"]],
  ];
  for (const [text, lines] of table) {
    for (const size of text.length > 1000 ? [Infinity, 7_919] : [Infinity, 1, 2, 3]) {
      assertEquals(await Array.fromAsync(readLines(new Pieces(text, size))), lines);
    }
  }
});

Deno.test("readLines() allows a line of exactly the limit, and no longer one", async () => {
  for (const end of ["", "\n", "\r\n"]) {
    assertEquals(await Array.fromAsync(readLines(new Pieces(`12345${end}`), 5)), ["12345"]);
  }
  for (const size of [Infinity, 1]) {
    await assertRejects(
      () => Array.fromAsync(readLines(new Pieces("1\n12345678\n", size), 5)),
      P2pError,
      "Line not sent: longer than 5 bytes",
    );
  }
});

Deno.test("readLines() refuses what is not UTF-8", async () => {
  await assertRejects(
    () => Array.fromAsync(readLines(new Pieces(Uint8Array.of(0x61, 0xff, 0x0a)))),
    P2pError,
    "Line not sent: standard input is not UTF-8 text",
  );
});

Deno.test("readLines() reads no further than what is taken", async () => {
  const pieces = new Pieces("a\nb\nc\n", 2);
  const lines = readLines(pieces);
  assertEquals([(await lines.next()).value, pieces.reads], ["a", 1]);
  assertEquals([(await lines.next()).value, pieces.reads], ["b", 2]);
  await lines.return();
});
