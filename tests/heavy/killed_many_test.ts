import { assert, assertEquals } from "@std/assert";
import { randomFolder } from "../bench/fixtures.ts";
import { lacksDisk } from "./disk.ts";
import { mulberry32 } from "./mulberry32.ts";
import { Network } from "./network.ts";
import { Rig } from "./rig.ts";
import { readTree } from "./tree.ts";

const FILES = 3_000;
const FILE_BYTES = 1_024;
const KILLS = 8;
const ignore = lacksDisk();

for (const folder of [true, false]) {
  const what = folder ? "a folder of many files" : "many files";
  const name = `When a receiver of ${what} is killed, what has its own name is whole`;
  Deno.test(name, { ignore }, async () => {
    const seed = Number(Deno.env.get("P2P_SEED") ?? Date.now() % 1e9);
    console.log(`P2P_SEED=${seed}`);
    const random = mulberry32(seed);
    using source = new Rig();
    const photos = source.path("photos");
    await randomFolder(photos, FILES, FILE_BYTES);
    const files = contents(photos);
    const offered = offeredAs(files, folder);
    const paths = folder ? [photos] : Object.keys(files).map((path) => `${photos}/${path}`);
    for (let kill = 0; kill < KILLS; kill++) {
      // The last ones are killed while they sync, or give names.
      const late = kill >= KILLS / 2;
      const enough = late ? FILES * FILE_BYTES : random() * FILES * FILE_BYTES;
      using rig = await killedReceiver(paths, enough, late ? random() * 100 : 0);
      for (const [path, content] of Object.entries(contents(rig.incoming))) {
        if (!/\.p2p-(part|state)(\/|$)/.test(path)) assertEquals(content, offered[path], path);
      }
    }
  });
}

/** Sends, and kills the receiver when so many bytes have come, and some milliseconds have passed. */
async function killedReceiver(paths: string[], bytes: number, ms: number): Promise<Rig> {
  const rig = new Rig();
  const { listener, port } = await rig.listen();
  await using _ = listener;
  await using network = new Network(port);
  await using sender = rig.send(network.address, ...paths);
  await network.until(() => network.carried >= bytes);
  await new Promise((resolve) => setTimeout(resolve, ms));
  listener.kill("SIGKILL");
  await listener.finished();
  sender.kill("SIGKILL");
  await sender.finished();
  return rig;
}

/** What is in the files under a folder, by their paths in it. */
function contents(folder: string): Record<string, string> {
  const files = Object.entries(readTree(folder)).filter(([, { kind }]) => kind === "file");
  return Object.fromEntries(files.map(([path, { content }]) => [path, content]));
}

/** The same by the paths that an offer has of them: of the folder, or of each file by itself. */
function offeredAs(files: Record<string, string>, folder: boolean): Record<string, string> {
  const pathOf = (path: string) => folder ? `photos/${path}` : path.split("/").at(-1)!;
  const offered = Object.entries(files).map(([path, content]) => [pathOf(path), content]);
  assert(offered.length === FILES);
  return Object.fromEntries(offered);
}
