import { assert, assertEquals, assertLess, assertStringIncludes, assertThrows } from "@std/assert";
import { randomFile } from "../bench/fixtures.ts";
import type { Program } from "../fakes/program.ts";
import { lacksDisk } from "./disk.ts";
import { FinalName } from "./final_name.ts";
import { mulberry32 } from "./mulberry32.ts";
import { Network } from "./network.ts";
import { Rig } from "./rig.ts";
import { assertSameBytes } from "./same_bytes.ts";

const MIB = 1_048_576;
const FILM_BYTES = 1_024 * MIB;
const KILLS = 20;
/** What may be on its way when a side is killed, and is sent again: what the sender is ahead of the disk. */
const LOST_BYTES = 12 * MIB;
const ignore = lacksDisk();

interface Kill {
  /** After so many more bytes. */
  after: number;
  victim: "sender" | "receiver";
}

Deno.test("A transfer of 1 GiB goes on after each of twenty kills", { ignore }, async () => {
  const seed = Number(Deno.env.get("P2P_SEED") ?? Date.now() % 1e9);
  console.log(`P2P_SEED=${seed}`);
  using rig = new Rig();
  await using programs = new AsyncDisposableStack();
  const film = rig.path("film.mkv");
  await randomFile(film, FILM_BYTES);
  using final = new FinalName(rig.received("film.mkv"), FILM_BYTES);
  const { listener, port } = await rig.listen();
  await using network = new Network(port);
  const sides = {
    sender: programs.use(rig.send(network.address, film)),
    receiver: programs.use(listener),
  };
  let atHand = 0;

  for (const { after, victim } of plan(mulberry32(seed))) {
    const enough = network.carried + after;
    await Promise.race([network.until(() => network.carried >= enough), failure(sides.sender)]);
    sides[victim].kill("SIGKILL");
    await sides[victim].finished();
    assertThrows(() => Deno.lstatSync(rig.received("film.mkv")), Deno.errors.NotFound);
    const before = atHand;
    atHand = sizeAt(rig.received("film.mkv.p2p-part"));
    assert(atHand >= before, `Killed the ${victim}: ${atHand} bytes are at hand, ${before} before`);
    if (victim === "sender") sides.sender = programs.use(rig.send(network.address, film));
    else sides.receiver = programs.use((await rig.listen(port)).listener);
  }
  const { code, stderr } = await sides.sender.finished();

  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, "resumed at");
  assertLess(network.carried, FILM_BYTES * 1.01 + KILLS * LOST_BYTES);
  await assertSameBytes(rig.received("film.mkv"), film);
  assertEquals([...Deno.readDirSync(rig.incoming)].map(({ name }) => name), ["film.mkv"]);
  await final.check();
});

Deno.test("A sender goes on by itself when its receiver is started again", { ignore }, async () => {
  using rig = new Rig();
  const film = rig.path("film.mkv");
  await randomFile(film, FILM_BYTES);
  const { listener: first, port } = await rig.listen();
  await using _ = first;
  await using sender = rig.send(`127.0.0.1:${port}`, film);

  await first.until("progress", ({ bytes }) => bytes > FILM_BYTES / 4);
  first.kill("SIGKILL");
  await first.finished();
  const atHand = sizeAt(rig.received("film.mkv.p2p-part"));
  const { listener: second } = await rig.listen(port);
  await using __ = second;
  const { bytes } = await second.until("progress");
  const { code, stderr } = await sender.finished();

  assertEquals(code, 0, stderr);
  assert(bytes > FILM_BYTES / 8 && bytes >= atHand - LOST_BYTES, `It went on at ${bytes}`);
  await assertSameBytes(rig.received("film.mkv"), film);
});

/** Random points all over the file, each side as often as the other. */
function plan(random: () => number): Kill[] {
  const points = Array.from({ length: KILLS }, () => random() * FILM_BYTES * 0.85);
  points.sort((a, b) => a - b);
  const draws = points.map(() => random());
  const median = draws.toSorted((a, b) => a - b)[KILLS / 2]!;
  return points.map((point, n) => ({
    after: point - (points[n - 1] ?? 0),
    victim: draws[n]! < median ? "sender" : "receiver",
  }));
}

/** Rejects when the program ends. */
async function failure(program: Program): Promise<never> {
  const { code, stderr } = await program.finished();
  throw new Error(`It ended with exit code ${code}: ${stderr}`);
}

/** 0 if nothing is there. */
function sizeAt(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
