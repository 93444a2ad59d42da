import { assertEquals } from "@std/assert";
import {
  formatBytes,
  formatBytesOf,
  formatDuration,
  formatRate,
  formatTimeLeft,
} from "../../../peer/terminal/format.ts";

Deno.test("formatBytes() counts in powers of 1000", () => {
  const table: [number, string][] = [
    [0, "0 B"],
    [1, "1 B"],
    [999, "999 B"],
    [1_000, "1 kB"],
    [1_040, "1.0 kB"],
    [1_500, "1.5 kB"],
    [9_949, "9.9 kB"],
    [9_951, "10 kB"],
    [999_499, "999 kB"],
    [999_500, "1.0 MB"],
    [700_000_000, "700 MB"],
    [5 * 2 ** 30, "5.4 GB"],
    [1e15, "1 PB"],
    [5e18, "5000 PB"],
  ];
  for (const [bytes, text] of table) assertEquals(formatBytes(bytes), text);
});

Deno.test("formatBytesOf() uses the total's unit", () => {
  assertEquals(formatBytesOf(434e6, 700e6), "434/700 MB");
  assertEquals(formatBytesOf(900_000, 700e6), "0.9/700 MB");
  assertEquals(formatBytesOf(0, 0), "0/0 B");
  assertEquals(formatBytesOf(1_500, undefined), "1.5 kB");
});

Deno.test("formatRate() says per second", () => assertEquals(formatRate(93.4e6), "93 MB/s"));

Deno.test("formatTimeLeft() rounds up", () => {
  const table: [number, string][] = [
    [0, "0:00"],
    [0.2, "0:01"],
    [59.5, "1:00"],
    [765, "12:45"],
    [3_723, "1:02:03"],
    [360_000, "100:00:00"],
    [-1, "0:00"],
  ];
  for (const [seconds, text] of table) assertEquals(formatTimeLeft(seconds), text);
});

Deno.test("formatDuration() keeps two figures", () => {
  const table: [number, string][] = [
    [0, "0.00 s"],
    [18, "0.02 s"],
    [94, "0.09 s"],
    [96, "0.1 s"],
    [7_500, "7.5 s"],
    [9_960, "10 s"],
    [59_600, "1 min 0 s"],
    [125_000, "2 min 5 s"],
    [3_720_000, "1 h 2 min"],
  ];
  for (const [ms, text] of table) assertEquals(formatDuration(ms), text);
});
