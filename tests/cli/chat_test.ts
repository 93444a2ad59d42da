import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { loadIdentity } from "../../peer/identity.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { GoodbyeCode } from "../../protocol/session_frame.ts";
import { openListener } from "../fakes/open_listener.ts";
import { Program, type ProgramEvent } from "../fakes/program.ts";
import { beginning, RawMember } from "../fakes/raw_member.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

Deno.test("listen and connect chat both ways, in words", async () => {
  await using alice = await Program.listen(["--name", "alice"]);
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await bob.says("Connected to alice");
  await alice.says("Connected to bob");
  await alice.write("hello bob\n");
  await bob.prints("alice: hello bob");
  await bob.write("hello alice\n");
  await alice.prints("bob: hello alice");
});

Deno.test("listen and connect chat both ways, as events", async () => {
  await using alice = await Program.listenJson(["--name", "alice"]);
  await using bob = Program.start(["connect", alice.address, "--name", "bob", "--json"]);
  const connected = await bob.until("connected");
  assertEquals([connected.peer, connected.path], ["alice", "lan"]);
  const arrived = await alice.until("connected");
  assertEquals(arrived.peer, "bob");
  await alice.write("hello bob\n");
  assertMessage(await bob.until("message"), "alice", "hello bob", connected.fingerprint);
  await bob.write("hello alice\n");
  assertMessage(await alice.until("message"), "bob", "hello alice", arrived.fingerprint);
});

