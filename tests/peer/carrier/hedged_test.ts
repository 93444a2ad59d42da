import { assertEquals, assertRejects } from "@std/assert";
import { FURTHER_ATTEMPTS_MS, hedged } from "../../../peer/carrier/hedged.ts";
import { FakeClock, settled } from "../../fakes/clock.ts";

/** Attempts that end when a test says so. */
function start() {
  const clock = new FakeClock();
  const controller = new AbortController();
  const attempts: (PromiseWithResolvers<string> & { signal: AbortSignal })[] = [];
  const discarded: string[] = [];
  const outcome = hedged((signal) => {
    const attempt = Promise.withResolvers<string>();
    attempts.push({ ...attempt, signal });
    return attempt.promise;
  }, { signal: controller.signal, discard: (late) => discarded.push(late), clock });
  outcome.catch(() => {});
  return { clock, controller, attempts, discarded, outcome };
}

Deno.test("hedged(): an attempt that succeeds soon stays the only one", async () => {
  const { clock, attempts, outcome } = start();
  attempts[0]!.resolve("first");
  assertEquals(await outcome, "first");
  await clock.advance(5_000);
  assertEquals([attempts.length, clock.pending], [1, 0]);
});

Deno.test("hedged(): others begin beside one that takes long; the first to succeed is taken", async () => {
  const { clock, attempts, discarded, outcome } = start();
  await clock.advance(FURTHER_ATTEMPTS_MS[0]!);
  assertEquals(attempts.length, 2);
  attempts[1]!.resolve("second");
  assertEquals(await outcome, "second");
  assertEquals([attempts[0]!.signal.aborted, clock.pending], [true, 0]);
  attempts[0]!.resolve("first");
  await settled();
  assertEquals(discarded, ["first"]);
});

Deno.test("hedged(): who refuses one refuses all", async () => {
  const { clock, attempts, outcome } = start();
  await clock.advance(FURTHER_ATTEMPTS_MS[1]!);
  assertEquals(attempts.length, 3);
  attempts[2]!.reject(new Error("refused"));
  await assertRejects(() => outcome, Error, "refused");
  // What the others say afterwards is nobody's concern.
  attempts[0]!.reject(new Error("late"));
  await settled();
  assertEquals(attempts.map(({ signal }) => signal.aborted), [true, true, true]);
});

Deno.test("hedged(): an abort reaches every attempt", async () => {
  const { clock, controller, attempts, outcome } = start();
  await clock.advance(FURTHER_ATTEMPTS_MS[0]!);
  for (const { signal, reject } of attempts) {
    signal.addEventListener("abort", () => reject(signal.reason));
  }
  controller.abort(new Error("enough"));
  await assertRejects(() => outcome, Error, "enough");
  assertEquals(clock.pending, 0);
});
