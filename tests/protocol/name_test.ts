import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { checkName } from "../../protocol/name.ts";

Deno.test("checkName() takes names in any script, and as they are", () => {
  const names = [
    "a",
    "alice",
    "Anne-Marie O'Neil",
    "Žofie",
    "田中 太郎",
    "نور",
    "दीपा",
    "🦊",
    "a:b",
    "12",
    "1a.2",
  ];
  for (const name of names) assertEquals(checkName(name), { name });
});

Deno.test("checkName() gives NFC, so that equal looks are equal text", () => {
  assertEquals(checkName("Zoe\u0308"), { name: "Zo\u00eb" });
  assertEquals(checkName("\u212b"), { name: "\u00c5" });
});

const refused: Record<string, string[]> = {
  "it is empty": [""],
  "it has a control or invisible character": [
    "a\tb",
    "a\nb",
    "\x1b[31mred",
    "a\0",
    "a\x7f",
    "a\x85",
    "al\u200bice", // zero-width space
    "al\u200dice", // zero-width joiner
    "alice\u200e", // left-to-right mark
    "\u202eecila", // right-to-left override
    "al\u2066ice\u2069", // isolates
    "al\u00adice", // soft hyphen
    "\u2028",
    "\u2029",
    "\ufeffalice",
    "\u3164", // Hangul filler
    "\u115f",
    "a\ufe0f", // variation selector
    "a\u{e0041}", // tag letter
    "a\u{e0100}",
    "a\u034fb", // combining grapheme joiner
    "\u2800", // blank Braille
    "\u2061",
    "a\ud800",
    "\udc00a",
  ],
  "it begins or ends with a space": [
    " ",
    " alice",
    "alice ",
    "alice\u00a0",
    "\u3000alice",
    "\u2003a",
  ],
  "it looks like the beginning of a line": [
    "p2p",
    "bob: hello",
    "bob (privately)",
    "bob (PRIVATELY)",
  ],
  "it looks like an address": [
    "1.2.3.4:8080",
    "[::1]:80",
    "host:1",
    ":1",
    "host:",
    "1.2.3.4",
    "[bot",
  ],
  "it is longer than 64 bytes": ["a".repeat(65), "é".repeat(33), "🦊".repeat(17)],
};

for (const [problem, names] of Object.entries(refused)) {
  Deno.test(`checkName() refuses names: ${problem}`, () => {
    for (const name of names) assertEquals(checkName(name), { problem }, JSON.stringify(name));
  });
}

Deno.test("checkName() takes 64 bytes", () => {
  for (const name of ["a".repeat(64), "é".repeat(32), "🦊".repeat(16)]) {
    assertEquals(checkName(name), { name });
  }
});

Deno.test("checkName() takes again what it gave, unchanged", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
    const { name } = checkName(text);
    if (name !== undefined) assertEquals(checkName(name), { name });
  }));
});