/** It is the author's first line, said just now. */
function assertMessage(event: ProgramEvent, from: string, text: string, key: string): void {
  const { id, time, ...said } = event;
  assertEquals(said, { event: "message", from, text, key });
  assertMatch(id, /^[0-9a-f]{64}\/[0-9a-f]{16}\/0\/1$/);
  assertMatch(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert(Math.abs(Date.parse(time) - Date.now()) < 60_000, time);
}

Deno.test("connect delivers 1,000 piped lines in order before it ends with 0", async () => {
  await using listener = await Program.listen();
  const lines = Array.from({ length: 1_000 }, (_, index) => `line ${index}`);
  const { address } = listener;
  const { code } = await Program.run(["connect", address, "--name", "pipe"], {
    input: lines.join("\n"),
  });
  assertEquals(code, 0);
  await listener.says("pipe has left");
  assertEquals(listener.stdout.lines, lines.map((line) => `pipe: ${line}`));
});

Deno.test("what is piped into a chat of three comes to each of them whole, whoever it was piped to", async () => {
  await using alice = await Program.listen(["--name", "alice"]);
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await alice.says("Connected to bob");
  await bob.says("Connected to alice");
  const lines = Array.from({ length: 3_000 }, (_, index) => `line ${index}`);
  const { code } = await Program.run(["connect", alice.address, "--name", "pipe"], {
    input: lines.join("\n"),
  });
  assertEquals(code, 0);
  await bob.stdout.until(() => bob.stdout.lines.at(-1)?.endsWith("line 2999") || undefined, "all");
  // Some may have come through alice before bob was met.
  assertEquals(bob.stdout.lines.map((line) => line.replace(/^pipe.*: /, "")), lines);
});

Deno.test("listen --once and connect show 30,000 lines to the last one before they end", async () => {
  const lines = Array.from({ length: 30_000 }, (_, index) => `line ${index}`);
  await using alice = await Program.listen(["--name", "alice", "--once"]);
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await alice.says("Connected to bob");
  await alice.write(`${lines.join("\n")}\n/quit\n`);
  const [listened, connected] = await Promise.all([alice.finished(), bob.finished()]);
  assertEquals([listened.code, connected.code], [0, 0]);
  assert(connected.stdout === lines.map((line) => `alice: ${line}\n`).join(""));

  await using carol = await Program.listen(["--name", "carol", "--once"]);
  const words = ["connect", carol.address, "--name", "bob"];
  assertEquals((await Program.run(words, { input: lines.join("\n") })).code, 0);
  const { code, stdout } = await carol.finished();
  assertEquals(code, 0);
  assert(stdout === lines.map((line) => `bob: ${line}\n`).join(""));
});

Deno.test("listen goes on listening when its standard input has ended", async () => {
  await using listener = await Program.listen();
  await listener.endInput();
  for (const name of ["first", "second"]) {
    const { code } = await Program.run(["connect", listener.address, "--name", name], {
      input: "here\n",
    });
    assertEquals(code, 0);
    await listener.prints(`${name}: here`);
  }
});

Deno.test("listen serves several peers at once: each hears it, and it hears each", async () => {
  await using alice = await Program.listen(["--name", "alice"]);
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await using carol = Program.start(["connect", alice.address, "--name", "carol"]);
  await alice.says("Connected to bob");
  await alice.says("Connected to carol");
  await Promise.all([bob.says("Connected to alice"), carol.says("Connected to alice")]);
  await alice.write("hello all\n");
  await Promise.all([bob.prints("alice: hello all"), carol.prints("alice: hello all")]);
  await Promise.all([bob.write("from bob\n"), carol.write("from carol\n")]);
  await Promise.all([alice.prints("bob: from bob"), alice.prints("carol: from carol")]);
});

Deno.test("listen --once ends with 0 when its first peer has left", async () => {
  await using listener = await Program.listen(["--once"]);
  const { code } = await Program.run(["connect", listener.address, "--name", "bob"], {
    input: "one thing\n",
  });
  assertEquals(code, 0);
  const ended = await listener.finished();
  assertEquals(ended.code, 0);
  assertEquals(ended.stdout, "bob: one thing\n");
});

Deno.test("listen --once ends when a peer in chat has sent files and gone", async () => {
  using folder = new TemporaryFolder();
  await using listener = await Program.listen(["--once", "--yes", "--dir", folder.folder("in")]);
  const { code } = await Program.run(
    ["send", "--address", listener.address, folder.file("a.txt", "a")],
  );
  assertEquals([code, (await listener.finished()).code], [0, 0]);
  assertEquals(await Deno.readTextFile(folder.join("in", "a.txt")), "a");
});

Deno.test("arrival and departure are announced on both sides, with address, path and key", async () => {
  await using alice = await Program.listen(["--name", "alice"]);
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  const key = String.raw`key ([a-z2-7]{4}-){3}[a-z2-7]{4}\)`;
  await bob.says(
    new RegExp(String.raw`Connected to alice \(127\.0\.0\.1:\d+, lan, encrypted, ${key}`),
  );
  await alice.says(
    new RegExp(String.raw`Connected to bob \(127\.0\.0\.1:\d+, lan, encrypted, ${key}`),
  );
  await alice.write("/quit\n");
  await bob.says("alice has left");
  assertEquals([(await alice.finished()).code, (await bob.finished()).code], [0, 0]);
});

Deno.test("connect ends with 0 when the listener says /quit", async () => {
  await using alice = await Program.listenJson();
  await using bob = Program.start(["connect", alice.address, "--json"]);
  await alice.until("connected");
  await alice.write("last words\n/quit\n");
  assertEquals((await bob.until("message")).text, "last words");
  await bob.until("disconnected");
  assertEquals([(await alice.finished()).code, (await bob.finished()).code], [0, 0]);
});

Deno.test("what somebody says and leaves at once is shown before it is told that they have left", async () => {
  await using alice = await Program.listenJson();
  await using bob = await RawMember.join(alice.address, { name: "bob" });
  await alice.until("connected");
  await bob.say(1, "last words");
  await bob.session.end(GoodbyeCode.interrupted);
  await alice.until("disconnected");
  const said = alice.events.map(({ event, text }) => text ?? event);
  assertEquals(said.slice(-2), ["last words", "disconnected"]);
});

Deno.test("connect without an address goes back to the last chat, and ends with it", async () => {
  using folder = new TemporaryFolder();
  const home = (name: string) => ({
    config: folder.join(name, "config"),
    data: folder.join(name, "data"),
  });
  await using alice = await Program.listen(["--name", "alice"], home("alice"));
  const words = ["connect", alice.address, "--name", "bob"];
  assertEquals((await Program.run(words, home("bob"))).code, 0);
  await using bob = Program.start(["connect", "--name", "bob", "--json"], home("bob"));
  assertEquals((await bob.until("connected")).peer, "alice");
  await bob.write("here again\n");
  await alice.prints("bob: here again");
  await alice.write("/quit\n");
  await bob.says("alice has left");
  // Its input is still open.
  assertEquals((await bob.finished()).code, 0);
});

Deno.test("connect without an address says what could not be read of its input", async () => {
  using folder = new TemporaryFolder();
  const [config, data] = [folder.join("config"), folder.join("data")];
  await using alice = await Program.listen();
  const words = ["connect", alice.address, "--name", "bob"];
  assertEquals((await Program.run(words, { config, data })).code, 0);
  const input = new Uint8Array([0x6f, 0x6b, 0x0a, 0xff, 0xfe, 0x0a]);
  const { code, stderr } = await Program.run(["connect", "--name", "bob"], { config, data, input });
  assertEquals(code, 1, stderr);
  assertStringIncludes(stderr, "Line not sent: standard input is not UTF-8 text");
  await alice.prints("bob: ok");
});

Deno.test("/quit ends connect at once, and what was said before it arrives", async () => {
  await using alice = await Program.listen();
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await bob.write("goodbye\n/quit\nnever said\n");
  assertEquals((await bob.finished()).code, 0);
  await alice.says("bob has left");
  assertEquals(alice.stdout.text, "bob: goodbye\n");
});

Deno.test("/nick changes the name that the other side shows, and refuses what is no name", async () => {
  await using alice = await Program.listen();
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await bob.write("/nick robert\n");
  await bob.says("You are now called robert");
  await alice.says("bob is now called robert");
  await bob.write("still me\n");
  await alice.prints("robert: still me");
  await bob.write("/nick 1.2.3.4:80\n");
  await bob.says("Name not usable: it looks like an address");
  await bob.write("and still\n");
  await alice.prints("robert: and still");
});

Deno.test("/nick refuses the name of somebody else who is known", async () => {
  await using alice = await Program.listen();
  await Program.run(["connect", alice.address, "--name", "carol"]);
  await alice.says("carol has left");
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await bob.write("/nick carol\nwho am I\n");
  await alice.says("bob wants to be called carol and may not");
  await alice.prints("bob: who am I");
});

Deno.test("/l tells who is here, /p how they are reached", async () => {
  await using alice = await Program.listen(["--name", "alice"]);
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await alice.says("Connected to bob");
  await bob.write("/l\n");
  await bob.says("Here: bob (you), alice");
  await bob.write("/p\n");
  await bob.says(/^NAME +KEY +LISTENS AT +ADDRESS +PATH +ROUND TRIP$/m);
  const host = alice.address.replaceAll(".", "\\.");
  await bob.says(
    new RegExp(`^alice +([a-z2-7]{4}-){3}[a-z2-7]{4}  ${host}  ${host}  lan +[0-9.]+ ms$`, "m"),
  );
  await bob.says(/^bob \(you\) {2}([a-z2-7]{4}-){3}[a-z2-7]{4} {2}\S+:\d+$/m);
});

Deno.test("/l and /p are events with --json", async () => {
  await using alice = await Program.listenJson(["--name", "alice"]);
  await using bob = Program.start(["connect", alice.address, "--name", "bob", "--json"]);
  await bob.until("connected");
  await bob.write("/p\n");
  const { peers: [peer] } = await bob.until("peers");
  assertEquals([peer.name, peer.address, peer.path], ["alice", alice.address, "lan"]);
  assertMatch(peer.fingerprint, /^([a-z2-7]{4}-){3}[a-z2-7]{4}$/);
});

Deno.test("/help lists every command", async () => {
  await using alice = await Program.listen();
  await alice.write("/help\n");
  for (const command of ["/send", "/l", "/p", "/nick", "/quit"]) await alice.says(`\n${command} `);
});

Deno.test("an unknown command is not said but answered, and the chat goes on", async () => {
  await using alice = await Program.listen();
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await bob.write("/quti\nthis is said\n//so is this\n");
  await bob.says("p2p: error: Unknown command: /quti\n     /help lists them");
  await alice.prints("bob: /so is this");
  assertEquals(alice.stdout.lines, ["bob: this is said", "bob: /so is this"]);
});

Deno.test("/send brings a file across while the chat goes on", async () => {
  using folder = new TemporaryFolder();
  const content = crypto.getRandomValues(new Uint8Array(50_000));
  folder.file("out/a picture.jpg", content);
  await using alice = await Program.listenJson(["--yes", "--dir", folder.folder("in")]);
  await using bob = Program.start(["connect", alice.address, "--json"], {
    cwd: folder.join("out"),
  });
  await bob.write("/send a picture.jpg\nand a word\n");
  const received = await alice.until("received");
  assertEquals(received.path, folder.join("in", "a picture.jpg"));
  assertEquals(await Deno.readFile(received.path), content);
  assertEquals(alice.events.find(({ event }) => event === "message")?.text, "and a word");
  const sent = await bob.until("sent");
  assertEquals([sent.path, sent.bytes], ["a picture.jpg", content.length]);
  await bob.write("after it\n");
  await alice.until("message", ({ text }) => text === "after it");
});

Deno.test("/send goes from the listener to everybody who is here", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("out/note.txt", "for all");
  await using alice = await Program.listenJson();
  const [one, two] = [folder.folder("one"), folder.folder("two")];
  await using bob = Program.start(["connect", alice.address, "--json", "--yes", "--dir", one]);
  await using carol = Program.start(["connect", alice.address, "--json", "--yes", "--dir", two]);
  await Promise.all([bob.until("connected"), carol.until("connected")]);
  await alice.until("connected");
  await alice.until("connected");
  await alice.write(`/send "${path}"\n`);
  await Promise.all([bob.until("received"), carol.until("received")]);
  assertEquals(await Deno.readTextFile(`${one}/note.txt`), "for all");
  assertEquals(await Deno.readTextFile(`${two}/note.txt`), "for all");
});

