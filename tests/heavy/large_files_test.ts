import { assert, assertEquals } from "@std/assert";
import { randomFile } from "../bench/fixtures.ts";
import type { Program } from "../fakes/program.ts";
import { lacksDisk } from "./disk.ts";
import { peakMemory } from "./peak_memory.ts";
import { Rig } from "./rig.ts";
import { assertSameBytes } from "./same_bytes.ts";

const GIB = 2 ** 30;
/** MB (10^6 bytes) that either side may hold, however much it carries. */
const MAX_MEMORY = 150;
const ignore = lacksDisk();
const onLinux = { ignore: ignore || Deno.build.os !== "linux" };

Deno.test("A file of 1 GiB arrives identical", { ignore }, async () => {
  using rig = new Rig();
  const film = rig.path("film.mkv");
  await randomFile(film, GIB);
  const { listener, port } = await rig.listen();
  await using _ = listener;
  await using sender = rig.send(`127.0.0.1:${port}`, film);

  assertEquals((await sender.finished()).code, 0);

  await assertSameBytes(rig.received("film.mkv"), film);
});

Deno.test("A sparse file of 5 GiB arrives identical, in constant memory", onLinux, async () => {
  using rig = new Rig();
  const disk = rig.path("disk.img");
  await sparseFile(disk, 5 * GIB);
  const { listener, port } = await rig.listen();
  await using _ = listener;
  await using sender = rig.send(`127.0.0.1:${port}`, disk);

  const used = await memoryUntilSent(sender);

  assertEquals((await sender.finished()).code, 0);
  assertModest(used, "sender");
  assertModest(peakMemory(listener.pid), "receiver");
  await assertSameBytes(rig.received("disk.img"), disk);
});

Deno.test("A stream of 2 GiB goes through in constant memory", onLinux, async () => {
  using rig = new Rig();
  const [zeros, output] = [rig.path("zeros"), rig.path("output")];
  await sparseFile(zeros, 2 * GIB);
  await using listener = rig.listenForStream(output);
  const [, port] = (await listener.says(/connect 127\.0\.0\.1:\d+/)).split(":");
  await using sender = rig.send(`127.0.0.1:${port}`, "-");

  const [used] = await Promise.all([memoryUntilSent(sender), feed(sender, zeros)]);

  assertModest(used, "sender");
  assertEquals((await sender.finished()).code, 0);
  assertModest(peakMemory(listener.pid), "receiver");
  await assertSameBytes(output, zeros);
});

/** Zeros that take no room, but for some bytes in the midst and at the end. */
async function sparseFile(path: string, bytes: number): Promise<void> {
  using file = await Deno.create(path);
  for (const at of [Math.floor(bytes / 3), bytes - 8]) {
    await file.seek(at, Deno.SeekMode.Start);
    await file.write(crypto.getRandomValues(new Uint8Array(8)));
  }
}

async function feed(program: Program, path: string): Promise<void> {
  for await (const chunk of (await Deno.open(path)).readable) await program.write(chunk);
  await program.endInput();
}

/** Follows a sender until it has sent all. @returns the most memory that it was seen to hold, in MB */
async function memoryUntilSent(sender: Program): Promise<number> {
  let most = 0;
  for await (const { event } of sender) {
    try {
      most = peakMemory(sender.pid);
    } catch (error) {
      // It has ended since.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    if (event === "sent") break;
  }
  assert(most > 0, "The sender's memory was never seen");
  return most;
}

function assertModest(used: number, side: string): void {
  assert(used <= MAX_MEMORY, `The ${side} held ${Math.round(used)} MB, more than ${MAX_MEMORY}`);
}
