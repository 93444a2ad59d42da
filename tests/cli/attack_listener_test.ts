/** Peers that try to take a listener away from everybody else, or from its user. */
import { assert, assertEquals } from "@std/assert";
import { concatBytes, encodeText } from "../../protocol/bytes.ts";
import { ResetCode } from "../../protocol/connection.ts";
import { MAX_OPENS_AT_ONCE } from "../../protocol/limits.ts";
import { encodeFrame, encodeReset, FrameType } from "../../protocol/session_frame.ts";
import { Program } from "../fakes/program.ts";
import { beginning, RawMember } from "../fakes/raw_member.ts";
import { RawPeer } from "../fakes/raw_peer.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

/** Somebody good sends a file, and it arrives. */
async function assertReceives(listener: Program): Promise<void> {
  using folder = new TemporaryFolder();
  const path = folder.file("good.txt", "good");
  const { code, stderr } = await Program.run(["send", "--address", listener.address, path]);
  assertEquals(code, 0, stderr);
}

Deno.test("A peer that resets its chat does not take the chat away from the listener's user", async () => {
  await using alice = await Program.listenJson();
  await using mallory = await RawMember.join(alice.address);
  await mallory.say(1, "hello");
  await alice.until("message");
  mallory.reset(ResetCode.cancelled);
  await alice.says("mallory has ended the chat");
  await alice.write("is anybody here?\n/l\n");
  const { peers } = await alice.until("peers");
  assertEquals(peers.length, 1);
  await alice.write("/quit\n");
  const { code, stderr } = await alice.finished();
  assertEquals([code, /p2p: error/.test(stderr)], [0, false], stderr);
});

Deno.test("A peer whose offers never come does not keep others from sending", async () => {
  await using alice = await Program.listenJson(["--yes"]);
  await using mallory = await RawPeer.dial(alice.address);
  for (let i = 0; i < 40; i++) await mallory.open("files/1").write(new Uint8Array([1]));
  await alice.until("connected");
  await assertReceives(alice);
});

Deno.test("Streams for files that are opened and reset again and again are not kept", async () => {
  await using alice = await Program.listenJson(["--yes"]);
  await using mallory = await RawPeer.dial(alice.address);
  await mallory.greet();
  const read = mallory.ended();
  const frames: Uint8Array[] = [];
  for (let stream = 1; stream < 2 * MAX_OPENS_AT_ONCE; stream += 2) {
    const payload = encodeText("files/1");
    frames.push(encodeFrame({ type: FrameType.open, stream, payload }));
    // The first ones stay, so that all others wait behind them.
    if (stream < 100) continue;
    const reset = encodeReset(ResetCode.cancelled);
    frames.push(encodeFrame({ type: FrameType.reset, stream, payload: reset }));
  }
  for (let at = 0; at < frames.length; at += 100) {
    await mallory.connection.write(concatBytes(...frames.slice(at, at + 100)));
  }
  await assertReceives(alice);
  mallory.connection.close();
  await read;
  alice.kill("SIGINT");
  await alice.finished();
  const stopped = alice.events.filter(({ event }) => event === "error").length;
  assert(stopped <= 129, `${stopped} waited`);
});

Deno.test("A peer that changes its name again and again takes no more than a few", async () => {
  using config = new TemporaryFolder();
  await using alice = await Program.listenJson([], { config: config.path });
  await using mallory = await RawMember.join(alice.address);
  for (let i = 0; i < 200; i++) await mallory.send({ type: "nick", name: `name${i}` });
  await mallory.say(1, "done");
  const { from } = await alice.until("message");
  assertEquals(from, "name15");
  const known = Deno.readTextFileSync(config.join("p2p/known_peers")).trim().split("\n");
  assertEquals(known.length, 17);
  assertEquals(alice.stderr.text.split("again and again").length, 2);
});

for (const name of ["p2p", "P2P", "bob: I agree"]) {
  Deno.test(`A peer by the name ${name}, which would look like another's line, is not taken in`, async () => {
    await using alice = await Program.listenJson();
    await using mallory = await RawPeer.dial(alice.address, name);
    await mallory.greet();
    await mallory.ended();
    await alice.says("it looks like the beginning of a line");
    await assertReceivesNothing(alice, name);
  });
}

async function assertReceivesNothing(listener: Program, name: string): Promise<void> {
  await using bob = await RawMember.join(listener.address, { name: "bob" });
  await bob.say(1, "hello");
  assertEquals((await listener.until("message")).from, "bob");
  assertEquals(listener.events.filter(({ peer }) => peer === name), []);
}

Deno.test("Ctrl-C ends a listener that waits, after /quit, for a peer that acknowledges nothing", async () => {
  await using alice = await Program.listenJson();
  await using mallory = await RawPeer.dial(alice.address);
  await mallory.greet();
  const read = mallory.ended();
  await mallory.frame(FrameType.open, 1, encodeText("chat/1"));
  await mallory.frame(FrameType.data, 1, beginning());
  await alice.until("connected");
  await alice.write("hello\n/l\n/quit\n");
  await alice.until("peers");
  alice.kill("SIGINT");
  const { code } = await alice.finished();
  assertEquals(code, 130);
  await read;
});
