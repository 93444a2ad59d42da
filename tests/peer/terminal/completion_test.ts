import { assertEquals } from "@std/assert";
import { complete, listInColumns } from "../../../peer/terminal/completion.ts";

function words(...texts: string[]) {
  return { from: 5, words: texts.map((text) => ({ text, end: " " })) };
}

Deno.test("complete() puts the only word in, with what goes behind it", () => {
  assertEquals(complete("/msg bo", words("bob b"), false), {
    do: "insert",
    from: 5,
    text: "bob b ",
  });
  assertEquals(complete("/msg bob b", words("bob b"), false), {
    do: "insert",
    from: 5,
    text: "bob b ",
  });
});

Deno.test("complete() goes as far as all words agree, by whole characters", () => {
  const insert = (text: string) => ({ do: "insert", from: 5, text });
  assertEquals(complete("/msg a", words("anna", "andrew"), false), insert("an"));
  assertEquals(complete("/msg ", words("e\u0301a", "e\u0301b"), false), insert("e\u0301"));
  // The same letter with another accent is another character.
  assertEquals(complete("/msg ", words("xe\u0301", "xe\u0300"), false), insert("x"));
  assertEquals(complete("/msg ", words("👨‍👩‍👧", "👨‍👩‍👦"), false), { do: "nothing" });
});

Deno.test("complete() lists where it can go no further, at the second Tab only", () => {
  const found = { from: 5, words: [{ text: "a/b", shown: "b" }, { text: "a/c", end: " " }] };
  assertEquals(complete("/msg a/", found, false), { do: "nothing" });
  assertEquals(complete("/msg a/", found, true), { do: "list", words: ["b", "a/c"] });
});

Deno.test("complete() does nothing where nothing fits, nor with what does not begin as typed", () => {
  assertEquals(complete("/msg x", words(), true), { do: "nothing" });
  assertEquals(complete("/msg x", words("other word"), true), { do: "nothing" });
  assertEquals(complete("/quit", { from: 0, words: [{ text: "/quit" }] }, true), {
    do: "nothing",
  });
});

Deno.test("listInColumns() fills columns from top to bottom, as wide as the widest word", () => {
  assertEquals(listInColumns(["a", "bb", "ccc", "d", "e"], 12), ["a    d", "bb   e", "ccc"]);
  assertEquals(listInColumns(["a", "bb", "ccc", "d", "e"], 13), ["a    ccc  e", "bb   d"]);
  assertEquals(listInColumns(["a word that is too wide", "b"], 5), [
    "a word that is too wide",
    "b",
  ]);
  assertEquals(listInColumns(["漢字", "b"], 20), ["漢字  b"]);
});

Deno.test("listInColumns() shows no more than a hundred, and nothing that drives the terminal", () => {
  const many = Array.from({ length: 250 }, (_, index) => `word ${index}`);
  const lines = listInColumns(many, 1);
  assertEquals([lines.length, lines.at(-1)], [101, "… and 150 more"]);
  assertEquals(listInColumns(["a\x1b[2J", "b\u202e"], 80), ["a\\x1b[2J  b\\u202e"]);
});
