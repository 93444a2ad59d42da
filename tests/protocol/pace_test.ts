import { assert, assertEquals } from "@std/assert";
import { MAX_IN_FLIGHT_BYTES, MIN_IN_FLIGHT_BYTES, Pace } from "../../protocol/pace.ts";

interface Line {
  /** Bytes per millisecond. */
  rate: number;
  /** Milliseconds there and back, of a byte that waits for none. */
  roundTrip: number;
}

/**
 * What a line with room for everything in its buffers does to a sender that always has something to
 * send.
 */
function simulate(
  pace: Pace,
  line: Line,
  ms: number,
  from = 0,
): { carried: number; worst: number } {
  const frame = 16_384;
  const underWay: { sentAt: number; ackedThen: number; ackAt: number }[] = [];
  let [free, acked, inFlight, worst] = [from, 0, 0, 0];
  for (let now = from; now < from + ms; now += 1) {
    while (underWay.length > 0 && underWay[0]!.ackAt <= now) {
      const { sentAt, ackedThen } = underWay.shift()!;
      acked += frame;
      inFlight -= frame;
      worst = now > from + ms / 2 ? Math.max(worst, now - sentAt) : 0;
      pace.acknowledged({ roundTrip: now - sentAt, bytes: acked - ackedThen }, now);
    }
    while (inFlight < pace.limit) {
      free = Math.max(free, now) + frame / line.rate;
      underWay.push({ sentAt: now, ackedThen: acked, ackAt: free + line.roundTrip });
      inFlight += frame;
    }
  }
  return { carried: acked / (line.rate * ms), worst };
}

Deno.test("Pace begins with its least, and begins anew after reset()", () => {
  const pace = new Pace();
  assertEquals(pace.limit, MIN_IN_FLIGHT_BYTES);
  pace.acknowledged({ roundTrip: 10, bytes: 10_000_000 }, 5);
  assert(pace.limit > MIN_IN_FLIGHT_BYTES);
  pace.reset();
  assertEquals(pace.limit, MIN_IN_FLIGHT_BYTES);
});

Deno.test("Pace stays within its bounds, whatever it is told", () => {
  const pace = new Pace();
  for (const roundTrip of [0, 0.001, 1, 100, 1e9]) {
    for (const bytes of [0, 1, 1e12]) {
      pace.acknowledged({ roundTrip, bytes }, 1);
      assert(pace.limit >= MIN_IN_FLIGHT_BYTES && pace.limit <= MAX_IN_FLIGHT_BYTES);
    }
  }
});

for (
  const [name, line] of [
    ["a slow line", { rate: 100, roundTrip: 40 }],
    ["a usual line", { rate: 1_250, roundTrip: 20 }],
    ["a fast line far away", { rate: 12_500, roundTrip: 150 }],
    ["a local network", { rate: 110_000, roundTrip: 1 }],
  ] as [string, Line][]
) {
  Deno.test(`Pace fills ${name}, and lets no queue grow, however long it sends`, () => {
    const { carried, worst } = simulate(new Pace(), line, 120_000);
    assert(carried > 0.94, `${carried} of the line used`);
    // The least under way is a quarter of a megabyte; a slow line takes that long for it.
    const least = MIN_IN_FLIGHT_BYTES / line.rate;
    const allowed = line.roundTrip + 300 + 2 * least;
    assert(worst <= allowed, `${worst} ms of waiting, where ${allowed} are allowed`);
  });
}

Deno.test("Pace follows a line that becomes slower, and farther", () => {
  const pace = new Pace();
  simulate(pace, { rate: 12_500, roundTrip: 20 }, 20_000);
  const slower = { rate: 1_250, roundTrip: 400 };
  const { carried, worst } = simulate(pace, slower, 120_000, 20_000);
  assert(carried > 0.85, `${carried} of the line used`);
  assert(worst < 1_300, `${worst} ms of waiting`);
});

Deno.test("Pace takes a million acknowledgements in little time, whatever they show", () => {
  const pace = new Pace();
  const start = performance.now();
  for (let i = 0; i < 1_000_000; i++) {
    pace.acknowledged({ roundTrip: 1 + i / 1_000, bytes: 100 }, i / 1_000);
  }
  assert(performance.now() - start < 5_000);
});
