import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Allowance } from "../../protocol/allowance.ts";
import { FakeClock } from "../fakes/clock.ts";

const OPTIONS = { burst: 10, perSecond: 100 };

Deno.test("Allowance lets a burst through, then so many a second", async () => {
  const clock = new FakeClock();
  const allowance = new Allowance(clock, OPTIONS);
  const takeAll = () => {
    let taken = 0;
    while (allowance.take()) taken++;
    return taken;
  };
  assertEquals(takeAll(), 10);
  await clock.advance(55);
  assertEquals(takeAll(), 5);
  await clock.advance(60_000);
  assertEquals(takeAll(), 10);
});

Deno.test("Allowance lets what costs more than it holds through, and waits for it afterwards", async () => {
  const clock = new FakeClock();
  const allowance = new Allowance(clock, OPTIONS);
  allowance.spend(110);
  assertEquals([allowance.left, allowance.take()], [-100, false]);
  assertEquals([allowance.msUntil(0), allowance.msUntil(5)], [1_000, 1_050]);
  await clock.advance(1_050);
  assertEquals([allowance.left, allowance.msUntil(5), allowance.msUntil(6)], [5, 0, 10]);
});

Deno.test("Allowance is overdrawn by no more than is asked for, but stays so if it was by more", () => {
  const allowance = new Allowance(new FakeClock(), OPTIONS);
  allowance.spend(4, 20);
  assertEquals(allowance.left, 6);
  allowance.spend(100, 20);
  allowance.spend(100, 20);
  assertEquals(allowance.left, -20);
  allowance.spend(30);
  allowance.spend(100, 20);
  assertEquals(allowance.left, -50);
});

Deno.test("Allowance never lets more through than the burst, what came since, and one message", () => {
  const step = fc.record({ wait: fc.nat(200), cost: fc.integer({ min: 1, max: 50 }) });
  fc.assert(fc.property(fc.array(step), (steps) => {
    const clock = new FakeClock();
    const allowance = new Allowance(clock, OPTIONS);
    const began = clock.now();
    let spent = 0;
    for (const { wait, cost } of steps) {
      clock.holdUp(wait);
      const ms = allowance.msUntil(0);
      if (ms > 0) clock.holdUp(ms);
      assert(allowance.left > -1e-6);
      const most = OPTIONS.burst + (clock.now() - began) * OPTIONS.perSecond / 1_000;
      assert(spent <= most + 1e-6, `${spent} of ${most}`);
      allowance.spend(cost);
      spent += cost;
    }
  }));
});

Deno.test("Allowance counts parts of a unit", async () => {
  const clock = new FakeClock();
  const allowance = new Allowance(clock, { burst: 1, perSecond: 3 });
  assert(allowance.take());
  for (let n = 0; n < 3; n++) await clock.advance(100);
  assertAlmostEquals(allowance.left, 0.9);
  assert(!allowance.take());
});
