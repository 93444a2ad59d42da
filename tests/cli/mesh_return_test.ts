/** What members of a mesh see of somebody who is lost, comes back, or sends them away. */
import { assertEquals } from "@std/assert";
import { Listener } from "../../peer/listener.ts";
import { encodeChat } from "../../protocol/chat.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { GoodbyeCode } from "../../protocol/session_frame.ts";
import { Mesh } from "../fakes/mesh.ts";
import { MeshMember } from "../fakes/mesh_member.ts";
import type { ProgramEvent } from "../fakes/program.ts";
import { RawMember } from "../fakes/raw_member.ts";
import { TcpProxy } from "../fakes/tcp_proxy.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

/** What a member was told of somebody: "connected", "away" … */
function toldOf(name: string, events: readonly ProgramEvent[]): string[] {
  return events.filter(({ peer }) => peer === name).map(({ event }) => event);
}

/** How often a text stands in what a member said to its user. */
function count(text: string, said: string): number {
  return said.split(text).length - 1;
}

Deno.test("who cannot come back by itself is dialled, and is back, once, to both", async () => {
  await using alice = new MeshMember("alice");
  await using bob = new MeshMember("bob");
  const address = await alice.listen();
  await using proxy = new TcpProxy(Number(address.split(":")[1]));
  bob.start("connect", `127.0.0.1:${proxy.port}`, "--host", "127.0.0.1");
  await Promise.all([bob.linkedTo(["alice"]), alice.linkedTo(["bob"])]);
  await bob.say("before");
  await alice.hears("before");
  proxy.refuses = true;
  proxy.cut();
  await Promise.all([alice.event("away"), bob.event("away")]);
  await Promise.all([alice.say("from here"), bob.say("from there")]);
  await Promise.all([alice.event("back"), bob.event("back")]);
  await Promise.all([alice.hears("from there"), bob.hears("from here")]);
  await alice.say("and now");
  await bob.hears("and now");
  assertEquals([alice.heard.length, bob.heard.length], [2, 2]);
  assertEquals(toldOf("bob", alice.events), ["connected", "away", "back"]);
  assertEquals(toldOf("alice", bob.events), ["connected", "away", "back"]);
  // The visit that bob began goes on in the session that alice has begun, and ends with it.
  await alice.leave();
  assertEquals((await bob.finished()).code, 0);
  assertEquals(toldOf("alice", bob.events), ["connected", "away", "back", "disconnected"]);
});

for (const when of ["before", "while"]) {
  Deno.test(`a file sent ${when} its session is away goes on with that, and with no other`, async () => {
    using folder = new TemporaryFolder();
    await using alice = new MeshMember("alice");
    await using bob = new MeshMember("bob");
    const address = await alice.listen();
    await using proxy = new TcpProxy(Number(address.split(":")[1]));
    const flags = ["--host", "127.0.0.1", "--yes", "--dir", folder.folder("in")];
    bob.start("connect", `127.0.0.1:${proxy.port}`, ...flags);
    await Promise.all([bob.linkedTo(["alice"]), alice.linkedTo(["bob"])]);
    folder.file("film", new Uint8Array(50_000_000));
    const send = () => alice.say(`/send ${folder.join("film")}`);
    // Connections that are there go on until they are cut.
    proxy.refuses = true;
    if (when === "before") {
      proxy.cutAfter(5_000_000);
      await send();
      await bob.event("offer");
    } else proxy.cut();
    await alice.event("away");
    if (when === "while") await send();
    // Until alice would have dialled: bob tries ever more rarely.
    const isBack = () => toldOf("bob", alice.events).includes("back");
    while (proxy.taken < 8 && !isBack()) await new Promise((resolve) => setTimeout(resolve, 100));
    proxy.refuses = false;
    assertEquals((await bob.event("received")).bytes, 50_000_000);
    const told = toldOf("bob", alice.events).filter((each) => !["progress", "sent"].includes(each));
    assertEquals(told, ["connected", "away", "back"]);
  });
}

Deno.test("whose program was started anew is back, in one line", async () => {
  await using mesh = await Mesh.of(["alice", "bob", "carol"]);
  const [alice, bob, carol] = mesh.members as [MeshMember, MeshMember, MeshMember];
  const others = [bob, carol];
  await alice.kill();
  await Promise.all(others.map((member) => member.event("away")));
  await alice.listen("--rejoin");
  await Promise.all(others.map((member) => member.event("back")));
  await alice.linkedTo(["bob", "carol"]);
  await alice.say("here I am");
  for (const member of others) {
    await member.hears("here I am");
    assertEquals(toldOf("alice", member.events), ["connected", "away", "back"]);
    assertEquals(count("alice is back\n", member.stderr), 1);
    assertEquals(count("Connected to alice", member.stderr), 1);
    const anew = alice.events.slice(
      alice.events.findLastIndex(({ event }) => event === "listening"),
    );
    assertEquals(toldOf(member.name, anew), ["connected"]);
  }
});

