/** `p2p punch --plain`: with each other, and with a program that knows only Peer-Punch's protocol. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Program } from "../fakes/program.ts";
import { punchAtTerminal } from "../fakes/punch_terminal.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";
import { hasTmux } from "../fakes/tmux.ts";

const WARNING = "PLAIN: nothing is encrypted";

/** A UDP socket of somebody who speaks Peer-Punch's protocol: a peer, or a relay. */
class Original implements Disposable {
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });

  get address(): string {
    return `127.0.0.1:${(this.#socket.addr as Deno.NetAddr).port}`;
  }

  async says(to: string, text: string): Promise<void> {
    const [hostname, port] = to.split(":") as [string, string];
    const bytes = new TextEncoder().encode(text);
    await this.#socket.send(bytes, { transport: "udp", hostname, port: Number(port) });
  }

  /** The next datagram but Pings; who sent it. */
  async hears(): Promise<{ text: string; from: string }> {
    for (;;) {
      const next = await this.receive();
      if (next.text !== '"Ping"') return next;
    }
  }

  async receive(): Promise<{ text: string; from: string }> {
    const [bytes, from] = await this.#socket.receive();
    const { hostname, port } = from as Deno.NetAddr;
    return { text: new TextDecoder().decode(bytes), from: `${hostname}:${port}` };
  }

  /** Hears this text next, but for Pings. @returns from where */
  async expects(text: string): Promise<string> {
    const { text: heard, from } = await this.hears();
    assertEquals(heard, text);
    return from;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** `punch --plain --json` that is registered. */
async function punch(relay: string, name: string, flags: string[] = []): Promise<Program> {
  const words = ["punch", "--plain", "--json", "--relay", relay, "--name", name, ...flags];
  const program = Program.start(words);
  const { event: _, ...registered } = await program.until("registered");
  assertEquals(registered, { name, relay, plain: true });
  return program;
}

Deno.test("punch --plain: two of ours meet at our relay and chat, one talk after the other", async () => {
  await using relay = await Program.relay();
  await using bob = await punch(relay.address, "bob");
  await bob.says(WARNING);
  for (const name of ["anna", "carol"]) {
    await using visitor = await punch(relay.address, name, ["--to", "bob"]);
    const { address: _, ...connected } = await visitor.until("connected");
    assertEquals(connected, { event: "connected", peer: "bob", path: "lan", plain: true });
    assertEquals((await bob.until("connected")).peer, name);
    await visitor.write("hello bob\n");
    const { from, text } = await bob.until("message");
    assertEquals([from, text], [name, "hello bob"]);
    await bob.write(`hello ${name}\n`);
    assertEquals((await visitor.until("message")).text, `hello ${name}`);
    await visitor.endInput();
    assertEquals((await visitor.finished()).code, 0);
    assertEquals((await bob.until("disconnected")).peer, name);
    await bob.says(`${name} has left`);
  }
  await bob.write("/quit\n");
  assertEquals((await bob.finished()).code, 0);
});

Deno.test("punch --plain --to ends when the other leaves, and what a pipe says arrives in order", async () => {
  await using relay = await Program.relay();
  await using bob = await punch(relay.address, "bob", ["--once"]);
  const lines = Array.from({ length: 30 }, (_, i) => `line ${i}`);
  const words = ["punch", "--plain", "--relay", relay.address, "--name", "anna", "--to", "bob"];
  const { code } = await Program.run(words, { input: lines.join("\n") + "\n" });
  assertEquals([code, (await bob.finished()).code], [0, 0]);
  const texts = bob.events.filter(({ event }) => event === "message").map(({ text }) => text);
  assertEquals(texts, lines);
  await using carl = await punch(relay.address, "carl");
  await using dora = await punch(relay.address, "dora", ["--to", "carl"]);
  await dora.until("connected");
  carl.kill("SIGINT");
  assertEquals((await carl.finished()).code, 130);
  await dora.until("disconnected");
  assertEquals((await dora.finished()).code, 0);
});

Deno.test("punch --plain speaks with an original program through an original relay, byte for byte", async () => {
  using relay = new Original();
  using peer = new Original();
  await using bob = Program.start(
    ["punch", "--plain", "--json", "--relay", relay.address, "--name", "bob", "--to", "anna"],
  );
  const at = await relay.expects('{"Register":{"username":"bob"}}');
  await relay.says(at, '"RegisterAck"');
  await relay.expects('{"Connect":{"target_username":"anna"}}');
  await relay.says(at, `{"PeerInfo":{"peer":"${peer.address}","username":"anna"}}`);
  const { text, from } = await peer.receive();
  assertEquals([text, from], ['"Ping"', at]);
  await peer.says(at, '"Ping"');
  await peer.expects('"Pong"');
  assertEquals((await bob.until("connected")).address, peer.address);
  await peer.says(at, '{"DirectMessage":{"content":"from the original: \\u001b[31mred"}}');
  assertEquals((await bob.until("message")).text, "from the original: \x1b[31mred");
  await bob.write("to the original\n");
  await peer.expects('{"DirectMessage":{"content":"to the original"}}');
  await bob.write("/quit\n");
  await peer.expects('"Goodbye"');
  await relay.expects('"SessionFinished"');
  assertEquals((await bob.finished()).code, 0);
});

Deno.test("punch --plain that waits is found by an original program, and idle again after it", async () => {
  await using relay = await Program.relay();
  await using bob = await punch(relay.address, "bob");
  for (let visit = 0; visit < 2; visit++) {
    using peer = new Original();
    await peer.says(relay.address, `{"Register":{"username":"anna${visit}"}}`);
    await peer.expects('"RegisterAck"');
    await peer.says(relay.address, '{"Connect":{"target_username":"bob"}}');
    const introduced = await peer.hears();
    const { peer: at } = JSON.parse(introduced.text).PeerInfo;
    // It punches in a way of its own.
    assertEquals((await peer.receive()).text, '"Ping"');
    await peer.says(at, "punch");
    assertEquals((await bob.until("connected")).peer, `anna${visit}`);
    await peer.says(at, '{"DirectMessage":{"content":"hi"}}');
    await bob.until("message");
    await peer.says(at, '"Goodbye"');
    await bob.until("disconnected");
  }
});

Deno.test("punch --plain answers to the port that the other's datagrams come from", async () => {
  using relay = new Original();
  using told = new Original();
  using real = new Original();
  await using bob = Program.start(
    ["punch", "--plain", "--json", "--relay", relay.address, "--name", "bob"],
  );
  const at = await relay.expects('{"Register":{"username":"bob"}}');
  await relay.says(at, '"RegisterAck"');
  await bob.until("registered");
  await relay.says(at, `{"PeerInfo":{"peer":"${told.address}","username":"anna"}}`);
  assertEquals((await told.receive()).text, '"Ping"');
  await real.says(at, '"Ping"');
  await real.expects('"Pong"');
  assertEquals((await bob.until("connected")).address, real.address);
  await bob.write("here you are\n");
  await real.expects('{"DirectMessage":{"content":"here you are"}}');
});

Deno.test("punch --plain ends with the right code and one clear line", async () => {
  await using relay = await Program.relay();
  await using _bob = await punch(relay.address, "bob");
  await using anna = await punch(relay.address, "anna", ["--to", "bob"]);
  await anna.until("connected");
  const cases: [words: string[], code: number, message: string][] = [
    [["--to", "nobody"], 4, "Nobody is called nobody at the relay"],
    [["--to", "bob"], 3, "bob is busy at the relay"],
    [["--relay", "no-such-host.invalid"], 4, "Could not reach the relay no-such-host.invalid"],
    [["--to", "eve"], 2, "Nobody else to reach"],
    [["--yes"], 2, "--yes does not go with --plain"],
    [["--stdout"], 2, "--stdout does not go with --plain"],
    [["--password-file", "f"], 2, "--password-file does not go with --plain"],
  ];
  await Promise.all(cases.map(async ([words, expected, message]) => {
    const at = words.includes("--relay") ? [] : ["--relay", relay.address];
    const name = words.includes("eve")
      ? "eve"
      : `eve${cases.findIndex(([each]) => each === words)}`;
    const all = ["punch", "--plain", "--quiet", "--name", name, ...at, ...words];
    const { code, stderr } = await Program.run(all);
    assertEquals(code, expected, stderr);
    const lines = stderr.trimEnd().split("\n").filter((line) => !line.startsWith("PLAIN"));
    assertEquals(lines.length, 2, stderr);
    assertStringIncludes(lines[0]!, `p2p: error: ${message}`);
  }));
});

Deno.test("punch --plain: a name that another holds ends it with 3, a port that is taken with 1", async () => {
  using relay = new Original();
  const words = ["punch", "--plain", "--relay", relay.address, "--name", "bob"];
  await using bob = Program.start(words);
  await relay.says(await relay.expects('{"Register":{"username":"bob"}}'), '"TargetBusy"');
  const { code, stderr } = await bob.finished();
  assertEquals(code, 3);
  assertMatch(stderr, /refused the name bob: another holds it\n {5}Take another --name/);
  using taken = new Original();
  const port = taken.address.split(":")[1]!;
  const ended = await Program.run([...words, "--port", port]);
  assertEquals(ended.code, 1, ended.stderr);
  assertStringIncludes(ended.stderr, `Could not listen on port ${port}: another program has it`);
});

Deno.test("punch --plain does not say a line that is too long, and goes on", async () => {
  await using relay = await Program.relay();
  await using bob = await punch(relay.address, "bob");
  await using anna = await punch(relay.address, "anna", ["--to", "bob"]);
  await anna.until("connected");
  await anna.write(`${"x".repeat(40_000)}\nshort\n${"y".repeat(3_000)}\n`);
  assertEquals((await bob.until("message")).text, "short");
  await anna.says("Line not sent: it takes more than 16 datagrams");
  let long = "";
  while (long.length < 3_000) long += (await bob.until("message")).text;
  assertEquals(long, "y".repeat(3_000));
});

Deno.test({
  name: "punch --plain at a terminal: the warning, who is there, and lines both ways",
  ignore: !await hasTmux(),
  async fn() {
    using folder = new TemporaryFolder();
    await using relay = await Program.relay();
    const start = (name: string, ...words: string[]) =>
      punchAtTerminal(
        ["--plain", "--relay", relay.address, "--name", name, ...words],
        folder.join(name),
      );
    await using bob = await start("bob");
    const waiting = await bob.waitFor(/--to bob --name NAME\n>$/);
    assertStringIncludes(waiting, WARNING);
    await using anna = await start("anna", "--to", "bob");
    await anna.waitFor(/Connected to bob \(127\.0\.0\.1:\d+, lan, NOT encrypted\)\n>$/);
    await anna.type("hello");
    await anna.press("Enter");
    await bob.waitFor(/anna: hello\n>$/);
    await bob.type("hello back");
    await bob.press("Enter");
    await anna.waitFor(/bob: hello back\n>$/);
    await anna.press("C-d");
    const shown = await bob.waitFor(/anna has left\n>$/);
    assert(!shown.includes("gone"), shown);
  },
});
