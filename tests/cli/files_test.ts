import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { type Finished, Program, type ProgramOptions } from "../fakes/program.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const otherUser = await works("setpriv", "--reuid=65534", "--clear-groups", "true");
if (!otherUser) console.error("NOT ROOT: the tests with another user's files DID NOT RUN");
const disks = await works("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt");
if (!disks) console.error("NOTHING CAN BE MOUNTED: the tests with a full disk DID NOT RUN");

async function works(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** A listener that accepts, a folder in which it receives ("in") and one to send from ("out"). */
class Place implements AsyncDisposable {
  private constructor(readonly folder: TemporaryFolder, readonly listener: Program) {}

  static async open(flags: string[] = ["--yes"]): Promise<Place> {
    const folder = new TemporaryFolder();
    const inbox = folder.folder("in");
    folder.folder("out");
    return new Place(folder, await Program.listenJson(["--dir", inbox, ...flags]));
  }

  /** Writes a file to send. @returns its path */
  out(name: string, content: string | Uint8Array = name): string {
    return this.folder.file(`out/${name}`, content);
  }

  in(name: string): string {
    return this.folder.join("in", name);
  }

  async send(paths: string[], options: ProgramOptions & { input?: Uint8Array } = {}) {
    return await Program.run(["send", "--address", this.listener.address, ...paths], {
      cwd: this.folder.join("out"),
      ...options,
    });
  }

  /** All that stands in the folder that receives. */
  received(): string[] {
    return Array.from(Deno.readDirSync(this.folder.join("in")), ({ name }) => name).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.listener[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

function assertDone({ code, stderr }: Finished): void {
  assertEquals(code, 0, stderr);
}

Deno.test("send brings a file across with its content, time and executable bit", async () => {
  await using place = await Place.open();
  const content = crypto.getRandomValues(new Uint8Array(65_000));
  const path = place.out("tool.sh", content);
  Deno.chmodSync(path, 0o755);
  Deno.utimeSync(path, 1_000_000_000, 1_000_000_000.25);
  assertDone(await place.send(["--file", "tool.sh"]));
  const info = Deno.statSync(place.in("tool.sh"));
  assertEquals(Deno.readFileSync(place.in("tool.sh")), content);
  assertEquals(info.mode! & 0o777, 0o755);
  assertEquals(info.mtime!.getTime(), 1_000_000_000_250);
  assertEquals(place.received(), ["tool.sh"]);
});

Deno.test("send takes several files, with --file and without, and an empty one", async () => {
  await using place = await Place.open();
  for (const name of ["a", "b", "c"]) place.out(name);
  place.out("empty", "");
  assertDone(await place.send(["--file", "a", "--file=b", "c", "empty"]));
  assertEquals(place.received(), ["a", "b", "c", "empty"]);
  assertEquals(Deno.statSync(place.in("empty")).size, 0);
});

Deno.test("send takes a directory with empty directories, modes and links inside", async () => {
  await using place = await Place.open();
  place.out("album/2024/deep/one.jpg");
  place.out("album/run").length;
  Deno.chmodSync(place.folder.join("out", "album", "run"), 0o700);
  place.folder.folder("out/album/nothing here");
  Deno.symlinkSync("2024/deep/one.jpg", place.folder.join("out", "album", "first"));
  assertDone(await place.send(["album"]));
  assertEquals(place.received(), ["album"]);
  assertEquals(
    Deno.readTextFileSync(place.in("album/2024/deep/one.jpg")),
    "album/2024/deep/one.jpg",
  );
  assertEquals(Array.from(Deno.readDirSync(place.in("album/nothing here"))), []);
  assertEquals(Deno.statSync(place.in("album/run")).mode! & 0o777, 0o700);
  assertEquals(Deno.readLinkSync(place.in("album/first")), "2024/deep/one.jpg");
});

Deno.test("send takes an empty directory alone", async () => {
  await using place = await Place.open();
  place.folder.folder("out/empty");
  assertDone(await place.send(["empty"]));
  assert(Deno.statSync(place.in("empty")).isDirectory);
});

Deno.test("names in every script arrive as they were", async () => {
  await using place = await Place.open();
  const names = ["Grüße.txt", "写真.jpg", "صورة.png", "снимок", "👩‍🚀 film.mkv", "-dash", "a b'c"];
  for (const name of names) place.out(name);
  assertDone(await place.send(["--", ...names]));
  assertEquals(place.received(), names.toSorted());
});

Deno.test("what is sent and received is told in words on both sides", async () => {
  using folder = new TemporaryFolder();
  const inbox = folder.folder("in");
  await using alice = await Program.listen(["--name", "alice", "--yes", "--dir", inbox]);
  const path = folder.file("note.txt", "hello");
  const { code, stdout, stderr } = await Program.run(
    ["send", "--address", alice.address, "--name", "bob", path],
  );
  assertEquals([code, stdout], [0, ""]);
  assertMatch(stderr, /note\.txt sent: 5 B in .*, lan; alice has confirmed it/);
  await alice.says("bob offers note.txt (5 B)");
  await alice.says(/note\.txt received: 5 B in .*, lan: .*\/in\/note\.txt/);
  await alice.says("bob has left");
  assertEquals(alice.stdout.text, "");
});

Deno.test("send --quiet says nothing when all went well", async () => {
  await using place = await Place.open();
  place.out("a");
  const { code, stdout, stderr } = await place.send(["--quiet", "a"]);
  assertEquals([code, stdout, stderr], [0, "", ""]);
});

for (
  const { mode, kept, received } of [
    { mode: "rename", kept: "old", received: ["a (1).txt", "a.txt"] },
    { mode: "overwrite", kept: "new", received: ["a.txt"] },
    { mode: "skip", kept: "old", received: ["a.txt"] },
    { mode: undefined, kept: "old", received: ["a (1).txt", "a.txt"] },
    { mode: "ask", kept: "old", received: ["a (1).txt", "a.txt"] },
  ]
) {
  const flags = mode ? ["--conflict", mode] : [];
  Deno.test(`a file that exists: ${flags.join(" ") || "no flag, no terminal"}`, async () => {
    await using place = await Place.open(["--yes", ...flags]);
    place.folder.file("in/a.txt", "old");
    place.out("a.txt", "new");
    const { code, stderr } = await place.send(["a.txt"]);
    assertEquals(code, 0);
    assertEquals(place.received(), received);
    assertEquals(Deno.readTextFileSync(place.in("a.txt")), kept);
    if (mode === "skip") assertStringIncludes(stderr, "but not the 1 it has or does not want");
  });
}

Deno.test("--conflict overwrite does not put a file where a folder stands", async () => {
  await using place = await Place.open(["--yes", "--conflict", "overwrite"]);
  place.folder.file("in/a/kept", "kept");
  place.out("a");
  const { code, stderr } = await place.send(["a"]);
  assertEquals(code, 3);
  assertStringIncludes(stderr, "something else stands there under that name (a)");
  await place.listener.says("a folder stands there");
  assertEquals(Deno.readTextFileSync(place.in("a/kept")), "kept");
});

for (
  const { what, make } of [
    { what: "is missing", make: () => {} },
    { what: "is a file", make: (path: string) => Deno.writeTextFileSync(path, "") },
  ]
) {
  Deno.test(`--dir that ${what} ends listen and connect with 6 before anybody is reached`, async () => {
    using folder = new TemporaryFolder();
    const path = folder.join("inbox");
    make(path);
    const listen = ["listen", "--port", "0", "--host", "127.0.0.1", "--dir", path];
    const connect = ["connect", "127.0.0.1:9", "--dir", path];
    for (const words of [listen, connect]) {
      const { code, stdout, stderr } = await Program.run(words);
      assertEquals([code, stdout], [6, ""]);
      assertMatch(stderr, /^p2p: error: Cannot write into .*inbox: .+\n {5}.+\n$/);
    }
  });
}

Deno.test({
  name: "--dir that is read-only ends listen with 6",
  ignore: !otherUser,
  async fn() {
    using folder = new TemporaryFolder();
    Deno.chmodSync(folder.path, 0o755);
    const { code, stderr } = await Program.run(
      ["listen", "--port", "0", "--host", "127.0.0.1", "--dir", folder.folder("in")],
      asNobody(folder),
    );
    assertEquals(code, 6, stderr);
    assertStringIncludes(stderr, "Cannot write into");
  },
});

Deno.test({
  name: "a folder that becomes read-only refuses the offer, and the listener goes on",
  ignore: !otherUser,
  async fn() {
    using folder = new TemporaryFolder();
    Deno.chmodSync(folder.path, 0o777);
    const inbox = folder.folder("in");
    Deno.chmodSync(inbox, 0o777);
    const path = folder.file("a.txt", "a");
    const options = asNobody(folder);
    await using listener = await Program.listenJson(["--yes", "--dir", inbox], options);
    const words = ["send", "--address", listener.address, path];
    Deno.chmodSync(inbox, 0o755);
    const refused = await Program.run(words);
    assertEquals(refused.code, 3);
    assertStringIncludes(refused.stderr, "its target folder cannot be written");
    assertEquals((await listener.until("error")).code, "file");
    Deno.chmodSync(inbox, 0o777);
    assertDone(await Program.run(words));
  },
});

Deno.test({
  name: "send of a file that may not be read ends with 6",
  ignore: !otherUser,
  async fn() {
    await using place = await Place.open();
    const path = place.out("secret");
    Deno.chmodSync(path, 0o600);
    Deno.chmodSync(place.folder.path, 0o777);
    const { code, stderr } = await place.send([path], asNobody(place.folder));
    assertEquals(code, 6, stderr);
    assertMatch(stderr, /p2p: error: Cannot .*secret: .+\n {5}.+/);
    assertEquals(place.received(), []);
  },
});

Deno.test("send of what is not there ends with 6 before anybody is reached", async () => {
  const { code, stderr } = await Program.run(["send", "--address", "127.0.0.1:9", "nothing"]);
  assertEquals(code, 6);
  assertStringIncludes(stderr, "p2p: error: Cannot send nothing: no such file or folder\n");
});

Deno.test("send of a link that leads outside ends with 6 and names it", async () => {
  using folder = new TemporaryFolder();
  Deno.symlinkSync("../../secret", `${folder.folder("album")}/outside`);
  const { code, stderr } = await Program.run(
    ["send", "--address", "127.0.0.1:9", folder.join("album")],
  );
  assertEquals(code, 6);
  assertStringIncludes(stderr, "album/outside");
});

Deno.test("send of a name that no receiver takes ends with 6 and says why", async () => {
  using folder = new TemporaryFolder();
  const { code, stderr } = await Program.run(
    ["send", "--address", "127.0.0.1:9", folder.file("a:b", "")],
  );
  assertEquals(code, 6);
  assertStringIncludes(stderr, "has a colon");
});

Deno.test({
  name: "a disk with too little space refuses the offer, and takes a smaller one",
  ignore: !disks,
  async fn() {
    using folder = new TemporaryFolder();
    await using disk = await smallDisk(folder.folder("disk"), "size=8m");
    await using listener = await Program.listenJson(["--yes", "--dir", disk.path]);
    const words = ["send", "--address", listener.address];
    const large = folder.file("large", new Uint8Array(20_000_000));
    const { code, stderr } = await Program.run([...words, large]);
    assertEquals(code, 3);
    assertStringIncludes(stderr, "not enough space on its disk");
    assertEquals((await listener.until("error")).code, "file");
    assertEquals(Array.from(Deno.readDirSync(disk.path)), []);
    assertDone(await Program.run([...words, folder.file("small", "s")]));
  },
});

Deno.test({
  name: "a disk that fills up on the way stops the transfer, which goes on when there is space",
  ignore: !disks,
  async fn() {
    using folder = new TemporaryFolder();
    const content = repeated(crypto.getRandomValues(new Uint8Array(50_000)), 100);
    folder.file("album/1 large", content);
    for (let index = 0; index < 50; index++) folder.file(`album/small ${index}`, "s");
    // Bytes are free, so that the offer is taken, but there cannot be so many files.
    await using disk = await smallDisk(folder.folder("disk"), "size=64m,nr_inodes=30");
    await using listener = await Program.listenJson(["--yes", "--dir", disk.path]);
    const words = ["send", "--address", listener.address, folder.join("album")];
    const config = folder.join("sender");
    const stopped = await Program.run(words, { config });
    assertEquals(stopped.code, 3, stopped.stderr);
    assertStringIncludes(stopped.stderr, "not enough space on its disk");
    assertStringIncludes((await listener.until("error")).message, "no space left on the disk");
    const names = Array.from(Deno.readDirSync(disk.path), ({ name }) => name);
    assert(!names.includes("album") && names.length > 0);
    await run("mount", "-o", "remount,nr_inodes=1000", disk.path);
    const sent = await Program.run(words, { config });
    assertDone(sent);
    assertStringIncludes(sent.stderr, "resumed at");
    assertEquals(Deno.readFileSync(`${disk.path}/album/1 large`), content);
    assertEquals(Array.from(Deno.readDirSync(`${disk.path}/album`)).length, 51);
  },
});

Deno.test("an offer is refused with 3 where nobody can be asked, and nothing is written", async () => {
  await using place = await Place.open([]);
  place.out("a");
  const { code, stderr } = await place.send(["a"]);
  assertEquals(code, 3);
  assertStringIncludes(stderr, "Files refused by the other side: nobody is there to ask");
  assertStringIncludes(stderr, "Ask the other side to start with --yes, or at a terminal");
  await place.listener.says("refused, for there is nobody to ask (--yes accepts)");
  assertEquals(place.received(), []);
});

Deno.test("- streams 50 MB to listen --stdout --once, unchanged and alone on stdout", async () => {
  const content = repeated(crypto.getRandomValues(new Uint8Array(50_000)), 1_000);
  await using listener = await Program.listen(["--stdout", "--once"]);
  const { code, stderr } = await Program.run(["send", "--address", listener.address, "-"], {
    input: content,
  });
  assertEquals(code, 0, stderr);
  assertEquals((await listener.finished()).code, 0);
  const { bytes } = listener.stdout;
  assertEquals([bytes.length, sha256(bytes)], [content.length, sha256(content)]);
});

Deno.test("listen --stdout takes one stream at a time", async () => {
  await using listener = await Program.listen(["--stdout"]);
  await using first = Program.start(["send", "--address", listener.address, "-"]);
  await first.write("first ");
  await listener.stdout.until(() => listener.stdout.text === "first " || undefined, "first");
  const second = await Program.run(["send", "--address", listener.address, "-"], { input: "2nd" });
  assertEquals(second.code, 3);
  assertStringIncludes(second.stderr, "declined (another stream is still coming)");
  await first.write("last");
  await first.endInput();
  assertDone(await first.finished());
  const third = await Program.run(["send", "--address", listener.address, "-"], { input: "!" });
  assertDone(third);
  assertEquals(listener.stdout.text, "first last!");
});

Deno.test("listen --stdout with --json is a usage error", async () => {
  const { code, stdout } = await Program.run(["listen", "--stdout", "--json", "--port", "0"]);
  assertEquals(code, 2);
  assertEquals(JSON.parse(stdout).code, "usage");
});

Deno.test("--stdout writes neither chat nor anything else to stdout", async () => {
  await using listener = await Program.listen(["--stdout"]);
  await Program.run(["connect", listener.address, "--name", "bob"], { input: "a word\n" });
  await listener.says("bob: a word");
  const words = ["send", "--address", listener.address, "--file", "-"];
  assertDone(await Program.run(words, { input: "data" }));
  assertEquals(listener.stdout.text, "data");
});

Deno.test("listen --stdout into head -c 10 gives ten bytes, and both sides end without noise", async () => {
  await using listener = await Program.listen(["--stdout"], {
    before: ["sh", "-c", '"$@" | head -c 10', "sh"],
  });
  const { code, stderr } = await Program.run(["send", "--address", listener.address, "-"], {
    input: new Uint8Array(5_000_000).fill(0x61),
  });
  assertEquals(code, 3, stderr);
  assertStringIncludes(stderr, "Files refused by the other side: stopped");
  const ended = await listener.finished();
  assertEquals(ended.stdout, "aaaaaaaaaa");
  assert(!/error|Interrupted/.test(ended.stderr), ended.stderr);
});

Deno.test("- to a side that takes files is refused with 3 and what to do", async () => {
  await using place = await Place.open();
  const { code, stderr } = await place.send(["-"], { input: new Uint8Array(10) });
  assertEquals(code, 3);
  assertStringIncludes(stderr, "Standard input (-) goes to a side started with --stdout");
  await place.listener.says("Start with --stdout to take it");
});

Deno.test("files to listen --stdout are refused with 3", async () => {
  using folder = new TemporaryFolder();
  await using listener = await Program.listen(["--stdout"]);
  const words = ["send", "--address", listener.address, folder.file("a", "a")];
  assertEquals((await Program.run(words)).code, 3);
  assertEquals(listener.stdout.text, "");
});

Deno.test("- together with files is a usage error", async () => {
  using folder = new TemporaryFolder();
  const words = ["send", "--address", "127.0.0.1:9", "-", folder.file("a", "a")];
  const { code, stderr } = await Program.run(words);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "Give - alone");
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function repeated(bytes: Uint8Array, times: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(bytes.length * times);
  for (let index = 0; index < times; index++) all.set(bytes, index * bytes.length);
  return all;
}

/** What runs the program as a user who owns nothing; Deno's cache must be one that this user may read. */
function asNobody(folder: TemporaryFolder): ProgramOptions {
  const home = folder.folder("home of nobody");
  Deno.chmodSync(home, 0o777);
  return {
    before: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    config: `${home}/config`,
    cwd: "/",
    env: { HOME: home, DENO_DIR: `${home}/deno` },
  };
}

async function smallDisk(
  path: string,
  limits: string,
): Promise<{ path: string } & AsyncDisposable> {
  await run("mount", "-t", "tmpfs", "-o", limits, "tmpfs", path);
  return { path, [Symbol.asyncDispose]: () => run("umount", "-l", path) };
}

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
