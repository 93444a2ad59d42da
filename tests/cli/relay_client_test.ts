/** By name, through a relay, as users run it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { dialCircuit } from "../../peer/carrier/circuit.ts";
import { formatAddress, parseAddress } from "../../protocol/address.ts";
import type { ByteStream } from "../../protocol/connection.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { Chat } from "../../transfer/chat.ts";
import { ControlClient, tokenOf } from "../fakes/control_client.ts";
import { openListener } from "../fakes/open_listener.ts";
import { Program, type ProgramOptions } from "../fakes/program.ts";
import { beginning } from "../fakes/raw_member.ts";
import { RawServer } from "../fakes/raw_server.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

interface Relay extends AsyncDisposable {
  program: Program;
  address: string;
  key: string;
}

async function startRelay(
  { host = "127.0.0.1", port = "0", flags = [], ...options }:
    & { host?: string; port?: string; flags?: string[] }
    & ProgramOptions = {},
): Promise<Relay> {
  const words = ["relay", "--port", port, "--host", host, "--json", ...flags];
  const program = Program.start(words, options);
  const { address, key } = await program.until("listening");
  return { program, address, key, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

/** A listener that is registered. */
async function listen(
  relay: string,
  name: string,
  flags: string[] = [],
  options: ProgramOptions = {},
): Promise<Program> {
  const words = ["--name", name, "--relay", relay, ...flags];
  const listener = await Program.listenJson(words, options);
  const { event: _, ...registered } = await listener.until("registered");
  assertEquals(registered, { name, relay });
  return listener;
}

/** Ends a relay without a word to those whom it serves. */
async function kill(relay: Relay): Promise<void> {
  await relay[Symbol.asyncDispose]();
}

Deno.test("by name: chat and files go straight where they can, and both sides say so", async () => {
  using folder = new TemporaryFolder();
  await using relay = await startRelay();
  await using bob = await listen(relay.address, "bob", ["--yes", "--dir", folder.folder("in")]);
  await using anna = Program.start(["connect", "bob", "--name", "anna", "--json"], {
    env: { P2P_RELAY: relay.address },
  });
  const connected = await anna.until("connected");
  assertEquals([connected.peer, connected.path, connected.address], ["bob", "lan", bob.address]);
  assertEquals((await bob.until("connected")).path, "lan");
  await anna.write("hello bob\n");
  assertEquals((await bob.until("message")).text, "hello bob");
  await bob.write("hello anna\n");
  assertEquals((await anna.until("message")).text, "hello anna");
  const words = ["send", "--to", "bob", "--relay", relay.address, folder.file("a.txt", "abc")];
  assertEquals((await Program.run(words)).code, 0);
  assertEquals(await Deno.readTextFile(folder.join("in", "a.txt")), "abc");
  // Nobody who tried several addresses is taken for a failure.
  assert(!bob.stderr.text.includes("came to nothing"), bob.stderr.text);
});

Deno.test("by name: people are told what to run, and whom they talk to", async () => {
  await using relay = await startRelay();
  await using bob = await Program.listen(["--name", "bob", "--relay", relay.address]);
  await bob.says(`Registered as bob at the relay ${relay.address}`);
  const command = await bob.says(/(?<=p2p )connect bob --relay .+/);
  await using anna = Program.start([...command.split(" "), "--name", "anna"]);
  await anna.says(/Connected to bob \(127\.0\.0\.1:\d+, lan, encrypted, key /);
});

Deno.test("by name: whatever a listener is called, the command that it prints leads to it", async () => {
  await using relay = await startRelay();
  for (
    const name of ["007", "-x", "Anna Müller", "田中 太郎", "it's $HOME", "host.example", "a/b"]
  ) {
    const words = [`--name=${name}`, "--relay", relay.address];
    await using listener = await Program.listen(words);
    const command = await listener.says(/(?<=Anywhere, run:\n {2}p2p ).+/);
    const printed = new Deno.Command("sh", { args: ["-c", `printf '%s\\n' ${command}`] });
    const { stdout } = await printed.output();
    const args = new TextDecoder().decode(stdout).trimEnd().split("\n");
    const { code, stderr } = await Program.run(args, { input: "hi\n" });
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, `Connected to ${name} (`);
  }
});

