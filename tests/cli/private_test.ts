/** What is for one of several: /msg, /send NAME, /kick. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Program } from "../fakes/program.ts";
import { RawMember } from "../fakes/raw_member.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

/** Alice, who listens, and bob and carol, who have come, and each know of the other. */
class Three implements AsyncDisposable {
  readonly folder = new TemporaryFolder();
  alice!: Program;
  bob!: Program;
  carol!: Program;

  static async meet(flags: { alice?: string[]; bob?: string[] } = {}): Promise<Three> {
    const three = new Three();
    const { folder } = three;
    const flagsOf = (name: string) => ["--yes", "--dir", folder.folder(`in of ${name}`)];
    three.alice = await Program.listen(["--name", "alice", ...flags.alice ?? []], {
      data: folder.join("data"),
      cwd: folder.folder("out"),
    });
    const { address } = three.alice;
    const words = (name: string) => ["connect", address, "--name", name, ...flagsOf(name)];
    three.bob = Program.start([...words("bob b"), ...flags.bob ?? []], {
      config: folder.join("bob"),
    });
    three.carol = Program.start(words("carol"));
    if (!flags.alice) {
      await three.alice.says("Connected to bob b");
      await three.alice.says("Connected to carol");
    }
    await three.carol.says("Connected to bob b");
    if (!flags.bob) await three.bob.says("Connected to carol");
    return three;
  }

