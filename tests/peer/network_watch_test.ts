import { assertEquals } from "@std/assert";
import { NetworkWatch } from "../../peer/network_watch.ts";
import { FakeClock } from "../fakes/clock.ts";

Deno.test("NetworkWatch tells of every change, once, and of nothing else", async () => {
  const clock = new FakeClock();
  let addresses = ["lo 127.0.0.1", "eth0 192.168.1.10"];
  const watch = new NetworkWatch(clock, () => [...addresses]);
  let [first, second] = [0, 0];
  const end = watch.subscribe(() => first++);
  const endSecond = watch.subscribe(() => second++);
  await clock.advance(10_000);
  addresses.reverse();
  await clock.advance(10_000);
  assertEquals([first, second], [0, 0]);
  addresses = ["lo 127.0.0.1", "wlan0 10.0.0.7"];
  await clock.advance(10_000);
  assertEquals([first, second], [1, 1]);
  end();
  addresses = ["lo 127.0.0.1"];
  await clock.advance(10_000);
  assertEquals([first, second], [1, 2]);
  endSecond();
  assertEquals(clock.pending, 0);
});

Deno.test("NetworkWatch: what changed while nobody wanted to know is not told later", async () => {
  const clock = new FakeClock();
  let addresses = ["eth0 192.168.1.10"];
  const watch = new NetworkWatch(clock, () => addresses);
  watch.subscribe(() => {})();
  addresses = ["wlan0 10.0.0.7"];
  let told = 0;
  const end = watch.subscribe(() => told++);
  await clock.advance(10_000);
  assertEquals(told, 0);
  end();
  assertEquals(clock.pending, 0);
});

Deno.test("NetworkWatch: a look at which the system tells no addresses is no change", async () => {
  const clock = new FakeClock();
  let addresses = ["lo 127.0.0.1"];
  const watch = new NetworkWatch(clock, () => addresses);
  let told = 0;
  const end = watch.subscribe(() => told++);
  addresses = [];
  await clock.advance(10_000);
  addresses = ["lo 127.0.0.1"];
  await clock.advance(10_000);
  assertEquals(told, 0);
  end();
});
