import { assertEquals, assertRejects } from "@std/assert";
import { Lanes } from "../../transfer/lanes.ts";

Deno.test("Lanes.run() rejects with what a task failed with when nothing runs any more", async () => {
  const lanes = new Lanes(3);
  const slow = Promise.withResolvers<void>();
  const happened: string[] = [];
  await lanes.run(() => slow.promise.then(() => void happened.push("the slow one is done")));
  await lanes.run(() => Promise.reject(new Error("no")));
  await Promise.resolve();
  const next = assertRejects(() => lanes.run(() => Promise.resolve()), Error, "no")
    .then(() => happened.push("rejected"));
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(happened, []);
  slow.resolve();
  await next;
  assertEquals(happened, ["the slow one is done", "rejected"]);
});
