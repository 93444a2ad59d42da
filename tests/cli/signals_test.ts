import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Program } from "../fakes/program.ts";
import { TamperingProxy } from "../fakes/tampering_proxy.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const MEBIBYTE = 1_048_576;

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`${signal} ends a listen that waits with 130 and one word`, async () => {
    await using alice = await Program.listenJson();
    alice.kill(signal);
    const { code, stderr } = await alice.finished();
    assertEquals(code, 130);
    assert(stderr.endsWith("Interrupted\n"), stderr);
    assertEquals(alice.events.at(-1), {
      event: "error",
      code: "interrupted",
      message: "Interrupted",
    });
  });

  Deno.test(`${signal} ends a chat with 130, and the listener is told and goes on`, async () => {
    await using alice = await Program.listenJson();
    await using bob = Program.start(["connect", alice.address, "--name", "bob"]);
    await alice.until("connected");
    bob.kill(signal);
    assertEquals((await bob.finished()).code, 130);
    await alice.says("bob has left");
    const { code } = await Program.run(["connect", alice.address], { input: "next\n" });
    assertEquals([code, (await alice.until("message")).text], [0, "next"]);
  });

  Deno.test(`${signal} ends a listen in chat with 130, and its peer with 0`, async () => {
    await using alice = await Program.listenJson(["--name", "alice"]);
    await using bob = Program.start(["connect", alice.address]);
    await alice.until("connected");
    alice.kill(signal);
    assertEquals((await alice.finished()).code, 130);
    await bob.says("alice has left");
    assertEquals((await bob.finished()).code, 0);
  });
}

Deno.test("a listener who leaves before all of a pipe has arrived ends connect with 4", async () => {
  await using alice = await Program.listenJson(["--name", "alice"]);
  await using bob = Program.start(["connect", alice.address]);
  await alice.until("connected");
  const written = bob.write("line\n".repeat(50_000)).catch(() => {});
  await alice.until("message");
  alice.kill("SIGINT");
  assertEquals((await alice.finished()).code, 130);
  const { code, stderr } = await bob.finished();
  assertEquals(code, 4);
  assertStringIncludes(stderr, "alice left before all of the input had arrived\n     Send it as");
  await written;
});

Deno.test("SIGINT ends a plain chat with 130 on either side", async () => {
  await using alice = await Program.listenJson(["--plain"]);
  await using bob = Program.start(["connect", alice.address, "--plain"]);
  await alice.until("connected");
  bob.kill("SIGINT");
  assertEquals((await bob.finished()).code, 130);
  await alice.until("disconnected");
  alice.kill("SIGINT");
  assertEquals((await alice.finished()).code, 130);
});

Deno.test("SIGINT while it dials ends connect with 130", async () => {
  // Nobody accepts: the connection stands, and the handshake waits.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using bob = Program.start(["connect", `127.0.0.1:${listener.addr.port}`]);
  using _conn = await listener.accept();
  bob.kill("SIGINT");
  assertEquals((await bob.finished()).code, 130);
});

/** A transfer of 24 MiB that hangs after about the half, and all that belongs to it. */
class Hanging implements AsyncDisposable {
  readonly folder = new TemporaryFolder();
  readonly content = new Uint8Array(24 * MEBIBYTE).map((_, index) => index ^ (index >> 8));
  readonly file = this.folder.file("film", this.content);
  readonly inbox = this.folder.folder("in");
  readonly #started: AsyncDisposable[] = [];
  proxy!: TamperingProxy;
  listener!: Program;
  sender!: Program;

  static async begin(): Promise<Hanging> {
    const hanging = new Hanging();
    hanging.listener = await hanging.listen();
    hanging.proxy = new TamperingProxy(hanging.listener.address);
    hanging.proxy.stallAfter(12 * MEBIBYTE);
    hanging.sender = hanging.send(hanging.proxy.address);
    hanging.#started.push(hanging.proxy);
    await hanging.listener.until("progress", ({ bytes }) => bytes > 2 * MEBIBYTE);
    return hanging;
  }

  /** The listener has an identity of its own each time; who sends is always the same. */
  async listen(): Promise<Program> {
    const listener = await Program.listenJson(["--yes", "--dir", this.inbox]);
    this.#started.push(listener);
    return listener;
  }

  send(address: string): Program {
    const config = this.folder.join("sender");
    const words = ["send", "--address", address, "--name", "bob", this.file];
    const sender = Program.start(words, { config });
    this.#started.push(sender);
    return sender;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const started of this.#started.reverse()) await started[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

async function assertGoesOn(hanging: Hanging, listener: Program): Promise<void> {
  const { inbox, content } = hanging;
  assert(!Array.from(Deno.readDirSync(inbox)).some(({ name }) => name === "film"));
  const { code, stderr } = await hanging.send(listener.address).finished();
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, "resumed at");
  assertEquals(Array.from(Deno.readDirSync(inbox), ({ name }) => name), ["film"]);
  const received = await Deno.readFile(`${inbox}/film`);
  assert(received.length === content.length && received.every((byte, at) => byte === content[at]));
}

Deno.test("SIGINT stops send with 130 in the middle of a file; sent again, it goes on", async () => {
  await using hanging = await Hanging.begin();
  hanging.sender.kill("SIGINT");
  const { code, stderr } = await hanging.sender.finished();
  assertEquals(code, 130);
  assertStringIncludes(stderr, "What has arrived is kept: send it again");
  hanging.proxy.release();
  await hanging.listener.until("disconnected");
  await assertGoesOn(hanging, hanging.listener);
});

Deno.test("SIGINT stops listen with 130 in the middle of a file; sent again, it goes on", async () => {
  await using hanging = await Hanging.begin();
  hanging.listener.kill("SIGINT");
  assertEquals((await hanging.listener.finished()).code, 130);
  hanging.proxy.release();
  const { code, stderr } = await hanging.sender.finished();
  assertEquals(code, 3, stderr);
  assertStringIncludes(stderr, "Send again: it goes on where it stopped");
  await assertGoesOn(hanging, await hanging.listen());
});

Deno.test("a second SIGINT ends at once what the first one has begun to end", async () => {
  // The end that is cut short takes a second: a machine that is busy for so long makes another try worth while.
  let atOnce = false;
  for (let tries = 0; tries < 4 && !atOnce; tries++) atOnce = await secondSignalIsFirst();
  assert(atOnce);
});

/** Whether the second signal ended send before the end that the first one began was complete, which would say so. */
async function secondSignalIsFirst(): Promise<boolean> {
  await using hanging = await Hanging.begin();
  hanging.sender.kill("SIGINT");
  await hanging.sender.says("What has arrived is kept");
  hanging.sender.kill("SIGINT");
  const { code, stderr } = await hanging.sender.finished();
  assertEquals(code, 130);
  return !stderr.includes("Interrupted");
}

Deno.test("listen ends without a word when the reader of its standard output has gone", async () => {
  await using alice = await Program.listen([], { before: ["sh", "-c", '"$@" | head -n 1', "sh"] });
  const input = "a line\n".repeat(50_000);
  await Program.run(["connect", alice.address, "--name", "bob"], { input });
  const { stdout, stderr } = await alice.finished();
  assertEquals(stdout, "bob: a line\n");
  assert(!/error|Interrupted/.test(stderr), stderr);
});

Deno.test("--help into a closed pipe ends without a word", async () => {
  const before = ["sh", "-c", '"$@" | true', "sh"];
  const { code, stderr } = await Program.run(["--help"], { before });
  assertEquals([code, stderr], [0, ""]);
});
