import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { MAX_PUNCH_RATE } from "../../protocol/limits.ts";
import { PunchRate } from "../../protocol/punch_rate.ts";

Deno.test("PunchRate lets a burst through, then an even rate", () => {
  const rate = new PunchRate(20);
  let sent = 0;
  while (rate.take(0, 5)) sent++;
  assertEquals(sent, 20);
  for (let now = 5; now < 1_000; now++) if (rate.take(0, now)) sent++;
  assertEquals(sent, 20 + 79);
});

Deno.test("PunchRate leaves what it is told to", () => {
  const rate = new PunchRate(20);
  const taken = [8, 6, 3, 0].map((leave) => {
    let count = 0;
    while (rate.take(leave, 0)) count++;
    return count;
  });
  assertEquals(taken, [12, 2, 3, 3]);
});

Deno.test("PunchRate has nothing left before the time that it tells, and something at that time", () => {
  const step = fc.record({
    wait: fc.double({ min: 0, max: 300, noNaN: true }),
    leave: fc.nat(9),
    takes: fc.nat(30),
  });
  fc.assert(fc.property(fc.nat(1e9), fc.array(step), (start, steps) => {
    const rate = new PunchRate(12);
    let now = start;
    for (const { wait, leave, takes } of steps) {
      now += wait;
      for (let i = 0; i < takes; i++) {
        const readyAt = rate.readyAt(leave);
        if (readyAt > now) assert(!rate.take(leave, now));
        now = Math.max(now, readyAt);
        assert(rate.take(leave, now));
      }
    }
  }));
});

Deno.test("PunchRate never lets more than its rate through in any second", () => {
  const waits = fc.array(fc.tuple(fc.double({ min: 0, max: 400, noNaN: true }), fc.nat(60)));
  fc.assert(fc.property(fc.constantFrom(12, 20), waits, (burst, steps) => {
    const rate = new PunchRate(burst);
    const sent: number[] = [];
    let now = 0;
    for (const [wait, wanted] of steps) {
      now += wait;
      for (let i = 0; i < wanted; i++) if (rate.take(0, now)) sent.push(now);
    }
    for (const [index, at] of sent.entries()) {
      assert(!(sent[index + MAX_PUNCH_RATE]! - at < 1_000));
    }
  }));
});
