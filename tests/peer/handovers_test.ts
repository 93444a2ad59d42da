import { assertEquals } from "@std/assert";
import { Handovers } from "../../peer/handovers.ts";
import { FakeClock, settled } from "../fakes/clock.ts";

Deno.test("Handovers: who shows in time takes the place, and nothing is late", async () => {
  const clock = new FakeClock();
  const handovers = new Handovers<string>(clock);
  const late = handovers.isLate("bob", "bob's first session");
  assertEquals([handovers.size, handovers.take("carol")], [1, undefined]);
  await clock.advance(9_999);
  assertEquals(handovers.take("bob"), "bob's first session");
  assertEquals([await late, handovers.size, clock.pending], [false, 0, 0]);
});

Deno.test("Handovers: who does not show within 10 s is late, and is not taken any more", async () => {
  const clock = new FakeClock();
  const handovers = new Handovers<string>(clock);
  const late = handovers.isLate("bob", "bob's first session");
  await clock.advance(10_000);
  assertEquals([await late, handovers.take("bob"), handovers.size], [true, undefined, 0]);
});

Deno.test("Handovers.close() waits for nobody any more", async () => {
  const clock = new FakeClock();
  const handovers = new Handovers<string>(clock);
  const all = Promise.all(["bob", "carol"].map((each) => handovers.isLate(each, each)));
  handovers.close();
  await settled();
  assertEquals([await all, handovers.size, clock.pending], [[false, false], 0, 0]);
});
