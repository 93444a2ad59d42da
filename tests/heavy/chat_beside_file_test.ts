import { assertGreater, assertLess } from "@std/assert";
import { randomFile } from "../bench/fixtures.ts";
import type { Program } from "../fakes/program.ts";
import { lacksDisk } from "./disk.ts";
import { Network } from "./network.ts";
import { Rig } from "./rig.ts";

const GIB = 2 ** 30;
/** Milliseconds from typing a line on one side to reading it on the other. */
const MAX_MEDIAN_MS = 50;
/** Fewer than that say nothing about a median. */
const LEAST_LINES = 30;
const ignore = lacksDisk();

Deno.test("Chat stays quick while a file of 1 GiB is in flight", { ignore }, async () => {
  using rig = new Rig();
  const film = rig.path("film.mkv");
  await randomFile(film, GIB);
  const { listener: alice, port } = await rig.listen();
  await using _ = alice;
  await using network = new Network(port);
  await using bob = rig.connect(network.address);
  await bob.until("connected");
  await bob.write(`/send ${film}\n`);
  await network.until(() => network.carried > 0.05 * GIB);

  const withFile: number[] = [];
  const against: number[] = [];
  for (let n = 0; network.carried < 0.95 * GIB; n++) {
    withFile.push(await latency(bob, alice, `To Alice, ${n}`));
    against.push(await latency(alice, bob, `To Bob, ${n}`));
  }

  for (const samples of [withFile, against]) {
    assertGreater(samples.length, LEAST_LINES);
    assertLess(samples.toSorted((a, b) => a - b)[samples.length >> 1]!, MAX_MEDIAN_MS);
  }
});

/** Milliseconds that a line takes. */
async function latency(from: Program, to: Program, line: string): Promise<number> {
  const typed = performance.now();
  await from.write(`${line}\n`);
  await to.until("message", ({ text }) => text === line);
  return performance.now() - typed;
}
