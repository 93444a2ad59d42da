import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { encodeText } from "../../protocol/bytes.ts";
import { checkName } from "../../protocol/name.ts";
import { isSameButForNumber, isSuggestionFor, ShownNames } from "../../protocol/shown_names.ts";

function names(): ShownNames {
  return new ShownNames("alice");
}

Deno.test("ShownNames: everybody has a name of its own, and keeps it", () => {
  const shown = names();
  assertEquals(shown.take("1", "bob", true), { name: "bob" });
  assertEquals(shown.take("2", "bob", true), { name: "bob-2" });
  assertEquals(shown.take("3", "bob", false), { name: "bob-3" });
  assertEquals(shown.take("4", "alice", true), { name: "alice-2" });
  shown.release("1");
  assertEquals([shown.of("1"), shown.of("2"), shown.of("3")], [undefined, "bob-2", "bob-3"]);
  assertEquals(shown.take("5", "bob", false), { name: "bob" });
});

Deno.test("ShownNames: who alone is known under a name gets it", () => {
  const shown = names();
  shown.take("stranger", "bob", false);
  const displaced = { id: "stranger", name: "bob-2" };
  assertEquals(shown.take("bob", "bob", true), { name: "bob", displaced });
  assertEquals(shown.of("stranger"), "bob-2");
});

Deno.test("ShownNames: a change to a name that is free is shown, and frees the one before", () => {
  const shown = names();
  shown.take("1", "bob", true);
  assertEquals(shown.isTaken("bob", "1"), false);
  assertEquals(shown.take("1", "BOB", true), { name: "BOB" });
  assertEquals(shown.take("1", "robert", true), { name: "robert" });
  assertEquals([shown.isTaken("bob"), shown.isTaken("robert")], [false, true]);
});

Deno.test("ShownNames: another session of the same member has its name", () => {
  const shown = names();
  shown.take("1", "bob", true);
  shown.move("1", "2");
  assertEquals(shown.take("2", "bob", true), { name: "bob" });
  shown.release("1");
  assertEquals(shown.of("2"), "bob");
});

Deno.test("ShownNames: names that look alike are one", () => {
  const shown = names();
  shown.take("1", "Bob Ross", true);
  for (const alike of ["bob ross", "BOB ROSS", "Bob  Ross", "Ｂｏｂ Ｒｏｓｓ", "𝐁ob Ross"]) {
    assert(shown.isTaken(alike), alike);
  }
  assert(!shown.isTaken("Bob Ros"));
  shown.renameUs("Straße");
  assert(shown.isTaken("STRASSE") === shown.isTaken("strasse"));
  assert(!shown.isTaken("alice"));
});

Deno.test("ShownNames suggests the next number that is free, here and where it is asked", () => {
  const shown = names();
  shown.take("1", "bob-2", true);
  assertEquals(shown.suggest("bob"), "bob-3");
  assertEquals(shown.suggest("bob-2"), "bob-3");
  assertEquals(shown.suggest("bob", (name) => name === "bob-3"), "bob-4");
  assertEquals(shown.suggest("-2"), "-2-2");
});

Deno.test("ShownNames suggests what somebody may be called, whatever the name", () => {
  const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 64 })
    .filter((text) => checkName(text).name !== undefined)
    .map((text) => checkName(text).name!);
  fc.assert(fc.property(name, (name) => {
    const shown = names();
    shown.take("1", name, true);
    const suggestion = shown.suggest(name);
    assertEquals(checkName(suggestion).name, suggestion);
    assert(encodeText(suggestion).length <= 64 && suggestion.endsWith("-2") || /\d$/.test(name));
    assert(!shown.isTaken(suggestion));
  }));
  assertEquals(names().suggest("x".repeat(64)), `${"x".repeat(62)}-2`);
  assertEquals(names().suggest("ü".repeat(32)), `${"ü".repeat(31)}-2`);
});

Deno.test("isSameButForNumber() knows what somebody was told to be called", () => {
  assert(isSameButForNumber("bob", "Bob-2"));
  assert(isSameButForNumber("bob-3", "bob-2"));
  assert(!isSameButForNumber("bob", "bob-x"));
  assert(!isSameButForNumber("bob", "bob-02"));
});

Deno.test("isSuggestionFor() knows what ShownNames suggests, and nothing else", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 80 }), (text) => {
    const { name } = checkName(text);
    fc.pre(name !== undefined);
    const names = new ShownNames(name);
    assert(isSuggestionFor(name, names.suggest(name)));
  }));
  for (const other of ["bob", "bob-1", "alice-2", "bobby-2", "bob-x", "bob-2 "]) {
    assert(!isSuggestionFor("bob", other), other);
  }
  assert(isSuggestionFor("bob-2", "bob-3"));
});
