/** `p2p punch`, as users run it: by name, through a relay, from both sides. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Program, type ProgramOptions } from "../fakes/program.ts";
import { punchAtTerminal } from "../fakes/punch_terminal.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";
import { hasTmux } from "../fakes/tmux.ts";

/** `punch --json` that is registered. */
async function punch(
  relay: string,
  name: string,
  flags: string[] = [],
  options: ProgramOptions = {},
): Promise<Program> {
  const words = ["punch", "--relay", relay, "--name", name, "--json", ...flags];
  const program = Program.start(words, options);
  const { event: _, ...registered } = await program.until("registered");
  assertEquals(registered, { name, relay });
  return program;
}

Deno.test("punch: one waits, the other joins by name; chat and files go both ways", async () => {
  using folder = new TemporaryFolder();
  const file = folder.file("a.txt", "abc");
  await using relay = await Program.relay();
  await using bob = await punch(relay.address, "bob", ["--yes", "--dir", folder.folder("in")]);
  await using anna = await punch(relay.address, "anna", ["--to", "bob"]);
  const connected = await anna.until("connected");
  assertEquals(connected.peer, "bob");
  assertMatch(connected.fingerprint, /^[a-z2-7]{4}-/);
  assertEquals((await bob.until("connected")).peer, "anna");
  await anna.write("hello bob\n");
  assertEquals((await bob.until("message")).text, "hello bob");
  await bob.write("hello anna\n");
  assertEquals((await anna.until("message")).text, "hello anna");
  await anna.write(`/send ${file}\n`);
  await bob.until("received");
  assertEquals(await Deno.readTextFile(folder.join("in", "a.txt")), "abc");
  await anna.endInput();
  assertEquals((await anna.finished()).code, 0);
  assertEquals((await bob.until("disconnected")).peer, "anna");
  // It waits for the next one, whichever command they use.
  const words = ["connect", "bob", "--relay", relay.address, "--name", "carol"];
  assertEquals((await Program.run(words, { input: "there?\n" })).code, 0);
  assertEquals((await bob.until("message")).text, "there?");
  assert(!bob.events.some(({ event }) => event === "listening"));
});

Deno.test("punch --to ends with 0 when the other leaves, and --once with the first who did", async () => {
  await using relay = await Program.relay();
  await using bob = await punch(relay.address, "bob", ["--once"]);
  await using anna = await punch(relay.address, "anna", ["--to", "bob"]);
  await bob.until("connected");
  await anna.write("/quit\n");
  assertEquals((await anna.finished()).code, 0);
  const { code, stderr } = await bob.finished();
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, "anna has left");
  await using carl = await punch(relay.address, "carl");
  await using dora = await punch(relay.address, "dora", ["--to", "carl"]);
  await Promise.all([dora.until("connected"), carl.until("connected")]);
  await carl.write("/quit\n");
  assertEquals((await dora.finished()).code, 0);
  await dora.says("carl has left");
});

Deno.test("punch --to lets in who asks meanwhile, and stays until they have left, too", async () => {
  await using relay = await Program.relay();
  await using bob = await punch(relay.address, "bob");
  await using anna = await punch(relay.address, "anna", ["--to", "bob"]);
  await anna.until("connected");
  await using carol = await punch(relay.address, "carol", ["--to", "anna"]);
  assertEquals((await anna.until("connected")).peer, "carol");
  await bob.write("/quit\n");
  await anna.until("disconnected", ({ peer }) => peer === "bob");
  await carol.write("still here?\n");
  assertEquals((await anna.until("message")).text, "still here?");
  await carol.write("/quit\n");
  assertEquals((await anna.finished()).code, 0);
});

Deno.test("two programs of one identity, of which punch --to came to one, hear each line once", async () => {
  using folder = new TemporaryFolder();
  const config = folder.folder("bob");
  await using relay = await Program.relay();
  await using bob = await punch(relay.address, "bob", [], { config });
  await using anna = await punch(relay.address, "anna", ["--to", "bob"]);
  await Promise.all([anna.until("connected"), bob.until("connected")]);
  const words = ["connect", "anna", "--relay", relay.address, "--name", "bob", "--json"];
  await using again = Program.start(words, { config });
  await Promise.all([anna.until("connected"), again.until("connected")]);
  await anna.write("once\n");
  assertEquals((await bob.until("message")).text, "once");
  assertEquals((await again.until("message")).text, "once");
  // What is said there is heard all the same, and had the line come twice, it had come before this.
  await again.write("heard?\n/quit\n");
  assertEquals((await anna.until("message")).text, "heard?");
  assertEquals((await bob.until("message")).text, "heard?");
  await again.finished();
  assertEquals(again.events.filter(({ event }) => event === "message").length, 1);
});

