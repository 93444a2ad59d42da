import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Original } from "../fakes/original.ts";
import { Program } from "../fakes/program.ts";
import { Wire } from "../fakes/wire.ts";

const HERE = ["--host", "127.0.0.1"];

/** What a node says of itself. */
function node(fields: { id?: string; listen?: string; name?: string } = {}) {
  const { id = crypto.randomUUID(), listen = "0.0.0.0:0", name = "Dan" } = fields;
  return JSON.stringify({ remote_addr: null, listen_addr: listen, node_id: id, uname: name });
}

/** What is said of itself in the first line of a connection. */
async function joinOf(
  wire: Wire,
): Promise<{ node_id: string; listen_addr: string; uname: string }> {
  const line = await wire.received.until(() => wire.received.lines[0], "JOIN");
  assert(line.startsWith("JOIN|"), line);
  return JSON.parse(line.slice("JOIN|".length));
}

/** Waits for the end of what arrives. */
async function ends(wire: Wire): Promise<string[]> {
  await wire.received.ended;
  return wire.received.lines;
}

Deno.test("originals join a listen --plain --uname, are told of each other, and all talk", async () => {
  await using alice = await Program.listenJson(["--plain", "--uname", "Alice"]);
  await using bob = new Original("Bob");
  await using carol = new Original("Carol");
  await bob.join(alice.address);
  assertEquals((await alice.until("connected")).peer, "Bob");
  await bob.knows("Alice");
  assertEquals(bob.nodes[0]!.listen_addr, alice.address);
  await carol.join(alice.address);
  assertEquals((await alice.until("connected")).peer, "Carol");
  // Both dial, for neither waits for the other: what the program told them is enough.
  await bob.heard.until(() => bob.names.includes("Carol") || undefined, "Carol");
  await alice.write("to all\n");
  await Promise.all([bob.hears("Alice: to all"), carol.hears("Alice: to all")]);
  await carol.say("from Carol");
  await bob.hears("Carol: from Carol");
  const { from, text } = await alice.until("message");
  assertEquals([from, text], ["Carol", "from Carol"]);
});

Deno.test("a program joins an original's mesh and is connected once with each of it", async () => {
  await using hub = new Original("Hub");
  await using carol = new Original("Carol");
  await carol.join(hub.address);
  await hub.knows("Carol");
  const words = ["--plain", "--port", "0", ...HERE, "--peer", hub.address, "--uname", "Bob"];
  await using bob = Program.start([...words, "--json"]);
  const peers = [(await bob.until("connected")).peer, (await bob.until("connected")).peer];
  assertEquals(peers.sort(), ["Carol", "Hub"]);
  await Promise.all([hub.knows("Bob", "Carol"), carol.knows("Bob", "Hub")]);
  await bob.write("hello\n/p\n");
  await Promise.all([hub.hears("Bob: hello"), carol.hears("Bob: hello")]);
  const listed = (await bob.until("peers")).peers;
  assertEquals(
    listed.map((each: { name: string; node: string; listen: string }) => [
      each.name,
      each.node,
      each.listen,
    ]).sort(),
    [["Carol", carol.nodeId, carol.address], ["Hub", hub.nodeId, hub.address]],
  );
});

Deno.test("connect --plain --uname is joined by others, and --no-listen tells no port", async () => {
  await using hub = new Original("Hub");
  await using bob = Program.start(
    ["connect", hub.address, "--plain", "--uname", "Bob", ...HERE, "--json"],
  );
  const { address } = await bob.until("listening");
  await hub.knows("Bob");
  assertEquals(hub.nodes[0]!.listen_addr, address);
  await using carol = new Original("Carol");
  await carol.join(address);
  await carol.knows("Bob", "Hub");
  await using silent = Program.start(
    ["connect", hub.address, "--plain", "--uname", "Silent", "--no-listen", "--json"],
  );
  await silent.until("connected", ({ peer }) => peer === "Carol");
  await hub.knows("Bob", "Carol", "Silent");
  const told = hub.nodes.find(({ uname }) => uname === "Silent");
  assertEquals(told!.listen_addr, "0.0.0.0:0");
});

Deno.test("of three programs in a mesh the first is killed, and the others still talk", async () => {
  await using alice = await Program.listenJson(["--plain", "--uname", "Alice"]);
  const join = ["--port", "0", "--peer", alice.address, ...HERE, "--plain", "--json"];
  await using bob = Program.start([...join, "--uname", "bob"]);
  await using other = Program.start([
    "connect",
    alice.address,
    "--plain",
    "--json",
    "--uname",
    "bob",
  ]);
  for (const [program, names] of [[alice, ["bob", "bob-2"]], [bob, ["Alice", "bob-2"]]] as const) {
    const seen = [(await program.until("connected")).peer, (await program.until("connected")).peer];
    assertEquals(seen.sort(), names);
  }
  await other.until("connected", ({ peer }) => peer === "bob-2");
  alice.kill("SIGKILL");
  for (const each of [bob, other]) {
    assertEquals((await each.until("disconnected")).peer, "Alice");
  }
  await bob.write("still here\n");
  const message = await other.until("message");
  assertEquals([message.from, message.text], ["bob-2", "still here"]);
  await other.write("me too\n");
  await other.endInput();
  assertEquals((await bob.until("message")).text, "me too");
  assertEquals((await other.finished()).code, 0);
});

