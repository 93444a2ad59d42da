import { assertEquals } from "@std/assert";
import { LazyTimer } from "../../peer/lazy_timer.ts";
import { FakeClock } from "../fakes/clock.ts";

function timerIn(clock: FakeClock): { timer: LazyTimer; went: number[] } {
  const went: number[] = [];
  return { timer: new LazyTimer(clock, 20, () => went.push(clock.now())), went };
}

Deno.test("Lazy timer: goes off once, so long after it was set first", async () => {
  const clock = new FakeClock();
  const { timer, went } = timerIn(clock);
  const start = clock.now();
  timer.set();
  await clock.advance(15);
  timer.set();
  await clock.advance(100);
  assertEquals(went, [start + 20]);
  assertEquals(clock.pending, 0);
});

Deno.test("Lazy timer: unset, it does not go off", async () => {
  const clock = new FakeClock();
  const { timer, went } = timerIn(clock);
  timer.set();
  await clock.advance(19);
  timer.unset();
  await clock.advance(100);
  assertEquals(went, []);
  assertEquals(clock.pending, 0);
});

Deno.test("Lazy timer: set anew, it takes its whole time again, and the clock has one timer", async () => {
  const clock = new FakeClock();
  const { timer, went } = timerIn(clock);
  const start = clock.now();
  for (let message = 0; message < 5; message++) {
    timer.set();
    timer.unset();
  }
  await clock.advance(15);
  timer.set();
  assertEquals(clock.pending, 1);
  await clock.advance(19);
  assertEquals(went, []);
  await clock.advance(1);
  assertEquals(went, [start + 35]);
});

Deno.test("Lazy timer: stopped, it leaves nothing behind, and can be set again", async () => {
  const clock = new FakeClock();
  const { timer, went } = timerIn(clock);
  timer.set();
  timer.stop();
  assertEquals(clock.pending, 0);
  await clock.advance(50);
  timer.set();
  await clock.advance(20);
  assertEquals(went, [clock.now()]);
});
