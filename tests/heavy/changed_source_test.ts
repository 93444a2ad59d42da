import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import { randomFile } from "../bench/fixtures.ts";
import { lacksDisk } from "./disk.ts";
import { Network } from "./network.ts";
import { Rig } from "./rig.ts";
import { assertSameBytes } from "./same_bytes.ts";

const MIB = 1_048_576;
const FILM_BYTES = 256 * MIB;
const ignore = lacksDisk();

/** What the second try has to carry, in bytes. */
interface Expected {
  least: number;
  most: number;
}

const whole = { least: FILM_BYTES, most: FILM_BYTES * 1.02 };

test("A file with other content and the same size and time is sent anew", whole, async (film) => {
  const { atime, mtime } = await Deno.stat(film);
  await randomFile(film, FILM_BYTES);
  await Deno.utime(film, atime!, mtime!);
});

test("A file with another size and other content is sent anew", whole, async (film) => {
  await randomFile(film, FILM_BYTES + 1);
});

test(
  "A file that became shorter than what has arrived is sent anew where it differs",
  { least: 0, most: 2 * MIB },
  async (film) => await Deno.truncate(film, FILM_BYTES / 8 + 1),
);

test(
  "A file that changed only behind what has arrived is resumed",
  { least: 0, most: FILM_BYTES * 0.75 },
  async (film) => await change(film, FILM_BYTES * 0.9),
);

test(
  "A file that changed in the midst of what has arrived is sent from there",
  { least: FILM_BYTES * 0.89, most: FILM_BYTES * 0.91 },
  async (film) => await change(film, FILM_BYTES * 0.1 + MIB),
);

Deno.test("A file that changes while it is sent does not arrive", { ignore }, async () => {
  using rig = new Rig();
  const film = rig.path("film.mkv");
  await randomFile(film, FILM_BYTES);
  const { listener, port } = await rig.listen();
  await using _ = listener;
  await using network = new Network(port);
  await using sender = rig.send(network.address, film);

  await network.until(() => network.carried > FILM_BYTES / 4);
  await change(film, FILM_BYTES / 2);
  const { code, stderr } = await sender.finished();

  assertEquals(code, 6, stderr);
  await listener.until("disconnected");
  assertThrows(() => Deno.lstatSync(rig.received("film.mkv")), Deno.errors.NotFound);
});

/** Kills a sender in the midst of a file, changes the file, and sends it again. */
function test(name: string, expected: Expected, alter: (film: string) => Promise<void>): void {
  Deno.test(name, { ignore }, async () => {
    using rig = new Rig();
    const film = rig.path("film.mkv");
    await randomFile(film, FILM_BYTES);
    const { listener, port } = await rig.listen();
    await using _ = listener;
    await using network = new Network(port);
    await using first = rig.send(network.address, film);
    await network.until(() => network.carried > FILM_BYTES / 2);
    first.kill("SIGKILL");
    await first.finished();
    assertGreater((await Deno.stat(rig.received("film.mkv.p2p-part"))).size, FILM_BYTES / 4);
    const before = network.carried;

    await alter(film);
    await using second = rig.send(network.address, film);
    const { code, stderr } = await second.finished();

    assertEquals(code, 0, stderr);
    await assertSameBytes(rig.received("film.mkv"), film);
    const carried = network.carried - before;
    assert(carried >= expected.least, `Only ${carried} bytes were carried`);
    assertLess(carried, expected.most);
  });
}

/** Changes one byte, in place. */
async function change(path: string, at: number): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  const byte = new Uint8Array(1);
  await file.seek(Math.floor(at), Deno.SeekMode.Start);
  await file.read(byte);
  await file.seek(Math.floor(at), Deno.SeekMode.Start);
  await file.write(new Uint8Array([byte[0]! ^ 1]));
}
