/** The relay as its users run it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Address, parseAddress } from "../../protocol/address.ts";
import { encodeText } from "../../protocol/bytes.ts";
import { CIRCUIT_ANSWER, circuitPreface } from "../../protocol/preface.ts";
import { ControlClient, tokenOf } from "../fakes/control_client.ts";
import { Program, type ProgramOptions } from "../fakes/program.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

interface Relay extends AsyncDisposable {
  program: Program;
  address: string;
  key: string;
}

async function startRelay(flags: string[] = [], options: ProgramOptions = {}): Promise<Relay> {
  const words = ["relay", "--port", "0", "--host", "127.0.0.1", "--json", ...flags];
  const program = Program.start(words, options);
  const { address, key } = await program.until("listening");
  return { program, address, key, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

async function dial(address: string): Promise<Deno.TcpConn> {
  const { host, port } = parseAddress(address);
  return await Deno.connect({ hostname: host, port });
}

/** Writes, and reads all that comes until the relay closes. */
async function say(address: string, text: string): Promise<string> {
  using conn = await dial(address);
  await conn.write(encodeText(text));
  await conn.closeWrite();
  return await new Response(takeReadable(conn)).text();
}

/** The readable half; the connection is closed by its owner. */
function takeReadable(conn: Deno.TcpConn): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(async function* () {
    const room = new Uint8Array(4_096);
    for (let count = await conn.read(room); count !== null; count = await conn.read(room)) {
      yield room.slice(0, count);
    }
  }());
}

async function readExactly(conn: Deno.TcpConn, length: number): Promise<string> {
  const room = new Uint8Array(length);
  for (let read = 0; read < length;) read += await conn.read(room.subarray(read)) ?? NaN;
  return new TextDecoder().decode(room);
}

async function openEnd(address: string, token: Uint8Array): Promise<Deno.TcpConn> {
  const conn = await dial(address);
  await conn.write(circuitPreface(token));
  return conn;
}

/** Both ends of a circuit, joined. */
async function openCircuit(address: string): Promise<[Deno.TcpConn, Deno.TcpConn]> {
  using bob = await ControlClient.registered(address, "bob");
  using anna = await ControlClient.connect(address);
  await anna.until("Welcome");
  await anna.send({ type: "Connect", targetUsername: "bob" });
  const tokens = [tokenOf(await anna.until("PeerInfo")), tokenOf(await bob.until("PeerInfo"))];
  const [near, far] = await Promise.all(tokens.map((token) => openEnd(address, token)));
  for (const end of [near!, far!]) await readExactly(end, CIRCUIT_ANSWER.length);
  return [near!, far!];
}

/** A UDP socket of loopback. */
function openUdp() {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  return {
    port: (socket.addr as Deno.NetAddr).port,
    /** Sends a message, and resolves to what comes next. */
    async ask({ host: hostname, port }: Address, message: string): Promise<string> {
      await socket.send(encodeText(message), { transport: "udp", hostname, port });
      return new TextDecoder().decode((await socket.receive())[0]);
    },
    [Symbol.dispose]: () => socket.close(),
  };
}

Deno.test("p2p relay prints where it listens, and the commands to paste", async () => {
  await using program = Program.start(["relay", "--port", "0", "--host", "127.0.0.1"]);
  const place = String.raw`127\.0\.0\.1:\d+#[\w-]{43}`;
  await program.says(new RegExp(`p2p listen --relay ${place} --name NAME`));
  await program.says(new RegExp(`p2p connect NAME --relay ${place}\n`));
});

Deno.test("p2p relay introduces two clients, joins their circuit, and logs no more than how much", async () => {
  await using relay = await startRelay();
  const [near, far] = await openCircuit(relay.address);
  using _near = near;
  using _far = far;
  await near.write(encodeText("question"));
  await near.closeWrite();
  assertEquals(await readExactly(far, 8), "question");
  assertEquals(await far.read(new Uint8Array(1)), null);
  await far.write(encodeText("answer"));
  await far.closeWrite();
  assertEquals(await readExactly(near, 6), "answer");
  const circuit = await relay.program.until("circuit");
  assertEquals([circuit.bytes, Object.keys(circuit)], [14, ["event", "bytes", "seconds"]]);
});

Deno.test("p2p relay has the key that it prints, in every run", async () => {
  using folder = new TemporaryFolder();
  const config = folder.join("config");
  const keys: string[] = [];
  for (let run = 0; run < 2; run++) {
    await using relay = await startRelay([], { config });
    using client = await ControlClient.connect(relay.address);
    const proven = client.relayKey.toBase64({ alphabet: "base64url", omitPadding: true });
    keys.push(relay.key, proven);
  }
  assertEquals(new Set(keys).size, 1);
});

for (const source of ["file", "environment"] as const) {
  Deno.test(`p2p relay with a password in its ${source} serves those who know it`, async () => {
    using folder = new TemporaryFolder();
    const flags = ["--password-file", folder.file("password", "open sesame \nmore\n")];
    await using relay = source === "file"
      ? await startRelay(flags)
      : await startRelay([], { env: { P2P_RELAY_PASSWORD: "open sesame" } });
    using stranger = await ControlClient.connect(relay.address);
    assertEquals((await stranger.until("Refused")).code, "Password");
    using _friend = await ControlClient.registered(relay.address, "friend", {
      hello: { type: "Hello", password: "open sesame" },
    });
    assertEquals((await relay.program.until("refused")).reason, "Password");
  });
}

