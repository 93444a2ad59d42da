import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { shellWord } from "../../peer/shell_word.ts";

Deno.test("shellWord() leaves plain words alone and quotes the rest", () => {
  assertEquals(shellWord("1.2.3.4:8080"), "1.2.3.4:8080");
  assertEquals(shellWord("/home/a/b-c_d"), "/home/a/b-c_d");
  assertEquals(shellWord("[::1]:80"), "'[::1]:80'");
  assertEquals(shellWord("$(rm -rf ~)"), "'$(rm -rf ~)'");
  assertEquals(shellWord("O'Neil"), "'O'\\''Neil'");
  assertEquals(shellWord(""), "''");
});

Deno.test({
  name: "shellWord() gives what a shell reads as the text again",
  ignore: Deno.build.os === "windows",
  fn: () => {
    const texts = fc.sample(fc.string({ unit: "grapheme-ascii" }), { numRuns: 300, seed: 1 });
    const script = texts.map((text) => `printf '%s\\0' ${shellWord(text)}`).join("\n");
    const { stdout } = new Deno.Command("sh", { args: ["-c", script] }).outputSync();
    assertEquals(new TextDecoder().decode(stdout).split("\0").slice(0, -1), texts);
  },
});
