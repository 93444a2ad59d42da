import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { escapeText } from "../../../peer/terminal/escape.ts";

Deno.test("escapeText() writes out what steers terminals, hides text or reorders it", () => {
  const table: [string, string][] = [
    ["\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"],
    ["\x1b]0;title\x07", "\\x1b]0;title\\x07"],
    ["a\nb\r\nc\td", "a\\nb\\r\\nc\\td"],
    ["\0\x08\x7f\x80\x9b2J\x9f", "\\x00\\x08\\x7f\\x80\\x9b2J\\x9f"],
    ["film\u202egpj.exe", "film\\u202egpj.exe"],
    ["\u2066a\u2069\u061c\u200e\u200f", "\\u2066a\\u2069\\u061c\\u200e\\u200f"],
    ["al\u200bice \u00ad\u2060\ufeff", "al\\u200bice \\xad\\u2060\\ufeff"],
    ["al\u200dice \u200c", "al\\u200dice \\u200c"],
    ["line\u2028end\u2029", "line\\u2028end\\u2029"],
    ["\ufff9a\ufffab\ufffb", "\\ufff9a\\ufffab\\ufffb"],
    ["\u3164\uffa0\u17b4", "\\u3164\\uffa0\\u17b4"],
    ["a\u{e0041}\u{e0001}", "a\\u{e0041}\\u{e0001}"],
    ["a\ufe0f\ufe0e", "a\ufe0f\\ufe0e"],
    [" \ufe0f", " \\ufe0f"],
    ["\ud800 \udc00", "\\ud800 \\udc00"],
    ["\u{1f3f4}\u{e0073}\u{e0065}\u{e007f}", "\u{1f3f4}\\u{e0073}\\u{e0065}\\u{e007f}"],
  ];
  for (const [text, escaped] of table) assertEquals(escapeText(text), escaped);
});

Deno.test("escapeText() leaves every script and emoji as it is", () => {
  const texts = [
    "plain, with \\x1b already written out",
    "Größe Ελλάδα Привет 漢字 ひらがな 한국어 ไทย",
    "שלום مرحبا",
    "می\u200cخواهم",
    "क्\u200dष क्\u200cष ශ්\u200dරී",
    "👨\u200d👩\u200d👧 👩🏽\u200d🚀 🏳\ufe0f\u200d🌈 ❤\ufe0f 1\ufe0f\u20e3 🇨🇭",
    "👩\u200d❤\ufe0f\u200d👨 🤷🏽\u200d♀\ufe0f 👩\u200d⚕\ufe0f",
    "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "葛\u{e0100} e\u0301 \u1112\u1161\u11ab",
    "no\u00a0break",
  ];
  for (const text of texts) assertEquals(escapeText(text), text);
});

const unsafe = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_Control}]/u;
const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.array(
    fc.constantFrom("\x1b", "\x9b", "\n", "\u202e", "\u200d", "\ufe0f", "👩", "a", "م", "\ud83d"),
  ).map((parts: string[]) => parts.join("")),
);

Deno.test("escapeText() never lets a control character, separator or override through", () => {
  fc.assert(fc.property(anyText, (text: string) => {
    assert(!unsafe.test(escapeText(text)));
  }));
});

Deno.test("escapeText() changes nothing a second time", () => {
  fc.assert(fc.property(anyText, (text: string) => {
    assertEquals(escapeText(escapeText(text)), escapeText(text));
  }));
});
