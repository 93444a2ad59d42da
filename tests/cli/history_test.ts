/** The history of chats: what is kept, how it is shown, and what is wrong with the database. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { Program, type ProgramOptions } from "../fakes/program.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const otherUser = await works("setpriv", "--reuid=65534", "--clear-groups", "true");
const mounts = await works("unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt");

/** Whether this user may run that here; says so where not, since then a test does not test. */
async function works(command: string, ...args: string[]): Promise<boolean> {
  const ran = await new Deno.Command(command, { args, stderr: "null" }).output().catch(() => null);
  if (ran?.success) return true;
  console.error(`${command} does not work here: A TEST OF THE HISTORY DOES NOT RUN`);
  return false;
}

/** What `p2p history` prints, with these words. */
async function history(data: string, ...words: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await Program.run(["history", ...words], { data });
  assertEquals([code, stderr], [0, ""]);
  return stdout.split("\n").slice(0, -1);
}

/** Two who chat: alice, whose history is in `data`, hears the lines and says as many. */
async function chat(options: ProgramOptions, ...lines: string[]): Promise<string> {
  await using alice = await Program.listen(["--name", "alice"], options);
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await alice.says("Connected to bob");
  for (const line of lines) {
    await bob.write(`${line}\n`);
    await alice.prints(`bob: ${line}`);
    await alice.write(`re: ${line}\n`);
    await bob.prints(`alice: re: ${line}`);
  }
  await alice.write("/quit\n");
  const { code, stderr } = await alice.finished();
  assertEquals(code, 0);
  return stderr;
}

Deno.test("p2p history prints what was said and sent, to whom and when", async () => {
  using folder = new TemporaryFolder();
  const data = folder.join("data");
  const path = folder.file("note.txt", "hello");
  {
    await using alice = await Program.listen(
      ["--name", "alice", "--yes", "--dir", folder.folder("in")],
      { data },
    );
    await using bob = Program.start(["connect", alice.address, "--name", "bob", "--yes"]);
    await alice.says("Connected to bob");
    await bob.write("hello \x1b[31malice\n");
    await alice.prints("bob: hello \\x1b[31malice");
    await alice.write(`hello bob\n/send ${path}\n`);
    await alice.says("bob has confirmed it");
    await bob.write(`/send ${path}\n`);
    await alice.says(/note\.txt received/);
    await alice.write("/nick alicia\nlast words\n/quit\n");
    await alice.finished();
  }
  const lines = await history(data);
  for (const line of lines) assertMatch(line, /^\d{4}-\d\d-\d\d \d\d:\d\d {2}/);
  assertEquals(lines.map((line) => line.slice(18)), [
    "bob: hello \\x1b[31malice",
    "alice: hello bob",
    `alice sent ${path} (5 B) to bob`,
    `bob sent ${folder.join("in", "note.txt")} (5 B)`,
    "alicia: last words",
  ]);
  const events = (await history(data, "--json")).map((line) => JSON.parse(line));
  const { time, with: [bob], ...rest } = events[0];
  assertEquals(rest, {
    event: "history",
    direction: "received",
    from: "bob",
    text: "hello \x1b[31malice",
  });
  assert(Math.abs(Date.parse(time) - Date.now()) < 60_000);
  assertEquals(bob.name, "bob");
  assertEquals([events[2].path, events[2].bytes, events[2].direction], [path, 5, "sent"]);
  assertEquals((await history(data, "--last", "1"))[0]!.slice(18), "alicia: last words");
  assertEquals((await history(data, "--with", "bob", "--since", "1h")).length, 5);
  assertEquals((await history(data, "--with", bob.fingerprint)).length, 5);
  assertEquals(await history(data, "--since", "2999-01-01"), []);
  const nobody = await Program.run(["history", "--with", "carol"], { data });
  assertEquals(nobody.code, 1);
  assertStringIncludes(nobody.stderr, "Nothing is kept of anybody called carol");
});

Deno.test("/history shows the last lines with those who are here, from earlier chats too", async () => {
  using folder = new TemporaryFolder();
  const data = folder.join("data");
  const config = folder.join("config");
  const carol = folder.join("carol");
  await chat({ data, config }, "one", "two");
  await using alice = await Program.listen(["--name", "alice"], { data, config });
  {
    await using other = Program.start(["connect", alice.address, "--name", "carol"], {
      config: carol,
    });
    await other.write("from carol\n");
    await alice.prints("carol: from carol");
    await alice.write("/history\n");
    await alice.says(/ {2}carol: from carol$/m);
    assert(!alice.stderr.text.includes("bob: one"));
    await other.write("/quit\n");
    await other.finished();
  }
  await alice.says("carol has left");
  await alice.write("/history 2\n");
  await alice.says(/carol has left\n.* {2}alice: re: two\n.* {2}carol: from carol\n/);
  await alice.write("/history many\n");
  await alice.says("Nothing shown: how many lines is a number");
});