Deno.test("whose program was started anew is back, also where it looks for nobody", async () => {
  await using alice = new MeshMember("alice");
  await using bob = new MeshMember("bob");
  const address = await alice.listen();
  bob.start("connect", address, "--host", "127.0.0.1");
  await Promise.all([bob.linkedTo(["alice"]), alice.linkedTo(["bob"])]);
  await alice.kill();
  await bob.event("away");
  // It looks for nobody: only bob can begin.
  await alice.listen();
  await bob.event("back");
  await alice.say("here I am");
  await bob.hears("here I am");
  assertEquals(toldOf("alice", bob.events), ["connected", "away", "back"]);
  assertEquals(count("Lost alice", bob.stderr), 0);
  await alice.leave();
  assertEquals((await bob.finished()).code, 0);
});

Deno.test("at the end nobody who is away is waited for that has everything", async () => {
  await using mesh = await Mesh.of(["alice", "bob"]);
  const [alice, bob] = mesh.members as [MeshMember, MeshMember];
  await alice.say("before");
  await bob.hears("before");
  // What it says acknowledges what it has.
  await bob.say("I have it");
  await alice.hears("I have it");
  await bob.kill();
  await alice.event("away");
  const { code, stderr } = await alice.leave();
  assertEquals([code, count("Waiting for", stderr), count("Lost bob", stderr)], [0, 0, 0]);
});

Deno.test("at the end it is told who is waited for, and Ctrl-C waits for nobody", async () => {
  await using mesh = await Mesh.of(["alice", "bob"]);
  const [alice, bob] = mesh.members as [MeshMember, MeshMember];
  await bob.kill();
  await alice.event("away");
  await alice.say("are you there?", "/quit");
  await alice.says("Waiting for bob, who has not got all that was said; Ctrl-C ends at once\n");
  const { code, stderr } = await alice.interrupt();
  assertEquals([code, count("Lost bob", stderr)], [130, 0]);
});

Deno.test("connect ends with the session that stays of two that were begun at once", async () => {
  const identity = generateKeyPair();
  const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using listener = new Listener({
    host: "127.0.0.1",
    port: 0,
    identity,
    name: () => "mallory",
    admit: () => {
      asked.resolve();
      return gate.promise;
    },
  });
  const port = freePort();
  await using bob = new MeshMember("bob");
  const there = `127.0.0.1:${listener.port}`;
  bob.start("connect", there, "--host", "127.0.0.1", "--port", String(port));
  await asked.promise;
  await using first = await RawMember.join(`127.0.0.1:${port}`, { identity });
  await bob.linkedTo(["mallory"]);
  gate.resolve();
  const second = (await listener.sessions.next())!;
  const stream = (await second.accept())!;
  await stream.write(encodeChat({ type: "member", member: first.record() }));
  assertEquals((await second.ended).code, GoodbyeCode.oneTooMany);
  await first.say(1, "still here");
  await bob.hears("still here");
  await first.session.end();
  assertEquals((await bob.finished()).code, 0);
  assertEquals(toldOf("mallory", bob.events), ["connected", "disconnected"]);
});

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("why somebody was sent away is told once, however long they stay with the others", async () => {
  await using mesh = await Mesh.of(["alice", "carol"]);
  const [alice, carol] = mesh.members as [MeshMember, MeshMember];
  await using bob = new MeshMember("bob");
  bob.start("connect", alice.address, "--host", "127.0.0.1");
  await bob.linkedTo(["alice", "carol"]);
  await alice.linkedTo(["bob"]);
  await alice.say("/kick bob too loud");
  await bob.says("alice has sent you away: too loud");
  await bob.say("is that so?");
  await carol.hears("is that so?");
  const { code, stderr } = await bob.leave();
  assertEquals([code, count("alice has sent you away", stderr)], [3, 1]);
  assertEquals(count("You are let in again when", stderr), 1);
  assertEquals(bob.events.filter(({ event }) => event === "error").length, 1);
});

Deno.test("why somebody is lost is told once, however long one stays with the others", async () => {
  await using mesh = await Mesh.of(["alice", "carol"]);
  const [alice, carol] = mesh.members as [MeshMember, MeshMember];
  await using bob = new MeshMember("bob");
  bob.start("connect", alice.address, "--no-listen");
  await bob.linkedTo(["alice", "carol"]);
  await alice.kill();
  await bob.event("away");
  await using other = new MeshMember("dave");
  other.start("listen", "--host", "127.0.0.1", "--port", alice.address.split(":")[1]!);
  await bob.says("another key answers");
  await bob.say("are you there?");
  await carol.hears("are you there?");
  const { code, stderr } = await bob.leave();
  assertEquals([code, count("another key answers", stderr)], [5, 1]);
});
