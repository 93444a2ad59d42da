import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { KeyName } from "../../../peer/terminal/keys.ts";
import { LineEditor } from "../../../peer/terminal/line_editor.ts";
import { graphemes } from "../../../peer/terminal/width.ts";

/** Presses keys; what is in `"…"` is typed. Answers with the line, `|` where the cursor stands. */
function edit(keys: string, editor = new LineEditor()): string {
  for (const [, text, name] of keys.matchAll(/"([^"]*)"|(\w+)/g)) {
    editor.press(text === undefined ? { name: name as KeyName } : { name: "text", text });
  }
  const { text, cursor } = editor;
  return `${text.slice(0, cursor)}|${text.slice(cursor)}`;
}

Deno.test("LineEditor.press() edits", () => {
  const table: [string, string][] = [
    ['"abc"', "abc|"],
    ['"abc" left left "x"', "ax|bc"],
    ['"abc" home right delete', "a|c"],
    ['"abc" backspace', "ab|"],
    ['"abc" home backspace left', "|abc"],
    ['"abc" delete right', "abc|"],
    ['"abc" left endOfInput', "ab|"],
    ['"one two  three" wordLeft wordLeft', "one |two  three"],
    ['"one two" home wordRight', "one| two"],
    ['"one two " deleteWordLeft', "one |"],
    ['"one two" home deleteWordRight', "| two"],
    ['"one two" wordLeft deleteLeft', "|two"],
    ['"one two" wordLeft deleteRight', "one |"],
    ['"abc" up down', "abc|"],
  ];
  for (const [keys, line] of table) assertEquals(edit(keys), line);
});

Deno.test("LineEditor.press() moves and deletes by what people see as a character", () => {
  assertEquals(edit('"a👨‍👩‍👧b" left left'), "a|👨‍👩‍👧b");
  assertEquals(edit('"a👨‍👩‍👧" backspace'), "a|");
  assertEquals(edit('"e\u0301" backspace'), "|");
  assertEquals(edit('"漢字" left delete'), "漢|");
});

Deno.test("LineEditor.take() keeps history, the new line included", () => {
  const editor = new LineEditor();
  for (const line of ["one", "two", "two", ""]) {
    edit(`"${line}"`, editor);
    assertEquals(editor.take(), line);
  }
  assertEquals(edit('"dra" up', editor), "two|");
  assertEquals(edit("up up up", editor), "one|");
  assertEquals(edit('"!" down down', editor), "dra|");
});

Deno.test("LineEditor keeps its cursor between graphemes whatever is pressed", () => {
  const press = fc.oneof(
    fc.constantFrom("left", "right", "home", "end", "backspace", "delete", "wordLeft", "up"),
    fc.constantFrom('"👩"', '"\u200d"', '"🚀"', '"\u0301"', '"a b"', '"漢"'),
  );
  fc.assert(fc.property(fc.array(press), (keys: string[]) => {
    const editor = new LineEditor();
    edit(keys.join(" "), editor);
    const before = graphemes(editor.text.slice(0, editor.cursor));
    const all = graphemes(editor.text);
    assert(editor.cursor >= 0 && editor.cursor <= editor.text.length);
    assertEquals(all.slice(0, before.length).join(""), before.join(""));
  }));
});
