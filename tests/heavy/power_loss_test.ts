/** What was acknowledged is on the disk: a copy of the disk, made at that moment, has it. */
import { assertEquals } from "@std/assert";
import { randomFolder } from "../bench/fixtures.ts";
import { Rig } from "./rig.ts";
import { readTree, type TreeNode } from "./tree.ts";

const FILES = 1_000;
const FILE_BYTES = 1_024;
const DISK = "256M";

/** Runs a program. @throws {Error} if it fails */
async function run(command: string, ...args: string[]): Promise<void> {
  const { success } = await new Deno.Command(command, { args, stdout: "null", stderr: "null" })
    .output();
  if (!success) throw new Error(`${command} ${args.join(" ")} failed`);
}

/** Mounts a file that holds a file system, until disposed. */
async function mount(image: string, folder: string): Promise<AsyncDisposable> {
  await run("mount", "-o", "loop", image, folder);
  return { [Symbol.asyncDispose]: () => run("umount", folder) };
}

/** Makes a file system in a file and mounts it; undefined where that cannot be done. */
async function makeDisk(image: string, folder: string): Promise<AsyncDisposable | undefined> {
  try {
    await run("truncate", "-s", DISK, image);
    await run("mkfs.ext4", "-q", image);
    return await mount(image, folder);
  } catch {
    console.error("Not tested: a disk cannot be made here (root, mkfs.ext4 and loop devices)");
    return undefined;
  }
}

for (const folder of [true, false]) {
  const what = folder ? "A folder of many files" : "Each of many files";
  Deno.test(`${what} that was confirmed is there after a loss of power`, async () => {
    using rig = new Rig();
    const [image, copy] = [rig.path("disk"), rig.path("copy")];
    await using disk = await makeDisk(image, rig.incoming);
    if (!disk) return;
    const photos = rig.path("photos");
    await randomFolder(photos, FILES, FILE_BYTES);
    const offered = files(photos);
    // So that nothing is left of the making of the disk that would be written by and by.
    await run("sync", "-f", rig.incoming);
    const { listener, port } = await rig.listen();
    await using _ = listener;
    const paths = folder ? [photos] : Object.keys(offered).map((path) => `${photos}/${path}`);
    await using sender = rig.send(`127.0.0.1:${port}`, ...paths);

    const { code, stderr } = await sender.finished();
    await run("cp", "--sparse=always", image, copy);

    assertEquals(code, 0, stderr);
    listener.kill("SIGKILL");
    await listener.finished();
    const after = rig.path("after");
    await Deno.mkdir(after);
    await using __ = await mount(copy, after);
    assertEquals(
      folder ? files(`${after}/photos`) : leaves(files(after)),
      folder ? offered : leaves(offered),
    );
  });
}

/** The files under a folder. */
function files(folder: string): Record<string, TreeNode> {
  const nodes = Object.entries(readTree(folder)).filter(([, { kind }]) => kind === "file");
  return Object.fromEntries(nodes);
}

/** The same by the last part of their paths. */
function leaves(nodes: Record<string, TreeNode>): Record<string, TreeNode> {
  const entries = Object.entries(nodes).map(([path, node]) => [path.split("/").at(-1)!, node]);
  return Object.fromEntries(entries);
}