Deno.test("two programs that dial each other at once stay connected once", async () => {
  await using hub = new Original("Hub");
  await using alice = await Program.listenJson([
    "--plain",
    "--uname",
    "Alice",
    "--peer",
    hub.address,
  ]);
  await using bob = await Program.listenJson(
    ["--plain", "--uname", "Bob", "--peer", hub.address, "--peer", alice.address],
  );
  // Carol is told where they are, and they where she is, at the same time.
  await using carol = new Original("Carol");
  await carol.join(hub.address);
  await alice.until("connected", ({ peer }) => peer === "Bob");
  await bob.until("connected", ({ peer }) => peer === "Alice");
  await carol.heard.until(() => carol.names.length >= 3 || undefined, "all three");
  await alice.write("once\n");
  assertEquals((await bob.until("message")).text, "once");
  await carol.say("from Carol");
  const next = await bob.until("message");
  assertEquals([next.from, next.text], ["Carol", "from Carol"]);
});

Deno.test("who says no JOIN gets lines only, beside those who do", async () => {
  await using alice = await Program.listenJson(["--plain"]);
  await using wire = await Wire.dial(alice.address);
  await alice.until("connected");
  await using bob = new Original("Bob");
  await bob.join(alice.address);
  const { peer, name } = await alice.until("renamed");
  assertMatch(peer, /^127\.0\.0\.1:\d+$/);
  assertEquals(name, "Bob");
  await bob.heard.until(() => bob.names.length === 1 || undefined, "a JOIN in answer");
  await bob.say("from Bob");
  await alice.until("message");
  await alice.write("one\n/l\n/p\n//two\n/three\n");
  await wire.receives("/three");
  assertEquals(wire.received.text, "one\n//two\n/three\n");
  await bob.hears(`${bob.names[0]}: /three`);
});

Deno.test("a program does not connect to itself, whoever tells it to", async () => {
  await using alice = await Program.listenJson(["--plain", "--uname", "Alice"]);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using wire = await Wire.dial(alice.address);
  const own = await joinOf(wire);
  const other = node({ listen: `127.0.0.1:${listener.addr.port}` });
  const self = node({ listen: alice.address });
  const selfElsewhere = node({ id: own.node_id, listen: `127.0.0.1:${listener.addr.port}` });
  await wire.send(`JOIN|${node()}\nPEERS|${selfElsewhere};${self};${other}\n`);
  await using dialled = new Wire(await listener.accept());
  await joinOf(dialled);
  assertEquals(alice.events.filter(({ event }) => event === "connected").length, 1);
  // And one who says that it is this very program is let go.
  await dialled.send(`JOIN|${node({ id: own.node_id })}\nhello\n`);
  await ends(dialled);
});

for (const [id, stays] of [["0", "theirs"], ["z", "ours"]] as const) {
  Deno.test(`of a connection each way with a node ${id}… ${stays} stays, and no line is lost`, async () => {
    await using alice = await Program.listenJson(["--plain", "--uname", "Alice"]);
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const listen = `127.0.0.1:${listener.addr.port}`;
    await using hub = await Wire.dial(alice.address);
    await joinOf(hub);
    await hub.send(`JOIN|${node({ name: "Hub" })}\nPEERS|${node({ id, listen })}\n`);
    await using ours = new Wire(await listener.accept());
    await joinOf(ours);
    await ours.send(`JOIN|${node({ id, listen, name: "Zoe" })}\n`);
    await alice.until("connected", ({ peer }) => peer === "Zoe");
    await using theirs = await Wire.dial(alice.address);
    await joinOf(theirs);
    await theirs.send(`JOIN|${node({ id, listen, name: "Zoe" })}\n`);
    const [kept, other] = stays === "ours" ? [ours, theirs] : [theirs, ours];
    await ends(other);
    await other.send("said before it was noticed\n");
    assertEquals((await alice.until("message")).from, "Zoe");
    await other.conn.closeWrite();
    await alice.write("once\n");
    await kept.receives("once");
    await kept.send("and more\n");
    const { from, text } = await alice.until("message");
    assertEquals([from, text], ["Zoe", "and more"]);
    const told = alice.events.filter(({ event }) =>
      event === "connected" || event === "disconnected"
    );
    assertEquals(told.map(({ peer }) => peer), ["Hub", "Zoe"]);
  });
}

