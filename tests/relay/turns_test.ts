import { assertEquals } from "@std/assert";
import { Turns } from "../../relay/turns.ts";
import { FakeClock, settled } from "../fakes/clock.ts";

const MIB = 1_048_576;

Deno.test("Circuits go on at once while little passes", () => {
  const clock = new FakeClock();
  const turns = new Turns(clock);
  for (let passed = 1; passed < 8; passed++) assertEquals(turns.passed(MIB), undefined);
  assertEquals(clock.pending, 0);
});

Deno.test("After 8 MiB of all circuits together each of them rests, and goes on again", async () => {
  const clock = new FakeClock();
  const turns = new Turns(clock);
  let resting = 0;
  for (let circuit = 0; circuit < 10; circuit++) {
    const rest = turns.passed(MIB);
    if (rest) resting++;
    rest?.then(() => resting--);
  }
  assertEquals([resting, clock.pending], [3, 1]);
  await clock.advance(1);
  await settled();
  assertEquals([resting, clock.pending], [0, 0]);
  assertEquals(turns.passed(MIB), undefined);
});
