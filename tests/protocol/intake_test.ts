import { assert, assertEquals } from "@std/assert";
import { Intake } from "../../protocol/intake.ts";
import {
  FLOOD_ENDED_AFTER_MS,
  FLOOD_EXCUSED_UNITS,
  FLOOD_TOLD_AFTER_MS,
  TAKEN_AT_ONCE,
  TAKEN_PER_SECOND,
} from "../../protocol/limits.ts";
import { FakeClock } from "../fakes/clock.ts";

/** Milliseconds until all that is excused is taken, the bucket full to begin with. */
const EXCUSED_MS = (FLOOD_EXCUSED_UNITS - TAKEN_AT_ONCE) / TAKEN_PER_SECOND * 1_000;
/** Milliseconds by which a verdict may come late: it comes with a message. */
const LATE_MS = 200;

interface Message {
  cost?: number;
  own?: boolean;
}

/** Takes messages as they may be taken. */
class Rig {
  readonly clock = new FakeClock();
  readonly intake = new Intake(this.clock);
  readonly began = this.clock.now();
  taken = 0;
  /** Milliseconds from the beginning to each verdict. */
  readonly verdicts: Record<string, number> = {};

  take({ cost = 1, own = true }: Message = {}): void {
    this.intake.take({ cost, own });
    this.taken += cost;
    const { verdict } = this.intake;
    if (!verdict) return;
    assert(!(verdict in this.verdicts), `${verdict} again`);
    this.verdicts[verdict] = this.clock.now() - this.began;
  }

  /** Somebody says as much as is taken, for so long. */
  flood(ms: number, next: () => Message = () => ({})): void {
    const until = this.clock.now() + ms;
    while (this.clock.now() < until) {
      this.take(next());
      this.clock.holdUp(this.intake.waitMs);
    }
  }
}

Deno.test("Intake takes a burst at once, then 500 units a second, some at a time", () => {
  const rig = new Rig();
  while (rig.intake.waitMs === 0) rig.take();
  assertEquals([rig.taken, rig.clock.now() - rig.began], [TAKEN_AT_ONCE + 1, 0]);
  assertEquals(rig.intake.waitMs, 52);
  rig.flood(10_000);
  const most = TAKEN_AT_ONCE + 10_000 * TAKEN_PER_SECOND / 1_000;
  assert(Math.abs(rig.taken - most) < 50, `${rig.taken}`);
});

Deno.test("Intake waits the longer the more a message costs", () => {
  const rig = new Rig();
  rig.take({ cost: TAKEN_AT_ONCE + 4_000 });
  assertEquals(rig.intake.waitMs, 8_050);
});

Deno.test("Intake has the user told of who floods after 10 s, and sends them away after 30 s", () => {
  const rig = new Rig();
  rig.flood(EXCUSED_MS + FLOOD_ENDED_AFTER_MS + 5_000);
  const { tell, sendAway } = rig.verdicts;
  for (const [at, after] of [[tell, FLOOD_TOLD_AFTER_MS], [sendAway, FLOOD_ENDED_AFTER_MS]]) {
    assert(Math.abs(at! - EXCUSED_MS - after!) < LATE_MS, `${at}`);
  }
});

Deno.test("Intake judges messages that cost much as it does many", () => {
  const rig = new Rig();
  rig.flood(60_000, () => ({ cost: 129 }));
  assertEquals(Object.keys(rig.verdicts), ["tell", "sendAway"]);
});

Deno.test("Intake does not hold lines that somebody hands on against them, but takes no more", () => {
  const rig = new Rig();
  rig.flood(120_000, () => ({ own: false }));
  let n = 0;
  rig.flood(120_000, () => ({ own: n++ % 5 > 0 }));
  assertEquals(rig.verdicts, {});
  assert(rig.taken <= TAKEN_AT_ONCE + 240.1 * TAKEN_PER_SECOND, `${rig.taken}`);
});

Deno.test("Intake does not hold against somebody what they say at half of the limit, nor what was under way", async () => {
  const rig = new Rig();
  // As fast as a pipe fills a window, then as a member of ours goes on.
  rig.flood(EXCUSED_MS);
  for (let n = 0; n < 60_000; n += 100) {
    for (let said = 0; said < 25; said++) rig.take();
    assertEquals(rig.intake.waitMs > 0 && n > 10_000, false);
    await rig.clock.advance(100);
  }
  // A large line takes longer, and is paid for.
  for (let n = 0; n < 10; n++) {
    rig.take({ cost: 4_097 });
    await rig.clock.advance(4_097 * 4);
  }
  assertEquals(rig.verdicts, {});
});

Deno.test("Intake forgets who paused, and who was alone with us", async () => {
  const rig = new Rig();
  rig.flood(EXCUSED_MS + 8_000);
  await rig.clock.advance(1_100);
  rig.flood(9_000);
  assertEquals(rig.verdicts, {});
  rig.intake.release();
  rig.flood(EXCUSED_MS + FLOOD_TOLD_AFTER_MS);
  assertEquals(rig.verdicts, {});
  rig.flood(FLOOD_TOLD_AFTER_MS);
  assertEquals(Object.keys(rig.verdicts), ["tell"]);
});

Deno.test("Intake does not take a line handed on much later for the end of a flood", async () => {
  const rig = new Rig();
  rig.flood(EXCUSED_MS + 2_000);
  await rig.clock.advance(FLOOD_ENDED_AFTER_MS);
  rig.take({ own: false });
  assertEquals(rig.verdicts, {});
});

Deno.test("Intake excuses what comes when a connection is there again", async () => {
  const rig = new Rig();
  rig.flood(1_000, () => ({ cost: 10 }));
  await rig.clock.advance(60_000);
  rig.intake.excuse();
  rig.flood(EXCUSED_MS + 2_000);
  assertEquals(rig.verdicts, {});
});
