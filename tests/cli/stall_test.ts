/** What takes ten seconds by its nature, all at once, and in a file of its own so that other files run meanwhile. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Program } from "../fakes/program.ts";
import { RawServer } from "../fakes/raw_server.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

Deno.test("who says nothing for 10 s is given up, by every command; and a chat of which nobody is there", async () => {
  using folder = new TemporaryFolder();
  await using silent = new RawServer(() => {});
  await using halfway = RawServer.saying("p2p/1 session\n");
  const file = folder.file("a", "a");
  await Promise.all([
    givesUp(["connect", silent.address]),
    givesUp(["connect", halfway.address]),
    givesUp(["send", "--address", silent.address, file]),
    nobodyIsThereAnyMore(folder),
    plainConnectLearnsThatTheOtherSideIsEncrypted(),
    listenGivesUp("p2p/1 session\n", ""),
    listenGivesUp("p2p/1 ses", ""),
    listenGivesUp("", "This is p2p, and encrypted."),
  ]);
});

async function givesUp(words: string[]): Promise<void> {
  const started = performance.now();
  const { code, stderr } = await Program.run(words);
  const seconds = (performance.now() - started) / 1_000;
  assertEquals(code, 4, stderr);
  assertMatch(
    stderr,
    /^p2p: error: Handshake with 127\.0\.0\.1:\d+ not complete: .* 10 s\n {5}.+\n$/,
  );
  assertEquals(seconds > 9 && seconds < 15, true, `${words} took ${seconds} s`);
}

/** Whoever goes back to a chat looks for a while: others may be on their way, too. */
async function nobodyIsThereAnyMore(folder: TemporaryFolder): Promise<void> {
  const [config, data] = [folder.join("config"), folder.join("data")];
  await using alice = await Program.listen();
  const met = await Program.run(["connect", alice.address], { config, data });
  assertEquals(met.code, 0, met.stderr);
  alice.kill("SIGKILL");
  await alice.finished();
  const { code, stderr } = await Program.run(["connect"], { config, data });
  assertEquals(code, 4, stderr);
  assertStringIncludes(
    stderr,
    "p2p: error: Could not reach anybody of the last chats\n     p2p listen --rejoin waits",
  );
}

async function listenGivesUp(said: string, answer: string): Promise<void> {
  await using alice = await Program.listenJson();
  const port = Number(alice.address.split(":")[1]);
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new TextEncoder().encode(said));
  const answered = await new Response(conn.readable).text().catch(() => "");
  assertEquals(answered.startsWith(answer), true, answered);
  await alice.says(/Connection from 127\.0\.0\.1:\d+ came to nothing: .*10 s\n/);
  const { code } = await Program.run(["connect", alice.address], { input: "good\n" });
  assertEquals([code, (await alice.until("message")).text], [0, "good"]);
}

async function plainConnectLearnsThatTheOtherSideIsEncrypted(): Promise<void> {
  await using alice = await Program.listen();
  await using bob = Program.start(["connect", alice.address, "--plain"]);
  const { code, stderr } = await bob.finished();
  assertEquals(code, 4, stderr);
  assertStringIncludes(stderr, `Leave --plain out: p2p connect ${alice.address}`);
}