Deno.test("a second connection of a node takes the place of the first", async () => {
  await using alice = await Program.listenJson(["--plain", "--uname", "Alice"]);
  const join = `JOIN|${node({ id: "same" })}\n`;
  await using first = await Wire.dial(alice.address);
  await first.send(join);
  await alice.until("connected");
  await using second = await Wire.dial(alice.address);
  await second.send(join);
  await ends(first);
  await second.send("here\n");
  assertEquals((await alice.until("message")).from, "Dan");
});

Deno.test("names are one's alone, ours too, and what is none is not shown", async () => {
  await using alice = await Program.listen(["--plain", "--uname", "Alice"]);
  const wires = [];
  for (const name of ["Alice", "Dan", "Dan", "\x1b[31mred", "Eve: hi"]) {
    const wire = await Wire.dial(alice.address);
    wires.push(wire);
    await wire.send(`JOIN|${node({ name })}\nI am here\n`);
    await alice.stdout.until(
      () => alice.stdout.lines.length === wires.length || undefined,
      `the line of ${name}`,
    );
  }
  const names = alice.stdout.lines.map((line) => line.replace(/: I am here$/, ""));
  assertEquals(names.slice(0, 3), ["Alice-2", "Dan", "Dan-2"]);
  for (const name of names.slice(3)) assertMatch(name, /^127\.0\.0\.1:\d+$/);
  assert(!(alice.stdout.text + alice.stderr.text).includes("\x1b"));
  for (const wire of wires) await wire[Symbol.asyncDispose]();
});

Deno.test("a flood of JOIN and PEERS, what is malformed and what is too long leave the chat as it is", async () => {
  await using alice = await Program.listen(["--plain", "--uname", "Alice"]);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using wire = await Wire.dial(alice.address);
  await wire.send(`JOIN|us\nJOIN|{"node_id":7}\nPEERS|x\nPEERS|${"x".repeat(1_000_000)}\n`);
  await wire.send(`JOIN|${node()}\n`.repeat(2_000));
  for (let i = 0; i < 200; i++) {
    const nodes = Array.from(
      { length: 100 },
      (_, port) => node({ listen: `127.0.0.1:${1 + port + i * 100}` }),
    );
    await wire.send(`PEERS|${nodes.join(";")}\n`);
  }
  await wire.send("still here\n");
  await alice.prints("Dan: still here");
  assertEquals(alice.stderr.text.split("cannot be understood").length - 1, 1);
  assertEquals(alice.stderr.text.split("Connected to").length - 1, 1);
  // One who tells of few is not crowded out.
  await using honest = await Wire.dial(alice.address);
  const listen = `127.0.0.1:${listener.addr.port}`;
  await honest.send(`JOIN|${node({ name: "Eve" })}\nPEERS|${node({ listen })}\n`);
  await using dialled = new Wire(await listener.accept());
  assertEquals((await joinOf(dialled)).uname, "Alice");
});

Deno.test("who is dialled because others told of it gets no line before its JOIN, and is let go", async () => {
  await using alice = await Program.listen(["--plain", "--uname", "Alice"]);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using wire = await Wire.dial(alice.address);
  const listen = `127.0.0.1:${listener.addr.port}`;
  await wire.send(`JOIN|${node()}\nPEERS|${node({ listen })}\n`);
  await using dialled = new Wire(await listener.accept());
  await joinOf(dialled);
  await alice.write("secret\n");
  await wire.receives("secret");
  await dialled.send("220 mail.example ESMTP\n");
  assertEquals((await ends(dialled)).length, 1);
  assertEquals(alice.stdout.text, "");
  assert(!alice.stderr.text.includes(listen));
});

Deno.test("--peer tells who is not there, and that an address is its own", async () => {
  await using alice = await Program.listen(["--plain", "--uname", "Alice"]);
  const port = alice.address.split(":")[1]!;
  await alice.write("/quit\n");
  await alice.finished();
  await using bob = Program.start(
    ["--plain", ...HERE, "--port", port, "--peer", alice.address, "--peer", "127.0.0.1:1"],
  );
  await bob.says("is this program's own address");
  await bob.says(/Could not reach 127\.0\.0\.1:1: .*; trying again/);
});

Deno.test("--plain refuses a name and a peer that cannot be ones", async () => {
  const wrong = [["--uname", "Bob: "], ["--peer", "x"], ["--peer", "1.2.3.4"]];
  for (const words of wrong) {
    const { code, stderr } = await Program.run(["listen", "--plain", "--port", "0", ...words]);
    assertEquals(code, 2);
    assertStringIncludes(stderr, "not u");
  }
});
