import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Key, KeyDecoder } from "../../../peer/terminal/keys.ts";

/** Decodes the bytes in pieces of `size`; text that follows text is joined. */
function decode(input: string, size = Infinity): (string | { text: string })[] {
  const bytes = new TextEncoder().encode(input);
  const decoder = new KeyDecoder();
  const keys: (string | { text: string })[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    for (const key of decoder.push(bytes.subarray(at, at + size))) add(keys, key);
  }
  return keys;
}

function add(keys: (string | { text: string })[], key: Key): void {
  const last = keys.at(-1);
  if (key.name !== "text") keys.push(key.name);
  else if (typeof last === "object") last.text += key.text;
  else keys.push({ text: key.text });
}

const TABLE: [string, (string | { text: string })[]][] = [
  ["abc", [{ text: "abc" }]],
  ["é漢👩‍🚀", [{ text: "é漢👩‍🚀" }]],
  ["a\rb\n", [{ text: "a" }, "enter", { text: "b" }, "enter"]],
  ["\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]],
  ["\x1bOA\x1bOH\x1bOF", ["up", "home", "end"]],
  ["\x1b[H\x1b[4~\x1b[3~", ["home", "end", "delete"]],
  ["\x1b[1;5C\x1b[1;5D\x1bb\x1bf", ["wordRight", "wordLeft", "wordLeft", "wordRight"]],
  ["\x1b\x7f\x17\x15\x0b", ["deleteWordLeft", "deleteWordLeft", "deleteLeft", "deleteRight"]],
  ["\x03\x04\x0c", ["interrupt", "endOfInput", "clear"]],
  ["x\x1b[200~\x1b[99;99R\x1bOZ\x1bqy", [{ text: "xy" }]],
  ["\x07\x1a\x00\x9by", [{ text: "y" }]],
];

Deno.test("KeyDecoder.push() knows the keys, whole and byte by byte", () => {
  for (const [input, keys] of TABLE) {
    for (const size of [Infinity, 1, 2, 3]) assertEquals(decode(input, size), keys);
  }
});

Deno.test("KeyDecoder.push() gives up a sequence that does not end", () => {
  const keys = decode(`\x1b[${"1;".repeat(5_000)}`);
  assert(keys.length > 0);
  assertEquals(decode(`\x1b[${"1;".repeat(5_000)}\r`, 7).at(-1), "enter");
});

Deno.test("KeyDecoder.push() never passes a control character on as text", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes: Uint8Array) => {
    for (const key of new KeyDecoder().push(bytes)) {
      if (key.name === "text") assert(!/\p{Cc}/u.test(key.text));
    }
  }));
});
