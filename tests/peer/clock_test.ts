import { assertEquals } from "@std/assert";
import { systemClock } from "../../peer/clock.ts";

for (const ms of [2 ** 31, 3e9, 1e12, Infinity]) {
  Deno.test(`an event in ${ms} ms does not happen at once`, async () => {
    let happened = false;
    const cancel = systemClock.after(ms, () => happened = true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    cancel();
    assertEquals(happened, false);
  });
}
