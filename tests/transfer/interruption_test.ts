import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { Interruption } from "../../transfer/interruption.ts";

Deno.test("Interruption.race() settles as the promise does", async () => {
  const interruption = new Interruption();
  assertEquals(await interruption.race(Promise.resolve(1)), 1);
  await assertRejects(() => interruption.race(Promise.reject(new Error("own"))), Error, "own");
});

Deno.test("Interruption.race() rejects waits before and after the interruption, with its first reason", async () => {
  const interruption = new Interruption();
  const { promise, resolve } = Promise.withResolvers<void>();
  const before = interruption.race(promise);
  interruption.interrupt(new Error("first"));
  interruption.interrupt(new Error("second"));
  await assertRejects(() => before, Error, "first");
  await assertRejects(() => interruption.race(promise), Error, "first");
  resolve();
});

Deno.test("Interruption.race() keeps nothing of waits that are over", async () => {
  const interruption = new Interruption();
  const races = 50_000;
  const before = await heapBytes();
  for (let n = 0; n < races; n++) await interruption.race(Promise.resolve(n));
  const kept = (await heapBytes()) - before;
  interruption.interrupt(new Error("kept alive until here"));
  assertLess(kept / races, 50);
});

/** Bytes of the heap that are in use, after the garbage was collected. */
async function heapBytes(): Promise<number> {
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return Deno.memoryUsage().heapUsed;
}