Deno.test("by name: what is not to go straight goes through the relay, and both sides say so", async () => {
  using folder = new TemporaryFolder();
  await using relay = await startRelay();
  const flags = [
    "--name",
    "bob",
    "--relay",
    relay.address,
    "--yes",
    "--dir",
    folder.folder("in"),
  ];
  await using bob = await Program.listen(flags);
  await bob.says("Registered as bob");
  const where = `through relay ${relay.address}, relayed, encrypted, key `;
  await using anna = Program.start([
    "connect",
    "bob",
    "--relay",
    relay.address,
    "--relay-only",
  ]);
  await anna.says(`Connected to bob (${where}`);
  await bob.says(where);
  await anna.write("hello\n/p\n");
  await anna.says(new RegExp(`bob .* relay ${relay.address} +relayed`));
  const file = folder.file("a.bin", crypto.getRandomValues(new Uint8Array(65_536)));
  const sent = await Program.run([
    "send",
    "--to",
    "bob",
    "--relay",
    relay.address,
    "--relay-only",
    file,
  ]);
  assertEquals(sent.code, 0, sent.stderr);
  assertStringIncludes(sent.stderr, "relayed");
  assertEquals(await Deno.readFile(folder.join("in", "a.bin")), await Deno.readFile(file));
  await anna.write("/quit\n");
  assertEquals((await anna.finished()).code, 0);
});

Deno.test("by name: a file whose relay goes in the middle goes on when it is back", async () => {
  using folder = new TemporaryFolder();
  const options = { config: folder.folder("relay"), flags: ["--circuit-rate", "4M"] };
  const first = await startRelay(options);
  const { address } = first;
  await using bob = await listen(address, "bob", ["--yes", "--dir", folder.folder("in")]);
  const bytes = new Uint8Array(8_000_000).map((_, index) => index >> 10);
  const file = folder.file("a.bin", bytes);
  await using anna = Program.start([
    "send",
    "--to",
    "bob",
    "--relay",
    address,
    "--relay-only",
    "--json",
    file,
  ]);
  await anna.until("progress");
  await kill(first);
  await anna.until("away");
  const port = address.split(":")[1]!;
  await using _second = await startRelay({ port, ...options });
  assertEquals((await anna.until("back")).path, "relayed");
  assertEquals((await anna.finished()).code, 0);
  await bob.until("received");
  assertEquals(await Deno.readFile(folder.join("in", "a.bin")), bytes);
});

/** The next line that is said in a chat. */
async function nextLine(stream: ByteStream): Promise<string | undefined> {
  for await (const { message } of new Chat(stream).messages()) {
    if (message?.type === "line") return message.line.text;
  }
  return undefined;
}

Deno.test("by name: a circuit gives way to a direct path that comes up later, and the chat goes on", async () => {
  const identity = generateKeyPair();
  await using relay = await startRelay();
  await using listener = openListener({ identity, name: "bob" });
  const opened = Promise.withResolvers<void>();
  // Connections to bob are taken, and wait until the way is open.
  await using slow = new RawServer(async (conn) => {
    await opened.promise;
    const far = await Deno.connect({ hostname: "127.0.0.1", port: listener.port });
    Promise.allSettled([conn.readable.pipeTo(far.writable), far.readable.pipeTo(conn.writable)]);
  });
  using bob = await ControlClient.connect(relay.address, { identity });
  await bob.until("Welcome");
  await bob.send({ type: "Register", username: "bob", candidates: [slow.address] });
  await bob.until("RegisterAck");
  await using anna = Program.start(["connect", "bob", "--relay", relay.address, "--json"]);
  const token = tokenOf(await bob.until("PeerInfo"));
  const { signal } = new AbortController();
  const circuit = await dialCircuit({ relay: parseAddress(relay.address), token, signal });
  await circuit.join();
  listener.take(circuit);
  const session = (await listener.sessions.next())!;
  const chat = (await session.accept())!;
  await chat.write(beginning("bob", identity));
  assertEquals((await anna.until("connected")).path, "relayed");
  opened.resolve();
  const changed = await anna.until("path");
  assertEquals(changed, { event: "path", peer: "bob", path: "lan" });
  await anna.says(`The way to bob is now ${slow.address}, lan`);
  await anna.write("hello\n");
  assertEquals(await nextLine(chat), "hello");
  assert(!anna.stderr.text.includes("away"), anna.stderr.text);
  await Promise.all([session.end(), anna.finished()]);
});

