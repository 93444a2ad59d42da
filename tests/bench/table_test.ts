import { assertEquals } from "@std/assert";
import { allHeld, atLeast, atMost, markdownTable, type Section, type Target } from "./table.ts";

Deno.test("markdownTable() pads columns and judges each row by all of its targets", () => {
  const section = sectionOf([atMost(0.8, 0.8)], [atMost(1, 2), atLeast(9, 10, "≥ 10 /s")], []);
  assertEquals(
    markdownTable(section),
    [
      "| tool | wall | ratio (p2p ÷ it) | target       | held?       |",
      "| ---- | ---- | ---------------- | ------------ | ----------- |",
      "| 0    | 1 s  | 0.50             | ≤ 0.8        | yes         |",
      "| 1    | 1 s  | 0.50             | ≤ 2; ≥ 10 /s | no: ≥ 10 /s |",
      "| 2    | 1 s  | 0.50             |              |             |",
    ].join("\n"),
  );
});

Deno.test("allHeld() is false when one target of one row was missed, or is not a number", () => {
  assertEquals(allHeld(sectionOf([atMost(1, 1)], [atLeast(1, 1)])), true);
  assertEquals(allHeld(sectionOf([atMost(1, 1)], [atMost(0, 1), atMost(1.01, 1)])), false);
  assertEquals(allHeld(sectionOf([atLeast(0.99, 1)])), false);
  assertEquals(allHeld(sectionOf([atMost(NaN, 1)])), false);
});

function sectionOf(...targets: Target[][]): Section {
  const rows = targets.map((targets, row) => {
    return { cells: [String(row), "1 s"], ratio: "0.50", targets };
  });
  return { name: "test", columns: ["tool", "wall"], rows, samples: {} };
}