Deno.test("end of input after /send waits until the file has arrived", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("out.bin", new Uint8Array(3_000_000));
  await using alice = await Program.listen(["--yes", "--dir", folder.folder("in")]);
  const { code } = await Program.run(["connect", alice.address], { input: `/send ${path}\n` });
  assertEquals(code, 0);
  assertEquals((await Deno.stat(folder.join("in", "out.bin"))).size, 3_000_000);
});

Deno.test("/send of what is not there is an error of the command only", async () => {
  await using alice = await Program.listen();
  await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
  await bob.write("/send nothing.txt\n/send\nstill here\n");
  await bob.says(/p2p: error: .*nothing\.txt.*/);
  await bob.says("Nothing sent: no file was named");
  await alice.prints("bob: still here");
});

Deno.test("a line said when nobody is here says so instead of vanishing", async () => {
  await using alice = await Program.listen();
  await alice.write("anybody?\n/send x\n");
  await alice.says("Nobody is here");
  await alice.says("Nothing sent: nobody is here");
});

Deno.test("a line of 1 MiB arrives whole, both ways", async () => {
  await using alice = await Program.listenJson(["--name", "alice"]);
  await using bob = Program.start(["connect", alice.address, "--json"]);
  await alice.until("connected");
  const line = "ä".repeat(524_288);
  await bob.write(`${line}\n`);
  await alice.write(`${line}\n`);
  const [there, back] = await Promise.all([alice.until("message"), bob.until("message")]);
  assert(there.text === line && back.text === line);
});

