import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe } from "../../peer/words.ts";
import {
  FileError,
  IdentityError,
  InterruptedError,
  P2pError,
  ProtocolError,
  RefusedError,
  StreamResetError,
  UnreachableError,
  UsageError,
} from "../../protocol/errors.ts";

Deno.test("describe() gives each sort of error its code and exit code", () => {
  const table: [Error, string, number][] = [
    [new P2pError("Thing not done: why"), "failed", 1],
    [new StreamResetError(2), "failed", 1],
    [new UsageError("Thing not done: why"), "usage", 2],
    [new RefusedError("Thing not done: why"), "refused", 3],
    [new UnreachableError("Thing not done: why"), "unreachable", 4],
    [new ProtocolError("Thing not done: why"), "protocol", 4],
    [new IdentityError("Thing not done: why"), "identity", 5],
    [new FileError("Thing not done: why"), "file", 6],
    [new InterruptedError("Interrupted"), "interrupted", 130],
    [new DOMException("aborted", "AbortError"), "interrupted", 130],
  ];
  for (const [error, code, exit] of table) {
    const described = describe(error);
    assertEquals([described.code, described.exit], [code, exit]);
    if (error instanceof P2pError) assertEquals(described.message, error.message);
  }
});

Deno.test("describe() keeps the hint, and has none where there is none", () => {
  assertEquals(describe(new FileError("A: b", { hint: "Do this." })).hint, "Do this.");
  assert(!("hint" in describe(new FileError("A: b"))));
});

Deno.test("describe() makes one line of an error that nobody foresaw", () => {
  const described = describe(new TypeError("x is not a function\n    at somewhere"));
  assertEquals(described.message, "Unexpected failure: TypeError: x is not a function");
  assertEquals([described.code, described.exit], ["failed", 1]);
  assertMatch(described.hint!, /P2P_DEBUG=1/);
});

Deno.test("describe() takes whatever was thrown", () => {
  for (const thrown of [undefined, null, "text", 7, {}, Object.create(null), Symbol("s")]) {
    const { message, exit } = describe(thrown);
    assertEquals([exit, /^Unexpected failure: /.test(message)], [1, true]);
  }
});

Deno.test("describe() names the permission that is missing", () => {
  const described = describe(
    new Deno.errors.NotCapable(
      'Requires env access to "HOME", run again with the --allow-env flag',
    ),
  );
  assertEquals(described.message, 'Not permitted: Requires env access to "HOME"');
  assertEquals(described.hint, "Run it with deno run --allow-env …");
});

Deno.test("describe() escapes the message, the hint and the stack", () => {
  const error = new RefusedError("Refused: \x1b[2J\nby \u202e", { hint: "\x07" });
  const { message, hint, stack } = describe(error);
  assertEquals([message, hint], ["Refused: \\x1b[2J\\nby \\u202e", "\\x07"]);
  assert(stack.every((line) => !line.includes("\x1b") && !line.includes("\n")));
});

Deno.test("describe() tells where an error and its causes came from, once around", () => {
  const cause = new Error("deep");
  const error = new P2pError("Outer: failed", { cause });
  const { stack } = describe(error);
  assertMatch(stack[0]!, /P2pError: Outer: failed/);
  assert(stack.some((line) => /^Caused by: Error: deep/.test(line)));
  cause.cause = error;
  assert(describe(error).stack.length < 500);
});
