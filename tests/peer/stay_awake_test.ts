import { assertEquals } from "@std/assert";
import { AWAKE_TURNS, StayAwake } from "../../peer/stay_awake.ts";

/** Turns of an event loop that has nothing else to do. */
class Turns {
  readonly waiting: (() => void)[] = [];

  /** Turns until nothing waits, or so often; returns how often. */
  run(most = Infinity): number {
    let turns = 0;
    for (; turns < most && this.waiting.length > 0; turns++) this.waiting.shift()!();
    return turns;
  }
}

const oneProcessor = navigator.hardwareConcurrency === 1;

function awakeIn(turns: Turns): StayAwake {
  return new StayAwake((event) => turns.waiting.push(event));
}

Deno.test("Staying awake: for so many turns, and then no more", { ignore: oneProcessor }, () => {
  const turns = new Turns();
  const awake = awakeIn(turns);
  awake.begin();
  assertEquals(turns.run(), AWAKE_TURNS);
  awake.begin();
  assertEquals(turns.run(), AWAKE_TURNS);
});

Deno.test("Staying awake: begun anew, it lasts longer, not twice as much", {
  ignore: oneProcessor,
}, () => {
  const turns = new Turns();
  const awake = awakeIn(turns);
  awake.begin();
  turns.run(100);
  awake.begin();
  assertEquals(turns.waiting.length, 1);
  assertEquals(turns.run(), AWAKE_TURNS);
});

Deno.test("Staying awake: ends at once, also where it begins again in the same turn", {
  ignore: oneProcessor,
}, () => {
  const turns = new Turns();
  const awake = awakeIn(turns);
  awake.begin();
  awake.end();
  assertEquals(turns.run(), 1);
  awake.begin();
  awake.end();
  awake.begin();
  assertEquals(turns.waiting.length, 1);
  assertEquals(turns.run(), AWAKE_TURNS);
});