Deno.test("by name: a name that nobody holds ends connect and send with 4", async () => {
  using folder = new TemporaryFolder();
  await using relay = await startRelay();
  for (
    const words of [["connect", "nobody"], ["send", "--to", "nobody", folder.file("a", "a")]]
  ) {
    const { code, stderr } = await Program.run([...words, "--relay", relay.address]);
    assertEquals(code, 4, stderr);
    const message = `Nobody is called nobody at the relay ${relay.address}`;
    assertMatch(stderr, new RegExp(`^p2p: error: ${message}\n {5}.*p2p listen.*\n$`));
  }
});

Deno.test("listen --relay: a name that another key holds ends it with 3", async () => {
  await using relay = await startRelay();
  await using _bob = await listen(relay.address, "bob");
  const words = ["listen", "--port", "0", "--name", "bob", "--relay", relay.address, "--json"];
  const { code, stderr } = await Program.run(words);
  assertEquals(code, 3, stderr);
  assertMatch(stderr, /p2p: error: The relay .* refused the name bob: .+\n {5}.*--name.*\n$/);
});

Deno.test("a relay with a password: without the right one listen and connect end with 3", async () => {
  using folder = new TemporaryFolder();
  const file = folder.file("secret", "open sesame\n");
  await using relay = await startRelay({ env: { P2P_RELAY_PASSWORD: "open sesame" } });
  const { address } = relay;
  for (const env of [{}, { P2P_RELAY_PASSWORD: "open barley" }] as Record<string, string>[]) {
    for (const words of [["listen", "--port", "0"], ["connect", "bob"]]) {
      const { code, stderr } = await Program.run([...words, "--relay", address], { env });
      assertEquals(code, 3, stderr);
      const why = env.P2P_RELAY_PASSWORD ? "the password is wrong" : "it has a password";
      assertStringIncludes(stderr, `p2p: error: The relay ${address} refused: ${why}\n`);
      assertMatch(stderr, /\n {5}.*P2P_RELAY_PASSWORD.*--password-file.*\n$/);
    }
  }
  await using _bob = await listen(address, "bob", ["--password-file", file]);
  const env = { P2P_RELAY: address, P2P_RELAY_PASSWORD: "open sesame" };
  assertEquals((await Program.run(["connect", "bob"], { env, input: "hi\n" })).code, 0);
});

Deno.test("a relay whose key has changed, or is not the one that was given, ends listen and connect with 5", async () => {
  using folder = new TemporaryFolder();
  const config = folder.folder("config");
  const first = await startRelay();
  const { address, key } = first;
  await (await listen(address, "bob", [], { config }))[Symbol.asyncDispose]();
  await kill(first);
  await using _second = await startRelay({ port: address.split(":")[1]! });
  for (const words of [["listen", "--port", "0"], ["connect", "bob"]]) {
    const changed = await Program.run([...words, "--relay", address], { config });
    assertEquals(changed.code, 5, changed.stderr);
    assertStringIncludes(changed.stderr, `THE KEY OF ${address} HAS CHANGED`);
    assertStringIncludes(changed.stderr, `p2p forget ${address}`);
    const wrong = await Program.run([...words, "--relay", `${address}#${key}`]);
    assertEquals(wrong.code, 5, wrong.stderr);
  }
});