  /** Starts bob once more, with the key that he has. */
  again(): Promise<{ code: number; stderr: string }> {
    const words = ["connect", this.alice.address, "--name", "bob b"];
    return Program.run(words, { config: this.folder.join("bob") });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.alice[Symbol.asyncDispose]();
    await this.bob[Symbol.asyncDispose]();
    await this.carol[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

Deno.test("/msg says a line to one alone, and both sides see that it is private", async () => {
  await using three = await Three.meet();
  const { alice, bob, carol } = three;
  await alice.write("/msg bob b a secret\nfor all\n");
  await alice.says("To bob b (privately): a secret");
  await bob.prints("alice (privately): a secret");
  await carol.prints("alice: for all");
  assertEquals(carol.stdout.text, "alice: for all\n");
  await bob.write("/msg alice an answer\n");
  await alice.prints("bob b (privately): an answer");
  await alice.write("/history\n");
  await alice.says(
    / {2}alice to bob b \(privately\): a secret\n.* {2}alice: for all\n.* {2}bob b \(privately\): an answer$/m,
  );
});

Deno.test("a private line is an event with private: true, a public one has no such field", async () => {
  await using three = await Three.meet({ bob: ["--json"] });
  await three.bob.until("connected");
  await three.alice.write('/msg "bob b" a secret\nfor all\n');
  const secret = await three.bob.until("message");
  const { id, key, time, ...said } = secret;
  assertEquals(said, { event: "message", from: "alice", text: "a secret", private: true });
  const open = await three.bob.until("message");
  assertEquals(open, {
    event: "message",
    from: "alice",
    text: "for all",
    id: id.replace("/1/1", "/0/1"),
    key,
    time: open.time,
  });
  assert(open.id !== id);
  assert(Date.parse(open.time) >= Date.parse(time));
});

Deno.test("/msg and /kick tell what is missing, and who is here", async () => {
  await using three = await Three.meet();
  const { alice } = three;
  await alice.write("/msg bob hi\n");
  await alice.says(/Nobody here is called bob\n +Here: (bob b, carol|carol, bob b)/);
  await alice.write("/msg\n");
  await alice.says(/Nobody was named\n +\/msg NAME TEXT/);
  await alice.write("/msg carol\n");
  await alice.says("Nothing said: no text");
  await alice.write("/kick dave\n");
  await alice.says("Nobody here is called dave");
  assertEquals([three.bob.stdout.text, three.carol.stdout.text], ["", ""]);
});

Deno.test("/send NAME PATH sends to one alone, /send PATH to all, each with its progress", async () => {
  await using three = await Three.meet({ alice: ["--json"] });
  const { alice, folder } = three;
  const size = 3_000_000;
  folder.file("out/one file.bin", new Uint8Array(size));
  folder.file("out/for all", new Uint8Array(size));
  await Promise.all([three.bob.says("Connected"), three.carol.says("Connected")]);
  await alice.until("connected");
  await alice.until("connected");
  await alice.write("/send bob b one file.bin\n");
  assertEquals((await alice.until("sent")).peer, "bob b");
  await alice.write("/send for all\n");
  const sent = [await alice.until("sent"), await alice.until("sent")];
  assertEquals(sent.map(({ peer }) => peer).sort(), ["bob b", "carol"]);
  assertEquals(names(folder.join("in of bob b")), ["for all", "one file.bin"]);
  assertEquals(names(folder.join("in of carol")), ["for all"]);
  const told = alice.events.filter(({ event }) => event === "progress");
  assertEquals([...new Set(told.map(({ peer }) => peer))].sort(), ["bob b", "carol"]);
});

Deno.test("/send does not guess where a path begins with a name", async () => {
  await using three = await Three.meet();
  const { alice, folder } = three;
  folder.file("out/carol song", "whole");
  await alice.write("/send carol song\n");
  await alice.says("carol has confirmed it");
  await alice.says("bob b has confirmed it");
  assertEquals(names(folder.join("in of bob b")), ["carol song"]);
  folder.file("out/song", "part");
  await alice.write("/send carol song\n");
  await alice.says("Nothing sent: there is a carol song, and a song for carol");
  await alice.write('/send "carol" song\n');
  await alice.says(/song sent: 4 B/);
  assertEquals(names(folder.join("in of carol")), ["carol song", "song"]);
  assertEquals(names(folder.join("in of bob b")), ["carol song"]);
  await alice.write("/send carol nothing\n");
  await alice.says(/p2p: error: .*nothing/);
});

Deno.test("/kick ends one session with words, and lets the key in no more", async () => {
  await using three = await Three.meet();
  const { alice, bob, carol } = three;
  await alice.write("/kick bob b too loud\n");
  await bob.says("alice has sent you away: too loud\n");
  await alice.says("bob b is sent away, and not let in again until p2p ends");
  // Others have him until they send him away, too: who sent him away hears nothing of it.
  await bob.write("is that so?\n");
  await carol.prints("bob b: is that so?");
  await carol.write("it is\n/kick bob b\n");
  await alice.prints("carol: it is");
  const { code, stderr } = await bob.finished();
  assertEquals(code, 3);
  assertStringIncludes(stderr, "alice has sent you away: too loud\n     You are let in again when");
  const again = await three.again();
  assertEquals(again.code, 3);
  assertStringIncludes(again.stderr, "alice has sent you away: too loud");
  await alice.write("still here\n");
  await carol.prints("alice: still here");
  assertEquals(alice.stdout.text, "carol: it is\n");
  assert(!alice.stderr.text.includes("came to nothing"));
  await alice.write("/quit\n");
  assertEquals((await alice.finished()).code, 0);
});

Deno.test("/kick breaks a transfer off", async () => {
  await using three = await Three.meet();
  const { alice, bob, folder } = three;
  const source = await Deno.open(folder.join("out", "endless"), { create: true, write: true });
  await source.truncate(50e9);
  source.close();
  await alice.write("/send bob b endless\n");
  await bob.says("offers endless");
  await alice.write("/kick bob b\n");
  await bob.says("alice has sent you away\n");
  await bob.says(/p2p: error: .*alice has sent you away/);
  await three.carol.write("/quit\n");
  assertEquals((await bob.finished()).code, 3);
  await alice.write("/quit\n");
  assertEquals((await alice.finished()).code, 0);
});

Deno.test("a flood of private lines and names is shown, bounded and over with a /kick", async () => {
  using folder = new TemporaryFolder();
  await using alice = await Program.listen(["--name", "alice"], { data: folder.path });
  await using mallory = await RawMember.join(alice.address);
  const text = `\x1b[2J${"x".repeat(1_000)}`;
  const to = mallory.remoteKey;
  let lines = 0;
  const flood = (async () => {
    for (;; lines++) {
      await mallory.send({ type: "nick", name: `mallory ${lines}` });
      const line = mallory.line(lines + 1, text, { channel: 1, to });
      await mallory.send({ type: "line", line, previous: lines });
    }
  })().catch(() => {});
  await alice.says("changes its name again and again");
  await alice.says(/mallory 15/);
  while (lines < 5_000) await new Promise((resolve) => setTimeout(resolve, 20));
  await alice.write("/kick mallory 15\n");
  await flood;
  assertStringIncludes((await mallory.ended())!.message, "has sent you away");
  await alice.write("/quit\n");
  assertEquals((await alice.finished()).code, 0);
  assert(!alice.stdout.text.includes("\x1b"));
  const { size } = Deno.statSync(folder.join("p2p", "history.db"));
  assert(size < 80e6, `${size}`);
});

function names(folder: string): string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
}