Deno.test("punch --to --once ends with its visit, whoever else is there", async () => {
  await using relay = await Program.relay();
  await using bob = await punch(relay.address, "bob");
  await using anna = await punch(relay.address, "anna", ["--to", "bob", "--once"]);
  await anna.until("connected");
  await using carol = await punch(relay.address, "carol", ["--to", "anna"]);
  await anna.until("connected");
  await bob.write("/quit\n");
  assertEquals((await anna.finished()).code, 0);
  await carol.says("anna has left");
  assertEquals((await carol.finished()).code, 0);
});

Deno.test("punch --stdout takes a stream that is sent by name", async () => {
  await using relay = await Program.relay();
  const words = ["punch", "--relay", relay.address, "--name", "bob", "--once", "--stdout"];
  await using bob = Program.start(words);
  await bob.says("Registered as bob");
  const send = ["send", "--to", "bob", "--relay", relay.address, "--file", "-"];
  assertEquals((await Program.run(send, { input: "stream" })).code, 0);
  const { code, stdout } = await bob.finished();
  assertEquals([code, stdout], [0, "stream"]);
});

Deno.test("punch ends with 4 and what to do if nobody has that name, or no relay is there", async () => {
  using closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const nowhere = `127.0.0.1:${closed.addr.port}`;
  closed.close();
  await using relay = await Program.relay();
  const cases: [words: string[], message: string][] = [
    [["--relay", relay.address, "--to", "nobody"], `Nobody is called nobody at the relay`],
    [["--relay", nowhere, "--to", "nobody"], `Could not reach the relay ${nowhere}`],
    [["--relay", nowhere], `Could not reach the relay ${nowhere}`],
  ];
  for (const [words, message] of cases) {
    const { code, stderr } = await Program.run(["punch", "--name", "anna", "--quiet", ...words]);
    assertEquals(code, 4, stderr);
    assertMatch(stderr, new RegExp(`^p2p: error: ${message}.*\n {5}.+\n$`));
  }
});

Deno.test("punch ends with 3 if another holds the name, with --to before it has said anything", async () => {
  await using relay = await Program.relay();
  await using bob = await punch(relay.address, "bob");
  for (const to of [[], ["--to", "bob"]]) {
    const name = to.length === 0 ? "bob" : "dora";
    await using holder = name === "dora" ? await punch(relay.address, name) : undefined;
    const words = ["punch", "--relay", relay.address, "--name", name, ...to];
    const { code, stderr } = await Program.run(words);
    assertEquals(code, 3, stderr);
    assertMatch(stderr, /p2p: error: The relay .* refused the name .+\n {5}.*--name.*\n$/);
    await holder?.write("/quit\n");
  }
  assertEquals(bob.events.filter(({ event }) => event === "message"), []);
});

Deno.test("punch that is interrupted ends with 130, and its name is free at once", async () => {
  await using relay = await Program.relay();
  for (let i = 0; i < 2; i++) {
    await using bob = await punch(relay.address, "bob");
    await using anna = await punch(relay.address, `anna${i}`, ["--to", "bob"]);
    await Promise.all([anna.until("connected"), bob.until("connected")]);
    anna.kill("SIGINT");
    assertEquals((await anna.finished()).code, 130);
    await bob.until("disconnected");
    bob.kill("SIGINT");
    assertEquals((await bob.finished()).code, 130);
  }
});

Deno.test({
  name: "punch at a terminal: what is printed, and how it ends",
  ignore: !await hasTmux(),
  async fn() {
    using folder = new TemporaryFolder();
    await using relay = await Program.relay();
    const start = (name: string, ...words: string[]) =>
      punchAtTerminal(["--relay", relay.address, "--name", name, ...words], folder.join(name));
    await using bob = await start("bob");
    const waiting = await bob.waitFor(/p2p connect bob --relay .+\n>$/);
    assertStringIncludes(waiting, `Registered as bob at the relay ${relay.address}\nAnywhere, run`);
    assert(!waiting.includes("Listening"), waiting);
    await using anna = await start("anna", "--to", "bob");
    await anna.waitFor(/Connected to bob \(.+:\d+, lan, encrypted, key .+\)/);
    await bob.waitFor("Connected to anna");
    await anna.type("hello");
    await anna.press("Enter");
    await bob.waitFor(/anna: hello\n>$/);
    await anna.press("C-d");
    await bob.waitFor(/anna has left\n>$/);
  },
});
