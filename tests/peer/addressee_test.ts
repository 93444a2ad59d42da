import { assertEquals } from "@std/assert";
import { splitAddressee } from "../../peer/addressee.ts";

const NAMES = ["bob", "bob b", "anna", "it's me"];

Deno.test("splitAddressee() takes the longest name that fits", () => {
  assertEquals(splitAddressee(NAMES, "bob hello  you"), { name: "bob", rest: "hello  you" });
  assertEquals(splitAddressee(NAMES, "bob b hello"), { name: "bob b", rest: "hello" });
  assertEquals(splitAddressee(NAMES, "bob bhello"), { name: "bob", rest: "bhello" });
  assertEquals(splitAddressee(NAMES, "it's me  hi"), { name: "it's me", rest: "hi" });
});

Deno.test("splitAddressee() takes quotes around a name", () => {
  assertEquals(splitAddressee(NAMES, '"bob" b hello'), { name: "bob", rest: "b hello" });
  assertEquals(splitAddressee(NAMES, "'bob b' \"a b\""), { name: "bob b", rest: '"a b"' });
});

Deno.test("splitAddressee() finds nobody where no whole name stands", () => {
  for (const text of ["", "bobby hi", "carol hi", "Bob hi", '"bob', '"bob"x', " bob hi"]) {
    assertEquals(splitAddressee(NAMES, text), undefined, text);
  }
  assertEquals(splitAddressee([], "bob hi"), undefined);
});

Deno.test("splitAddressee() leaves nothing behind a name alone", () => {
  assertEquals(splitAddressee(NAMES, "bob"), { name: "bob", rest: "" });
});