Deno.test("escape sequences, controls and bidi are shown escaped; events hold the raw text", async () => {
  const line = "\x1b[2J\x1b]0;title\x07 \u202egnp.exe a\tb \x9b31m ok";
  await using alice = await Program.listen();
  await using carol = await Program.listenJson();
  for (const { address } of [alice, carol]) {
    await Program.run(["connect", address, "--name", "bob"], { input: `${line}\n` });
  }
  const shown = String.raw`bob: \x1b[2J\x1b]0;title\x07 \u202egnp.exe a\tb \x9b31m ok`;
  await alice.prints(shown);
  assertEquals((await carol.until("message")).text, line);
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/.test(carol.stdout.text));
});

Deno.test("text of any script arrives as it was typed", async () => {
  await using alice = await Program.listen();
  const line = "Grüße, 你好, שלום, नमस्ते, 👩‍👩‍👧‍👦 🏴󠁧󠁢󠁷󠁬󠁳󠁿";
  await Program.run(["connect", alice.address, "--name", "bob"], { input: line });
  await alice.prints(`bob: ${line}`);
});

Deno.test("connect refuses input that is not UTF-8 in one line, after what came before it", async () => {
  await using alice = await Program.listen();
  const input = new Uint8Array([0x6f, 0x6b, 0x0a, 0xff, 0xfe, 0x0a]);
  const { code, stderr } = await Program.run(["connect", alice.address, "--name", "bob"], {
    input,
  });
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Line not sent: standard input is not UTF-8 text");
  await alice.prints("bob: ok");
});

Deno.test("connect says once why a session is over, and ends with 4", async () => {
  const identity = generateKeyPair();
  await using listener = openListener({ identity });
  await using anna = Program.start(["connect", `127.0.0.1:${listener.port}`]);
  const session = (await listener.sessions.next())!;
  const stream = (await session.accept())!;
  await stream.write(beginning("mallory", identity));
  await anna.says("Connected to mallory");
  const text = "this is all";
  await session.fail(new ProtocolError(text), { code: GoodbyeCode.protocolError, text });
  const { code, stderr } = await anna.finished();
  assertEquals(code, 4, stderr);
  assertEquals(stderr.split("mallory ended the session: this is all").length, 2, stderr);
});

Deno.test("connect ends with 4 when who was started anew does not come into the chat within 10 s", async () => {
  using folder = new TemporaryFolder();
  const config = folder.folder("config");
  const first = await Program.listenJson([], { config });
  const { address } = first;
  await using anna = Program.start(["connect", address]);
  await anna.says("Connected to ");
  await first[Symbol.asyncDispose]();
  await anna.says("is away");
  const identity = await loadIdentity(`${config}/p2p`);
  await using _second = openListener({ identity, port: Number(address.split(":")[1]) });
  const { code, stderr } = await anna.finished();
  assertEquals(code, 4, stderr);
  assertEquals(
    stderr.split("it was started anew and does not know this session").length,
    2,
    stderr,
  );
  assert(!stderr.includes("is back"), stderr);
});
