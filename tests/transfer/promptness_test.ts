import { assertEquals } from "@std/assert";
import { Promptness } from "../../transfer/promptness.ts";

Deno.test("Promptness lets calls block while they are quick, and not for a while after a slow one", () => {
  let now = 0;
  const promptness = new Promptness(() => now);
  const call = (ms: number) => promptness.measure(() => now += ms);
  for (let i = 0; i < 100; i++) {
    assertEquals(promptness.mayBlock(), true);
    call(19);
  }
  call(20);
  for (let i = 0; i < 64; i++) assertEquals(promptness.mayBlock(), false);
  assertEquals(promptness.mayBlock(), true);
  call(1);
  assertEquals(promptness.mayBlock(), true);
});
