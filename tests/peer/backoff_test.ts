import { assert, assertEquals } from "@std/assert";
import { Backoff } from "../../peer/backoff.ts";
import { FakeClock } from "../fakes/clock.ts";

const half = () => 0.5;

Deno.test("Backoff.next() begins at 100 ms, doubles, and stays at 5 s", () => {
  const backoff = new Backoff(new FakeClock(), half);
  const waits = Array.from({ length: 9 }, () => backoff.next());
  assertEquals(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
});

Deno.test("Backoff.next() differs by half either way, and never exceeds 5 s", () => {
  for (const random of [0, 0.3, 0.999]) {
    const backoff = new Backoff(new FakeClock(), () => random);
    assertEquals(backoff.next(), 100 * (0.5 + random));
    for (let i = 0; i < 20; i++) assert(backoff.next() <= 5_000);
  }
});

Deno.test("Backoff.next() is short again after what lasted, and not after what broke off at once", async () => {
  const clock = new FakeClock();
  const backoff = new Backoff(clock, half);
  for (let i = 0; i < 4; i++) backoff.next();
  backoff.succeeded();
  await clock.advance(9_000);
  assertEquals(backoff.next(), 1_600);
  backoff.succeeded();
  await clock.advance(10_001);
  assertEquals([backoff.next(), backoff.next()], [100, 200]);
});

Deno.test("Backoff.next() keeps to the range that it is given", () => {
  const backoff = new Backoff(new FakeClock(), half, { firstMs: 10, longestMs: 35 });
  assertEquals(Array.from({ length: 4 }, () => backoff.next()), [10, 20, 35, 35]);
});
