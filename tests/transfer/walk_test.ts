import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { FileError, UsageError } from "../../protocol/errors.ts";
import { EntryKind } from "../../protocol/offer.ts";
import { collectSources } from "../../transfer/walk.ts";
import { Rig } from "./rig.ts";

Deno.test("collectSources() tells directories before what is in them, by name", async () => {
  using rig = new Rig();
  for (const name of ["t/b/2", "t/b/1", "t/a", "t/c/x/y", "s"]) rig.file(name, name);
  Deno.symlinkSync("../a", join(rig.source, "t/b/link"));
  const sources = await collectSources(["t", "s"].map((name) => join(rig.source, name)));
  assertEquals(sources.entries.map(({ path }) => path), [
    "t",
    "t/a",
    "t/b",
    "t/b/1",
    "t/b/2",
    "t/b/link",
    "t/c",
    "t/c/x",
    "t/c/x/y",
    "s",
  ]);
  assertEquals(sources.roots, [
    { path: join(rig.source, "t"), name: "t", first: 0, end: 9 },
    { path: join(rig.source, "s"), name: "s", first: 9, end: 10 },
  ]);
  assertEquals(sources.total, 3 + 5 + 5 + 7 + 1);
  const { kind, target, size } = sources.entries[5]!;
  assertEquals([kind, target, size], [EntryKind.link, "../a", 0]);
});

Deno.test("collectSources() takes modes and times as they are", async () => {
  using rig = new Rig();
  const path = rig.file("run", "x");
  Deno.chmodSync(path, 0o750);
  Deno.utimeSync(path, 1_000_000.789, 1_000_000.789);
  const [entry] = (await collectSources([path])).entries;
  assertEquals([entry!.mode, entry!.mtime, entry!.size], [0o750, 1_000_000_789, 1]);
});

for (const suffix of ["", "/", "//", "/.", "/sub/.."]) {
  Deno.test(`collectSources() names a folder given as folder${suffix}`, async () => {
    using rig = new Rig();
    rig.file("folder/sub/x", "x");
    const { entries } = await collectSources([join(rig.source, "folder") + suffix]);
    assertEquals(entries.map(({ path }) => path), ["folder", "folder/sub", "folder/sub/x"]);
  });
}

Deno.test("collectSources() follows an argument that is a link, under the link's name", async () => {
  using rig = new Rig();
  const path = rig.file("film-2024.mkv", "film");
  Deno.symlinkSync(path, join(rig.root, "film.mkv"));
  const { entries } = await collectSources([join(rig.root, "film.mkv")]);
  assertEquals(entries.map(({ kind, path, size }) => [kind, path, size]), [
    [EntryKind.file, "film.mkv", 4],
  ]);
});

Deno.test("collectSources() writes a link's target without what means nothing", async () => {
  using rig = new Rig();
  rig.file("t/sub/x", "x");
  Deno.symlinkSync("sub//x", join(rig.source, "t/a"));
  Deno.symlinkSync("sub/", join(rig.source, "t/b"));
  const { entries } = await collectSources([join(rig.source, "t")]);
  assertEquals(entries.filter(({ target }) => target).map(({ target }) => target), [
    "sub/x",
    "sub",
  ]);
});

Deno.test("collectSources() takes - alone for standard input", async () => {
  const { entries, total, paths } = await collectSources(["-"]);
  assertEquals([total, paths, entries.length], [undefined, ["-"], 1]);
  assertEquals([entries[0]!.kind, entries[0]!.path], [EntryKind.stdin, "stdin"]);
  await assertRejects(() => collectSources(["-", "x"]), UsageError, "together with files");
});

Deno.test("collectSources() refuses two arguments of one name", async () => {
  using rig = new Rig();
  const paths = ["a/x", "b/x", "c/X"].map((name) => rig.file(name, name));
  await assertRejects(() => collectSources(paths.slice(0, 2)), UsageError, "both are named x");
  await assertRejects(() => collectSources(paths.slice(1)), UsageError, "both are named X");
});

