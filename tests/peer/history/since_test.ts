import { assertEquals, assertThrows } from "@std/assert";
import { parseSince } from "../../../peer/history/since.ts";
import { UsageError } from "../../../protocol/errors.ts";

const NOW = 1_700_000_000_000;

Deno.test("parseSince() takes how long ago it was", () => {
  assertEquals(parseSince("30m", NOW), NOW - 1_800_000);
  assertEquals(parseSince("12h", NOW), NOW - 43_200_000);
  assertEquals(parseSince("7d", NOW), NOW - 604_800_000);
  assertEquals(parseSince("4w", NOW), NOW - 2_419_200_000);
});

Deno.test("parseSince() takes dates and times of this machine's clock", () => {
  assertEquals(parseSince("2026-11-21", NOW), new Date(2026, 10, 21).getTime());
  assertEquals(parseSince("2026-11-21 14:05", NOW), new Date(2026, 10, 21, 14, 5).getTime());
  assertEquals(parseSince("2026-11-21T14:05:09", NOW), new Date(2026, 10, 21, 14, 5, 9).getTime());
});

Deno.test("parseSince() refuses what is neither", () => {
  for (const text of ["yesterday", "7", "7y", "2026-13-01", "2026-11-21 25:00", "", "-1d"]) {
    assertThrows(() => parseSince(text, NOW), UsageError, "Time not understood");
  }
});
