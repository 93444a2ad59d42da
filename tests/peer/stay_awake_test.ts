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

/** On one processor nobody stays awake. */
const test = navigator.hardwareConcurrency > 1 ? Deno.test : Deno.test.ignore;

function awakeIn(turns: Turns): StayAwake {
  return new StayAwake((event) => turns.waiting.push(event));
}

test("Staying awake: for so many turns, and then no more", () => {
  const turns = new Turns();
  const awake = awakeIn(turns);
  awake.begin();
  assertEquals(turns.run(), AWAKE_TURNS);
  awake.begin();
  assertEquals(turns.run(), AWAKE_TURNS);
});

test("Staying awake: begun anew, it lasts longer, not twice as much", () => {
  const turns = new Turns();
  const awake = awakeIn(turns);
  awake.begin();
  turns.run(100);
  awake.begin();
  assertEquals(turns.waiting.length, 1);
  assertEquals(turns.run(), AWAKE_TURNS);
});

test("Staying awake: ends at once, also where it begins again in the same turn", () => {
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
