import { assert, assertEquals, assertLess } from "@std/assert";
import { randomFile } from "../bench/fixtures.ts";
import type { Program } from "../fakes/program.ts";
import { lacksDisk } from "./disk.ts";
import { Network } from "./network.ts";
import { Rig } from "./rig.ts";
import { assertSameBytes } from "./same_bytes.ts";

const MIB = 1_048_576;
const FILM_BYTES = 512 * MIB;
/** What may be on its way when a connection breaks, and is sent again. */
const LOST_BYTES = 32 * MIB;
/** Milliseconds in which a dead connection must be noticed. */
const NOTICED_WITHIN_MS = 30_000;
const ignore = lacksDisk();

Deno.test("A transfer goes on in its session when the network was cut", { ignore }, async () => {
  using rig = new Rig();
  const film = rig.path("film.mkv");
  await randomFile(film, FILM_BYTES);
  const { listener, port } = await rig.listen();
  await using _ = listener;
  await using network = new Network(port);
  await using sender = rig.send(network.address, film);

  for (const part of [0.2, 0.5, 0.8]) {
    await network.until(() => network.carried > part * FILM_BYTES);
    network.cut();
    const dialled = network.dialled;
    // Back only after the sender has tried in vain.
    await network.until(() => network.dialled > dialled);
    network.restore();
  }

  await assertWentOn(sender, listener, network);
  await assertSameBytes(rig.received("film.mkv"), film);
});

Deno.test(
  "A transfer goes on over the next connection when one went dead",
  { ignore },
  async () => {
    using rig = new Rig();
    const film = rig.path("film.mkv");
    await randomFile(film, FILM_BYTES);
    const { listener, port } = await rig.listen();
    await using _ = listener;
    await using network = new Network(port);
    await using sender = rig.send(network.address, film);

    await network.until(() => network.carried > FILM_BYTES / 2);
    const { dialled } = network;
    network.stall();
    const stalled = performance.now();
    await network.until(() => network.dialled > dialled);
    assertLess(performance.now() - stalled, NOTICED_WITHIN_MS);

    await assertWentOn(sender, listener, network);
    await assertSameBytes(rig.received("film.mkv"), film);
  },
);

/** Waits for the sender's end: it must have done all in one session, and sent little of it twice. */
async function assertWentOn(sender: Program, listener: Program, network: Network): Promise<void> {
  const { code, stderr } = await sender.finished();
  assertEquals(code, 0, stderr);
  await listener.until("disconnected");
  const names = listener.events.map(({ event }) => event).filter((event) => event !== "progress");
  const session = names.filter((event) => event !== "away" && event !== "back");
  assertEquals(session, ["listening", "connected", "offer", "received", "disconnected"]);
  assert(names.includes("back"), "It never came back");
  const losses = network.dialled - 1;
  assertLess(network.carried, FILM_BYTES * 1.01 + losses * LOST_BYTES);
}
