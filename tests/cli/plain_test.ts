import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Program } from "../fakes/program.ts";
import { Captured } from "../fakes/captured.ts";
import { Wire } from "../fakes/wire.ts";

const WARNING = "PLAIN: nothing is encrypted";
const encoder = new TextEncoder();

/** Netcat, if it is one that can do what these tests need; says so loudly where there is none. */
const netcat = await findNetcat();

async function findNetcat(): Promise<boolean> {
  const { stderr } = await new Deno.Command("sh", { args: ["-c", "nc -h"], stdin: "null" })
    .output();
  const found = new TextDecoder().decode(stderr).includes("OpenBSD netcat");
  if (!found) console.error("netcat-openbsd is not installed: THE TESTS WITH NC DID NOT RUN");
  return found;
}

function listenHere(): Deno.TcpListener & { address: string } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return Object.assign(listener, { address: `127.0.0.1:${listener.addr.port}` });
}

Deno.test("listen --plain and connect --plain chat both ways, each with the warning", async () => {
  await using alice = await Program.listen(["--plain"]);
  await using bob = Program.start(["connect", alice.address, "--plain"]);
  await Promise.all([alice.says(WARNING), bob.says(WARNING)]);
  await alice.says("p2p connect 127.0.0.1:");
  await alice.says(" --plain");
  await Promise.all([alice.says("NOT encrypted"), bob.says("NOT encrypted")]);
  await alice.write("hello\n");
  await bob.prints(`${alice.address}: hello`);
  await bob.write("hello back\n");
  await alice.stdout.until(
    () => /: hello back$/m.test(alice.stdout.text) || undefined,
    "hello back",
  );
});

Deno.test("--plain warns with --quiet, too", async () => {
  await using alice = await Program.listenJson(["--plain", "--quiet"]);
  await using bob = Program.start(["connect", alice.address, "--plain", "--quiet"]);
  await Promise.all([alice.says(WARNING), bob.says(WARNING)]);
});

