import { assert, assertEquals } from "@std/assert";
import { MeshStore } from "../../../../peer/mesh/memory/store.ts";
import { WRITER_KEY, writtenLine } from "../../../fakes/mesh_writer.ts";
import { Program } from "../../../fakes/program.ts";
import { TemporaryFolder } from "../../../fakes/temporary_folder.ts";

const WRITER = `${import.meta.dirname}/../../../fakes/mesh_writer.ts`;
const TOGETHER = 5;
const KILLS = 8;

const mounts = await canMount();

/** Whether this user may mount; says so where not, since then a test does not test. */
async function canMount(): Promise<boolean> {
  const args = ["-m", "mount", "-t", "tmpfs", "none", "/mnt"];
  const ran = await new Deno.Command("unshare", { args, stderr: "null" }).output()
    .catch(() => null);
  if (ran?.success) return true;
  console.error("unshare does not work here: A TEST OF THE MESH'S MEMORY DOES NOT RUN");
  return false;
}

/** What a program prints that writes so many lines on a small disk of its own. */
async function onSmallDisk(mount: string, lines: number): Promise<string[]> {
  using folder = new TemporaryFolder();
  const before = ["unshare", "-m", "sh", "-c", `${mount}; "$@"`, folder.path];
  const { code, stdout, stderr } = await Program.run([folder.join("p2p"), String(lines)], {
    program: WRITER,
    before,
  });
  assertEquals([code, stderr], [0, ""]);
  return stdout.replaceAll(folder.path, "…").trim().split("\n");
}

function start(folder: TemporaryFolder): Program {
  return Program.start([folder.join("p2p")], { program: WRITER });
}

/** The file that a program has. */
async function fileOf({ stdout }: Program): Promise<string> {
  return await stdout.until(() => stdout.lines[0], "its file");
}

/** Kills it when it has written so many lines. @returns the number of the last one */
async function kill(program: Program, lines: number): Promise<number> {
  const { stdout } = program;
  await stdout.until(() => stdout.lines[lines] ? true : undefined, `${lines} lines`);
  program.kill("SIGKILL");
  await program.finished();
  return Number(stdout.lines.at(-1));
}

Deno.test("A second program has mesh-2.db, and the next after a kill mesh.db, with all that was written", async () => {
  using folder = new TemporaryFolder();
  await using first = start(folder);
  assertEquals(await fileOf(first), "mesh.db");
  await using second = start(folder);
  assertEquals(await fileOf(second), "mesh-2.db");
  const written = await kill(first, 20);
  assert(written >= 20);
  {
    using third = await MeshStore.open(folder.join("p2p"), { key: WRITER_KEY, keepLines: true });
    assertEquals(third.path, folder.join("p2p", "mesh.db"));
    const { lines, positions } = third.restore();
    // One more may have been written, but not told.
    assert(lines.length === written || lines.length === written + 1, `${lines.length}, ${written}`);
    assertEquals(lines.map(({ text }) => text), lines.map((_, i) => writtenLine(i + 1).text));
    assertEquals(positions.map(({ number }) => number), [lines.length]);
  }
  await kill(second, 1);
});

Deno.test("Programs that start at once where nothing is yet have a file each", async () => {
  using folder = new TemporaryFolder();
  await using programs = new AsyncDisposableStack();
  const all = Array.from({ length: TOGETHER }, () => programs.use(start(folder)));
  const files = await Promise.all(all.map(fileOf));
  assertEquals(files.sort(), ["mesh-2.db", "mesh-3.db", "mesh-4.db", "mesh-5.db", "mesh.db"]);
  for (const program of all) await kill(program, 1);
});

Deno.test("A program that is killed again and again never loses what it has written", async () => {
  using folder = new TemporaryFolder();
  let written = 0;
  for (let i = 0; i < KILLS; i++) {
    await using program = start(folder);
    assertEquals(await fileOf(program), "mesh.db");
    const last = await kill(program, 1 + i * 150);
    const first = Number(program.stdout.lines[1]);
    assert(first === written + 1 || first === written + 2, `${first} after ${written}`);
    written = last;
  }
  using store = await MeshStore.open(folder.join("p2p"), { key: WRITER_KEY, keepLines: true });
  const { lines } = store.restore();
  assertEquals(lines.map(({ number }) => number), lines.map((_, i) => i + 1));
  assert(lines.length >= written);
});

Deno.test(
  "A full disk is told of once, with the next thing to do",
  { ignore: !mounts },
  async () => {
    for (const size of ["700k", "8k"]) {
      assertEquals(await onSmallDisk(`mount -t tmpfs -o size=${size} none "$0"`, 5_000), [
        "The chat goes on, but its last hour would not survive a restart. " +
        "…/p2p/mesh.db: the disk is full",
        "Make space: with the next start it is kept again.",
        "end",
      ]);
    }
  },
);

Deno.test("A disk that is read-only is told of once, with the next thing to do", {
  ignore: !mounts,
}, async () => {
  const files = 'mount -t tmpfs none "$0"; mkdir "$0/p2p"; touch "$0/p2p/mesh.lock"';
  assertEquals(await onSmallDisk(`${files}; mount -o remount,ro "$0"`, 5), [
    "The chat goes on, but its last hour would not survive a restart. " +
    "…/p2p: the file system is read-only",
    "Make the folder and the file yours to read and write, or set XDG_DATA_HOME to a folder that is.",
    "end",
  ]);
});
