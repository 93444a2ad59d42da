import { assert, assertEquals } from "@std/assert";
import { spray, spread } from "../../protocol/punch_guesses.ts";
import { mulberry32 } from "../heavy/mulberry32.ts";

Deno.test("spread() has one guess from each of 256 further sockets", () => {
  const to = { host: "198.51.100.2", port: 77 };
  const guesses = [...spread(to)];
  assertEquals(guesses.map(({ socket }) => socket), Array.from({ length: 256 }, (_, i) => 2 + i));
  assert(guesses.every((each) => each.to === to));
});

Deno.test("spray() tries every port from 1024 on once, in no order", () => {
  const random = mulberry32(1);
  const ports = [...spray(0, "198.51.100.2", (bytes) => {
    bytes.forEach((_, index) => bytes[index] = random() * 256);
  })].map(({ to }) => to.port);
  assertEquals([ports.length, new Set(ports).size], [64_512, 64_512]);
  assertEquals([Math.min(...ports), Math.max(...ports)], [1_024, 65_535]);
  const mean = ports.slice(0, 1_000).reduce((sum, port) => sum + port, 0) / 1_000;
  assert(Math.abs(mean - 33_280) < 2_000, `${mean}`);
});

Deno.test("spray() goes on where the randomness is none", () => {
  const guesses = spray(0, "198.51.100.2", () => {});
  const ports = [1, 2, 3].map(() => guesses.next().value!.to.port);
  assertEquals(ports, [1_024, 1_025, 1_026]);
});
