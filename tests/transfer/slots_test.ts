import { assertEquals } from "@std/assert";
import { Slots } from "../../transfer/slots.ts";

Deno.test("Slots.acquire() lets no more in than there are places, and the others in their order", async () => {
  const slots = new Slots(2);
  const entered: string[] = [];
  async function enter(name: string): Promise<Disposable> {
    const slot = await slots.acquire();
    entered.push(name);
    return slot;
  }
  const [a, b] = [await enter("a"), await enter("b")];
  const c = enter("c");
  const d = enter("d");
  await Promise.resolve();
  assertEquals(entered, ["a", "b"]);
  b[Symbol.dispose]();
  b[Symbol.dispose]();
  await c;
  assertEquals(entered, ["a", "b", "c"]);
  a[Symbol.dispose]();
  await d;
  assertEquals(entered, ["a", "b", "c", "d"]);
});
