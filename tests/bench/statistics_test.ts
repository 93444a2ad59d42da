import { assertEquals } from "@std/assert";
import { median, medianRatio, percentile } from "./statistics.ts";

Deno.test("median() takes the middle sample by value, or the mean of the two middle ones", () => {
  assertEquals(median([10, 9, 100]), 10);
  assertEquals(median([4, 1, 3, 2]), 2.5);
});

Deno.test("percentile() is the nearest rank", () => {
  const samples = Array.from({ length: 100 }, (_, index) => 100 - index);
  assertEquals([0.5, 0.99, 1].map((share) => percentile(samples, share)), [50, 99, 100]);
  assertEquals(percentile([7], 0.01), 7);
});

Deno.test("medianRatio() divides within each round, not median by median", () => {
  const [ours, theirs] = [[1, 8, 6], [1, 4, 1]];
  assertEquals(medianRatio(ours, theirs), 2);
  assertEquals(median(ours) / median(theirs), 6);
});