Deno.test("a relay that goes and comes back: sessions go on, and listeners register again", async () => {
  using folder = new TemporaryFolder();
  const config = folder.folder("relay");
  const first = await startRelay({ config });
  const { address, key } = first;
  await using bob = await listen(`${address}`, "bob");
  await using carol = await listen(`${address}`, "carol");
  await using anna = Program.start(["connect", "bob", "--relay", `${address}#${key}`, "--json"]);
  await anna.until("connected");
  await kill(first);
  await Promise.all([bob, carol].map((each) => each.says(`Lost the relay ${address}`)));
  await anna.write("still here\n");
  assertEquals((await bob.until("message")).text, "still here");
  await using _second = await startRelay({ config, port: address.split(":")[1]! });
  await Promise.all([bob, carol].map((each) => each.until("registered")));
  assertEquals(bob.stderr.text.match(/Lost the relay/g)!.length, 1);
  const words = ["connect", "carol", "--relay", address];
  assertEquals((await Program.run(words, { input: "hi\n" })).code, 0);
  for (const { event } of [...anna.events, ...bob.events]) assert(event !== "away", event);
});

Deno.test("listen --relay: a relay that is away is waited for, and direct peers are served meanwhile", async () => {
  using folder = new TemporaryFolder();
  const config = folder.folder("relay");
  const first = await startRelay({ config });
  const { address } = first;
  await kill(first);
  await using bob = await Program.listenJson(["--name", "bob", "--relay", address]);
  await bob.says(`Could not reach the relay ${address}: nobody listens there; trying again`);
  assertEquals((await Program.run(["connect", bob.address], { input: "hi\n" })).code, 0);
  await using _relay = await startRelay({ config, port: address.split(":")[1]! });
  await bob.until("registered");
});

Deno.test("/nick takes the name at the relay with it, unless another key holds that", async () => {
  await using relay = await startRelay();
  await using bob = await listen(relay.address, "bob");
  await using _carol = await listen(relay.address, "carol");
  await bob.write("/nick robert\n");
  assertEquals((await bob.until("registered")).name, "robert");
  await bob.write("/nick carol\n");
  await bob.says("Still robert at the relay");
  const env = { P2P_RELAY: relay.address };
  assertEquals((await Program.run(["connect", "robert"], { env })).code, 0);
  assertEquals((await Program.run(["connect", "bob"], { env })).code, 4);
});

Deno.test("listen --relay: the same key elsewhere takes its place, and it goes on without", async () => {
  using folder = new TemporaryFolder();
  const config = folder.folder("config");
  await using relay = await startRelay();
  await using first = await listen(relay.address, "bob", [], { config });
  await using second = await listen(relay.address, "bob", [], { config });
  await first.says("another p2p with this key has taken its place");
  assertEquals((await Program.run(["connect", first.address], { input: "hi\n" })).code, 0);
  const words = ["connect", "bob", "--relay", relay.address];
  assertEquals((await Program.run(words, { input: "there?\n" })).code, 0);
  assertEquals((await second.until("message")).text, "there?");
});

Deno.test("listen --relay leaves the relay when it ends: its name is free at once", async () => {
  await using relay = await startRelay();
  for (const how of ["/quit", "SIGINT"]) {
    await using bob = await listen(relay.address, "bob");
    if (how === "/quit") await bob.write("/quit\n");
    else bob.kill("SIGINT");
    assertEquals((await bob.finished()).code, how === "/quit" ? 0 : 130);
  }
});

Deno.test("what is no relay is told apart: a peer, something else, who breaks off, nobody", async () => {
  await using bob = await Program.listenJson();
  await using stranger = RawServer.saying("SSH-2.0-OpenSSH_9.2p1\r\n");
  await using closing = new RawServer((conn) => conn.close());
  using closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const nowhere = formatAddress({ host: "127.0.0.1", port: closed.addr.port });
  closed.close();
  for (
    const [relay, message] of [
      [bob.address, `No relay at ${bob.address}: a peer listens there`],
      [stranger.address, `Could not connect to the relay ${stranger.address}: preface`],
      [
        closing.address,
        `(Could not connect to the relay )?${closing.address}:? (the other side broke off|closed)`,
      ],
      [nowhere, `Could not reach the relay ${nowhere}: nobody listens there`],
    ]
  ) {
    const { code, stderr } = await Program.run(["connect", "bob", "--relay", relay!]);
    assertEquals(code, 4, stderr);
    assertMatch(stderr, new RegExp(`^p2p: error: ${message}.*\n {5}.*relay.*\n$`));
  }
});