Deno.test({
  name: "nc chats with listen --plain both ways",
  ignore: !netcat,
  async fn() {
    await using alice = await Program.listenJson(["--plain"]);
    const [host, port] = alice.address.split(":");
    const nc = new Deno.Command("nc", {
      args: [host!, port!],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const shown = new Captured(nc.stdout);
    const input = nc.stdin.getWriter();
    await input.write(encoder.encode("from nc\n"));
    assertEquals((await alice.until("message")).text, "from nc");
    await alice.write("from p2p\n/quit\n");
    await alice.finished();
    await input.close();
    await nc.status;
    await shown.ended;
    assertEquals(shown.text, "from p2p\n");
  },
});

Deno.test({
  name: "connect --plain chats with a listening nc both ways and ends with its input",
  ignore: !netcat,
  async fn() {
    const port = freePort();
    const nc = new Deno.Command("nc", {
      args: ["-v", "-l", "127.0.0.1", String(port)],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const [shown, said] = [new Captured(nc.stdout), new Captured(nc.stderr)];
    await said.until(() => said.text.includes("Listening") || undefined, "Listening");
    const input = nc.stdin.getWriter();
    await using bob = Program.start(["connect", `127.0.0.1:${port}`, "--plain", "--json"]);
    await bob.write("from p2p\n");
    await input.write(encoder.encode("from nc\n"));
    assertEquals((await bob.until("message")).text, "from nc");
    await bob.endInput();
    assertEquals((await bob.finished()).code, 0);
    await input.close();
    await nc.status;
    await Promise.all([shown.ended, said.ended]);
    assertEquals(shown.text, "from p2p\n");
  },
});

Deno.test("listen --plain takes CRLF, UTF-8 in pieces, empty lines and a last line without end", async () => {
  await using alice = await Program.listenJson(["--plain"]);
  await using wire = await Wire.dial(alice.address);
  await wire.send("with CRLF\r\n\n");
  assertEquals((await alice.until("message")).text, "with CRLF");
  assertEquals((await alice.until("message")).text, "");
  const [umlaut, emoji] = [encoder.encode("ü"), encoder.encode("🙂\n")];
  for (const byte of [...umlaut, ...emoji]) {
    wire.conn.setNoDelay(true);
    await wire.send(new Uint8Array([byte]));
  }
  assertEquals((await alice.until("message")).text, "ü🙂");
  await wire.send("no end");
  await wire.conn.closeWrite();
  assertEquals((await alice.until("message")).text, "no end");
  await alice.until("disconnected");
});

Deno.test("connect --plain reads a raw socket's lines and writes lines with newlines only", async () => {
  using listener = listenHere();
  await using bob = Program.start(["connect", listener.address, "--plain", "--json"]);
  await using wire = new Wire(await listener.accept());
  await wire.send("one\r\ntwo");
  assertEquals((await bob.until("message")).text, "one");
  await bob.write("grüße\r\nzwei\n");
  await wire.receives("zwei");
  assertEquals(wire.received.text, "grüße\nzwei\n");
  await wire.conn.closeWrite();
  assertEquals((await bob.until("message")).text, "two");
  await bob.until("disconnected");
  assertEquals((await bob.finished()).code, 0);
});

Deno.test("plain chat that speaks of p2p/ later is still chat", async () => {
  await using alice = await Program.listenJson(["--plain"]);
  await using wire = await Wire.dial(alice.address);
  await wire.send("hi\n");
  await alice.until("message");
  await wire.send("p2p/1 session\n");
  assertEquals((await alice.until("message")).text, "p2p/1 session");
});

Deno.test("listen --plain tells each peer's lines apart by address and sends to all of them", async () => {
  await using alice = await Program.listenJson(["--plain"]);
  await using one = await Wire.dial(alice.address);
  await using two = await Wire.dial(alice.address);
  await alice.until("connected");
  await alice.until("connected");
  await one.send("I am one\n");
  const first = await alice.until("message");
  await two.send("I am two\n");
  const second = await alice.until("message");
  assert(first.from !== second.from);
  await alice.write("to all\n");
  await Promise.all([one.receives("to all"), two.receives("to all")]);
});

Deno.test("listen --plain shows escapes from the wire written out", async () => {
  await using alice = await Program.listen(["--plain"]);
  await using wire = await Wire.dial(alice.address);
  await wire.send("\x1b[31mred\x07\n");
  await alice.stdout.until(
    () => alice.stdout.text.includes(String.raw`: \x1b[31mred\x07`) || undefined,
    "the line, escaped",
  );
  assert(!alice.stdout.text.includes("\x1b"));
});

Deno.test("listen --plain drops who sends a line of more than 1 MiB, and serves the next", async () => {
  await using alice = await Program.listenJson(["--plain"]);
  await using wire = await Wire.dial(alice.address);
  await wire.send(new Uint8Array(1_100_000).fill(0x61)).catch(() => {});
  await alice.says(/is gone: Line not accepted: longer than 1048576 bytes/);
  await alice.until("disconnected");
  await using next = await Wire.dial(alice.address);
  await next.send("hello\n");
  assertEquals((await alice.until("message")).text, "hello");
});

Deno.test("connect --plain does not send a line of more than 1 MiB", async () => {
  await using alice = await Program.listenJson(["--plain"]);
  const { code, stderr } = await Program.run(["connect", alice.address, "--plain"], {
    input: `short\n${"x".repeat(1_048_576)}\n`,
  });
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Line not sent: longer than 1 MiB");
  assertEquals((await alice.until("message")).text, "short");
});

Deno.test("listen --plain --once ends with its first peer", async () => {
  await using alice = await Program.listen(["--plain", "--once"]);
  const { code } = await Program.run(["connect", alice.address, "--plain"], { input: "hi\n" });
  const ended = await alice.finished();
  assertEquals([code, ended.code], [0, 0]);
  assertStringIncludes(ended.stdout, ": hi\n");
});

Deno.test("connect to a listen --plain is told to use --plain, and ends with 3", async () => {
  await using alice = await Program.listen(["--plain"]);
  const { code, stderr } = await Program.run(["connect", alice.address]);
  assertEquals(code, 3);
  assertStringIncludes(stderr, "it listens with --plain: connect with --plain, too");
  await alice.says("it wanted an encrypted session, and this side was started with --plain");
});

Deno.test("connect --plain to an encrypted listen is told to leave --plain out, and ends with 4", async () => {
  await using alice = await Program.listen();
  await using bob = Program.start(["connect", alice.address, "--plain"]);
  await bob.write("hello\n");
  const { code, stderr, stdout } = await bob.finished();
  assertEquals([code, stdout], [4, ""]);
  assertStringIncludes(stderr, "takes encrypted ones only");
  assertStringIncludes(stderr, `Leave --plain out: p2p connect ${alice.address}`);
  await alice.says("it does not speak p2p");
});

/** A port that was free a moment ago: nc does not tell which one it was given. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

for (
  const words of [["listen", "--stdout"], ["listen", "--yes"], [
    "connect",
    "127.0.0.1:1",
    "--relay",
    "h:1",
  ]]
) {
  Deno.test(`${words.join(" ")} --plain is refused: one of them would mean nothing`, async () => {
    const { code, stderr } = await Program.run([...words, "--plain"]);
    assertEquals(code, 2);
    assertStringIncludes(stderr, "does not go with --plain");
  });
}