Deno.test("--no-history and P2P_NO_HISTORY=1 keep nothing, and /history says so", async () => {
  for (const [flags, env] of [[["--no-history"], {}], [[], { P2P_NO_HISTORY: "1" }]] as const) {
    using folder = new TemporaryFolder();
    await using alice = await Program.listen(flags, { data: folder.path, env });
    await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
    const line = "a line that is said, and not kept";
    await bob.write(`${line}\n`);
    await alice.prints(`bob: ${line}`);
    await alice.write(`${line}\n/history\n`);
    await alice.says("Nothing shown: this chat goes without history");
    await alice.write("/quit\n");
    await alice.finished();
    // What the mesh must remember of who was there has no line in it.
    const files = Array.from(Deno.readDirSync(folder.join("p2p")), ({ name }) => name);
    assertEquals(files.sort(), ["mesh.db", "mesh.lock"]);
    const kept = files.map((name) => Deno.readFileSync(folder.join("p2p", name)));
    assertEquals(
      kept.filter((bytes) => new TextDecoder("latin1").decode(bytes).includes(line)),
      [],
    );
  }
});

Deno.test("p2p history tells that there is none yet", async () => {
  using folder = new TemporaryFolder();
  const { code, stdout, stderr } = await Program.run(["history"], { data: folder.path });
  assertEquals([code, stdout], [0, ""]);
  assertStringIncludes(stderr, "Nothing is kept yet in ");
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

Deno.test("p2p history --clear deletes one person's or all of it, and asks for --yes", async () => {
  using folder = new TemporaryFolder();
  const data = folder.path;
  await chat({ data }, "hello");
  const unasked = await Program.run(["history", "--clear"], { data });
  assertEquals(unasked.code, 2);
  assertStringIncludes(unasked.stderr, "--yes deletes without asking");
  const mixed = await Program.run(["history", "--clear", "--last", "3", "--yes"], { data });
  assertEquals(mixed.code, 2);
  assertEquals((await history(data)).length, 2);
  const words = ["history", "--clear", "--with", "bob", "--yes"];
  const cleared = await Program.run(words, { data });
  assertEquals([cleared.code, cleared.stderr], [0, "Deleted: 2 entries\n"]);
  assertEquals(await history(data), []);
  const all = await Program.run(["history", "--clear", "--yes", "--json"], { data });
  assertEquals(JSON.parse(all.stdout), { event: "cleared", entries: 0 });
});

Deno.test("several programs write one history at once", async () => {
  using folder = new TemporaryFolder();
  const data = folder.path;
  const lines = Array.from({ length: 2_000 }, (_, index) => `line ${index}`);
  await Promise.all(["one", "two", "three"].map(async (name) => {
    await using listener = await Program.listen(["--name", name, "--once"], { data });
    const words = ["connect", listener.address, "--name", `to ${name}`];
    const { code } = await Program.run(words, { data, input: lines.join("\n") });
    const { stderr } = await listener.finished();
    assertEquals([code, stderr.includes("without history")], [0, false]);
  }));
  const said = new Map<string, string[]>();
  for (const line of await history(data, "--json")) {
    const { from, direction, text } = JSON.parse(line);
    const key = `${direction} ${from}`;
    said.set(key, [...said.get(key) ?? [], text]);
  }
  assertEquals(said.size, 6);
  for (const [who, texts] of said) assertEquals(texts, lines, who);
});

const BROKEN: Record<string, [break_: (path: string) => void, why: string]> = {
  "is garbage": [(path) => Deno.writeTextFileSync(path, "garbage ".repeat(999)), "it is damaged"],
  "is a folder": [(path) => Deno.mkdirSync(path), "it is a folder"],
  "is a later version's": [
    (path) => {
      using database = new DatabaseSync(path);
      database.exec(
        "PRAGMA application_id = 1882353768; PRAGMA user_version = 9; CREATE TABLE a (b)",
      );
    },
    "it was made by a later version of p2p",
  ],
};

for (const [how, [damage, why]] of Object.entries(BROKEN)) {
  Deno.test(`a history that ${how} is told of once, and the chat goes on`, async () => {
    using folder = new TemporaryFolder();
    const path = `${folder.folder("p2p")}/history.db`;
    damage(path);
    const stderr = await chat({ data: folder.path }, "one", "two", "three");
    assertEquals(stderr.match(/without history\..*/g)?.length, 1);
    assertStringIncludes(stderr, `${path}: ${why}`);
    const { code, stderr: told } = await Program.run(["history"], { data: folder.path });
    assertEquals(code, 6);
    assertStringIncludes(told, why);
  });
}

Deno.test("p2p history --clear --yes gets rid of one that is damaged", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("p2p/history.db", "garbage ".repeat(999));
  const { code, stderr } = await Program.run(["history", "--clear", "--yes"], {
    data: folder.path,
  });
  assertEquals([code, stderr], [0, `Deleted ${path}\n`]);
  await chat({ data: folder.path }, "hello");
  assertEquals((await history(folder.path)).length, 2);
});

Deno.test("a history that is locked for seconds is written when it is free", async () => {
  using folder = new TemporaryFolder();
  await chat({ data: folder.path }, "before");
  const lock = new DatabaseSync(folder.join("p2p", "history.db"));
  lock.exec("BEGIN IMMEDIATE");
  await using alice = await Program.listen(["--name", "alice"], { data: folder.path });
  await using bob = Program.start(["connect", alice.address, "--name", "carol"]);
  for (let i = 0; i < 20; i++) {
    await bob.write(`${i}\n`);
    await alice.prints(`carol: ${i}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  lock.exec("COMMIT");
  lock.close();
  await alice.write("/quit\n");
  const { stderr } = await alice.finished();
  assert(!stderr.includes("without history"), stderr);
  assertEquals((await history(folder.path, "--with", "carol")).length, 20);
});

Deno.test("a program that is killed while it writes leaves a history that is whole", async () => {
  using folder = new TemporaryFolder();
  const data = folder.path;
  for (let round = 1; round <= 3; round++) {
    await using alice = await Program.listen(["--name", "alice"], { data });
    await using bob = Program.start(["connect", alice.address, "--name", `bob ${round}`]);
    const lines = Array.from({ length: 20_000 }, (_, index) => `${index}\n`).join("");
    bob.write(lines).catch(() => {});
    await alice.prints(`bob ${round}: 100`);
    // What it reads is kept: from then on it writes in the midst of all else.
    await alice.write("/history 1\n");
    await alice.says(new RegExp(` {2}bob ${round}: \\d+$`, "m"));
    await alice.prints(`bob ${round}: ${round * 5_000}`);
    alice.kill("SIGKILL");
    await alice.finished();
    const kept = (await history(data, "--json", "--with", `bob ${round}`)).map((line) =>
      JSON.parse(line).text
    );
    assert(kept.length > 100);
    assertEquals(kept, Array.from({ length: kept.length }, (_, index) => String(index)));
  }
  assert((await history(data)).length > 0);
  using database = new DatabaseSync(folder.join("p2p", "history.db"));
  assertEquals({ ...database.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
});

Deno.test("a history that cannot be written is told of once, and the chat goes on", {
  ignore: !otherUser,
}, async () => {
  using folder = new TemporaryFolder();
  Deno.chmodSync(folder.path, 0o755);
  const data = folder.folder("data");
  await chat({ data }, "by root");
  for (const path of ["data", "data/p2p"]) Deno.chmodSync(folder.join(path), 0o755);
  Deno.chmodSync(folder.join("data/p2p/history.db"), 0o644);
  const home = folder.folder("home");
  Deno.chmodSync(home, 0o777);
  const stderr = await chat(
    {
      data,
      config: `${home}/config`,
      cwd: home,
      before: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
      env: { HOME: home, DENO_DIR: `${home}/deno` },
    },
    "one",
    "two",
  );
  assertEquals(stderr.match(/without history\..*/g)?.length, 1);
});

Deno.test("a full disk is told of once, the chat goes on, and what was kept stays", {
  ignore: !mounts,
}, async () => {
  using folder = new TemporaryFolder();
  const data = folder.folder("data");
  // Seen by this process only; what is to be read after it is taken out at the end.
  const mount = 'mount -t tmpfs -o size=300k none "$0"; cp -r "$0.saved"/. "$0" 2>/dev/null; ' +
    '"$@"; code=$?; cp -r "$0" "$0.saved"; exit $code';
  const before = ["unshare", "-m", "sh", "-c", mount, data];
  await using alice = await Program.listen(["--name", "alice"], { data, before });
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  for (let i = 0; i < 60; i++) {
    await bob.write(`${i} ${"x".repeat(10_000)}\n`);
    await alice.prints(`bob: ${i} ${"x".repeat(10_000)}`);
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  await alice.write("/quit\n");
  const { code, stderr } = await alice.finished();
  assertEquals(code, 0);
  assertEquals(stderr.match(/without history\..*/g)?.length, 1, stderr);
  assertStringIncludes(stderr, "the disk is full");
  const kept = await history(`${data}.saved`, "--json");
  assert(kept.length > 0 && kept.length < 60, `${kept.length}`);
  assertEquals(kept.map((line) => parseInt(JSON.parse(line).text)), kept.map((_, index) => index));
});