Deno.test("p2p relay says what is wrong with its password file", async () => {
  using folder = new TemporaryFolder();
  const wrong = [[folder.join("none"), 6], [folder.file("empty", "\nsecret\n"), 2]] as const;
  for (const [path, expected] of wrong) {
    const { code, stderr } = await Program.run(["relay", "--port", "0", "--password-file", path]);
    assertEquals(code, expected);
    assertStringIncludes(stderr, path);
    assert(!stderr.includes("secret"));
  }
});

Deno.test("p2p relay tells who speaks something else what it is", async () => {
  await using relay = await startRelay();
  const answers = await Promise.all([
    say(relay.address, "p2p/1 session\n"),
    say(relay.address, "hello\n"),
    say(relay.address, `p2p/1 circuit ${"0".repeat(32)}\n`),
  ]);
  assertMatch(answers[0]!, /^p2p\/1 error this is a relay: name it with --relay\n$/);
  assertMatch(answers[1]!, /^This is a p2p relay\. .*\n$/);
  assertMatch(answers[2]!, /^p2p\/1 error the relay does not know this circuit/);
});

Deno.test("p2p relay answers over UDP on the same port", async () => {
  await using relay = await startRelay();
  const { host, port } = parseAddress(relay.address);
  using socket = openUdp();
  assertEquals(
    await socket.ask({ host, port }, '{"Register":{"username":"anna"}}'),
    '"RegisterAck"',
  );
});

Deno.test("p2p relay on all addresses serves IPv4 over UDP, and sees it as such", async () => {
  await using program = Program.start(["relay", "--port", "0", "--json"]);
  const { address } = await program.until("listening");
  using anna = openUdp();
  using bob = openUdp();
  const relay = { host: "127.0.0.1", port: Number(address.slice(address.lastIndexOf(":") + 1)) };
  await anna.ask(relay, '{"Register":{"username":"anna"}}');
  await bob.ask(relay, '{"Register":{"username":"bob"}}');
  const answer = await bob.ask(relay, '{"Connect":{"target_username":"anna"}}');
  assertEquals(JSON.parse(answer).PeerInfo.peer, `127.0.0.1:${anna.port}`);
});

Deno.test("p2p relay without descriptors left refuses newcomers, and keeps those that it serves", async () => {
  const before = ["sh", "-c", 'ulimit -n 120 && exec "$@"', "sh"];
  await using relay = await startRelay([], { before });
  using alice = await ControlClient.registered(relay.address, "alice");
  const crowd: ControlClient[] = [];
  const refusals: string[] = [];
  for (let i = 0; i < 200; i++) {
    await ControlClient.connect(relay.address).then(
      (client) => crowd.push(client),
      (error) => refusals.push(String(error)),
    );
  }
  assert(crowd.length > 0 && crowd.length < 60, String(crowd.length));
  assert(refusals.some((refusal) => refusal.includes("the relay is full")), refusals[0]);
  await alice.send({ type: "Ping" });
  await alice.until("Pong");
  for (const client of crowd) client.close();
});

Deno.test("SIGTERM drains a relay: circuits go on, and it ends with 0 after the last", async () => {
  await using relay = await startRelay();
  using alice = await ControlClient.registered(relay.address, "alice");
  const [near, far] = await openCircuit(relay.address);
  using _far = far;
  relay.program.kill("SIGTERM");
  await relay.program.until("draining");
  assertEquals((await alice.until("Refused")).code, "Draining");
  alice.close();
  await near.write(encodeText("still"));
  assertEquals(await readExactly(far, 5), "still");
  near.close();
  assertEquals(await far.read(new Uint8Array(1)), null);
  await far.closeWrite();
  assertEquals((await relay.program.finished()).code, 0);
});

Deno.test("SIGTERM ends a relay with 0 when its time to drain is over", async () => {
  await using relay = await startRelay(["--drain", "1"]);
  const [near, far] = await openCircuit(relay.address);
  using _near = near;
  using _far = far;
  relay.program.kill("SIGTERM");
  assertEquals((await relay.program.finished()).code, 0);
});

Deno.test("SIGINT ends a relay at once with 130", async () => {
  await using relay = await startRelay();
  const [near, far] = await openCircuit(relay.address);
  using _near = near;
  using _far = far;
  relay.program.kill("SIGINT");
  assertEquals((await relay.program.finished()).code, 130);
});

Deno.test("p2p relay on a port that is taken says so, for TCP and UDP alike", async () => {
  using tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using udp = openUdp();
  for (const port of [tcp.addr.port, udp.port]) {
    const words = ["relay", "--host", "127.0.0.1", "--port", String(port)];
    const { code, stderr } = await Program.run(words);
    assertEquals(code, 1);
    assertStringIncludes(stderr, `port ${port}: another program has it`);
  }
});