Deno.test("collectSources() refuses what has no name", async () => {
  await assertRejects(() => collectSources(["/"]), UsageError, "it has no name");
});

Deno.test("collectSources() names what is missing", async () => {
  using rig = new Rig();
  const path = join(rig.source, "nothing");
  await assertRejects(
    () => collectSources([path]),
    FileError,
    `Cannot send ${path}: no such file or folder`,
  );
});

Deno.test("collectSources() names what is in no folder", async () => {
  using rig = new Rig();
  const path = join(rig.file("file", ""), "x");
  await assertRejects(() => collectSources([path]), FileError, `Cannot send ${path}: not a folder`);
});

const links: [target: string, problem: string][] = [
  ["/etc/passwd", "it is a link to an absolute path"],
  ["../outside", "it is a link that leads outside"],
  ["sub/../../outside", "it is a link whose target has '..' behind a name"],
];

for (const [target, problem] of links) {
  Deno.test(`collectSources() refuses a link to ${target}`, async () => {
    using rig = new Rig();
    rig.file("t/sub/x", "x");
    const path = join(rig.source, "t/link");
    Deno.symlinkSync(target, path);
    await assertRejects(
      () => collectSources([join(rig.source, "t")]),
      FileError,
      `Cannot send ${path}: ${problem}`,
    );
  });
}

for (const name of ["what?", "a:b", "tab\there", "con.txt", "dot.", "x.p2p-part"]) {
  Deno.test(`collectSources() refuses the name ${JSON.stringify(name)}`, async () => {
    using rig = new Rig();
    const path = rig.file(`t/${name}`, "x");
    await assertRejects(
      () => collectSources([join(rig.source, "t")]),
      FileError,
      `Cannot send ${path}: it `,
    );
  });
}

Deno.test("collectSources() refuses names that differ by case only", async () => {
  using rig = new Rig();
  rig.file("t/Name", "1");
  const path = rig.file("t/name", "2");
  await assertRejects(
    () => collectSources([join(rig.source, "t")]),
    FileError,
    `Cannot send ${path}: it is the same name as t/Name`,
  );
});

Deno.test("collectSources() refuses a pipe, a socket and a device by name", async () => {
  using rig = new Rig();
  Deno.mkdirSync(join(rig.source, "t"));
  const pipe = join(rig.source, "t/pipe");
  await new Deno.Command("mkfifo", { args: [pipe] }).output();
  await assertRejects(
    () => collectSources([join(rig.source, "t")]),
    FileError,
    `Cannot send ${pipe}: it is a pipe`,
  );
  Deno.removeSync(pipe);
  const path = join(rig.source, "t/socket");
  {
    using _socket = Deno.listen({ transport: "unix", path });
    await assertRejects(
      () => collectSources([join(rig.source, "t")]),
      FileError,
      `Cannot send ${path}: it is a socket`,
    );
  }
  await assertRejects(() => collectSources(["/dev/null"]), FileError, "it is a device");
});

Deno.test({
  name: "collectSources() names a file that it may not read",
  permissions: { read: [import.meta.dirname!], write: true, run: false },
  fn: async () => {
    await collectSources([import.meta.filename!]);
    await assertRejects(
      () => collectSources(["/etc/hostname"]),
      FileError,
      "Cannot send /etc/hostname: the program was not given this permission",
    );
  },
});

Deno.test("collectSources() names a file whose mode forbids it, for users other than root", async () => {
  using rig = new Rig();
  const path = rig.file("t/secret", "x");
  Deno.chmodSync(path, 0);
  if (Deno.uid() === 0) {
    console.error("Not tested as root, who may read everything: a file of mode 000");
    return;
  }
  await assertRejects(
    () => collectSources([join(rig.source, "t")]),
    FileError,
    `Cannot read ${path}: permission denied`,
  );
});

Deno.test("collectSources() stops when it is aborted", async () => {
  using rig = new Rig();
  rig.file("t/x", "x");
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => collectSources([join(rig.source, "t")], { signal }), Error, "enough");
});
