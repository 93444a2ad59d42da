/** What members of a mesh rely on, with a few processes on this machine. */
import { assert, assertEquals } from "@std/assert";
import { assertOnceInOrder, Mesh, numberedLine } from "../fakes/mesh.ts";
import { MeshMember } from "../fakes/mesh_member.ts";

/** Milliseconds within which a person is not surprised. */
const SOON_MS = 5_000;

Deno.test("when the one through whom all came is killed, the others go on", async () => {
  await using mesh = await Mesh.of(["alice", "bob", "carol", "dave"]);
  const [alice, ...others] = mesh.members as [MeshMember, ...MeshMember[]];
  await alice.kill();
  await Promise.all(others.map((member) => member.say(numberedLine(member, 1))));
  for (const member of others) {
    const told = others.filter((other) => other !== member).map((other) => numberedLine(other, 1));
    for (const text of told) await member.hears(text);
    assertEquals(member.heard.length, told.length);
  }
});

Deno.test("two who can reach only the one in the middle get each other's lines, once", async () => {
  await using alice = new MeshMember("alice");
  await using bob = new MeshMember("bob");
  await using carol = new MeshMember("carol");
  const members = [alice, bob, carol];
  const address = await alice.listen();
  for (const member of [bob, carol]) member.start("connect", address, "--no-listen");
  await Promise.all([bob.linkedTo(["alice"]), carol.linkedTo(["alice"])]);
  await alice.linkedTo(["bob", "carol"]);
  const numbers = Array.from({ length: 200 }, (_, index) => index + 1);
  for (const member of members) {
    await member.say(...numbers.map((number) => numberedLine(member, number)));
  }
  for (const member of members) {
    const others = members.filter((other) => other !== member);
    for (const other of others) await member.hears(numberedLine(other, numbers.length));
    assertEquals(member.heard.length, others.length * numbers.length);
    assertOnceInOrder(member);
    assertEquals(
      new Set(member.heard.map(({ from }) => from)),
      new Set(others.map(({ name }) => name)),
    );
  }
});

Deno.test("who comes later to the one in the middle hears the other at once", async () => {
  await using alice = new MeshMember("alice");
  await using bob = new MeshMember("bob");
  await using carol = new MeshMember("carol");
  const address = await alice.listen();
  bob.start("connect", address, "--no-listen");
  await alice.linkedTo(["bob"]);
  await bob.say("before carol came");
  await alice.hears("before carol came");
  carol.start("connect", address, "--no-listen");
  await Promise.all([alice.linkedTo(["carol"]), carol.linkedTo(["alice"])]);
  await bob.say("welcome, carol");
  await carol.hears("welcome, carol", SOON_MS);
  assertEquals(carol.heard.map(({ text }) => text), ["welcome, carol"]);
});

Deno.test("a second bob is bob-2 to everybody, himself included", async () => {
  await using mesh = await Mesh.of(["alice", "bob"]);
  const [alice, bob] = mesh.members as [MeshMember, MeshMember];
  await using other = new MeshMember("bob");
  await other.listen("--peer", alice.address);
  assertEquals((await other.event("called")).name, "bob-2");
  await Promise.all([alice.linkedTo(["bob", "bob-2"]), bob.linkedTo(["alice", "bob-2"])]);
  await other.say("it is me");
  await bob.say("no, me");
  for (const member of [alice, bob]) {
    await member.hears("it is me");
    assertEquals(member.heard.find(({ text }) => text === "it is me")?.from, "bob-2");
  }
  await other.hears("no, me");
  assertEquals(other.heard.map(({ from, text }) => [from, text]), [["bob", "no, me"]]);
});

Deno.test("who is kicked is not heard and not let in again, at that one member", async () => {
  await using mesh = await Mesh.of(["alice", "bob", "carol"]);
  const [alice, bob, carol] = mesh.members as [MeshMember, MeshMember, MeshMember];
  await alice.say("/kick bob");
  await alice.event("disconnected", ({ peer }) => peer === "bob");
  const from = alice.events.length;
  await bob.say("who hears me?");
  await carol.hears("who hears me?");
  await carol.say("I do");
  await Promise.all([alice.hears("I do"), bob.hears("I do")]);
  assert(!alice.has("who hears me?"));
  await bob.kill();
  await bob.listen("--peer", alice.address, "--peer", carol.address);
  await bob.linkedTo(["carol"]);
  await bob.say("and now?");
  await carol.hears("and now?");
  await carol.say("me again");
  await Promise.all([alice.hears("me again"), bob.hears("me again")]);
  assert(!alice.has("and now?"));
  assertEquals(alice.events.slice(from).filter(({ event }) => event === "connected"), []);
});

Deno.test("/msg reaches one alone, and one that was away when it is back", async () => {
  await using mesh = await Mesh.of(["alice", "bob", "carol"]);
  const [alice, bob, carol] = mesh.members as [MeshMember, MeshMember, MeshMember];
  await alice.say("/msg bob for you", "for all");
  await Promise.all([bob.hears("for all"), carol.hears("for all")]);
  assertEquals(bob.heard.map(({ text, private: only }) => [text, only]), [
    ["for you", true],
    ["for all", false],
  ]);
  assert(!carol.has("for you"));
  const from = alice.events.length;
  await bob.kill();
  await alice.event("away", ({ peer }) => peer === "bob", { from });
  await alice.say("/msg bob when you are back", "all of you");
  await carol.hears("all of you");
  await bob.listen("--rejoin");
  await Promise.all([bob.hears("when you are back"), bob.hears("all of you")]);
  await bob.say("I am");
  await Promise.all([alice.hears("I am"), carol.hears("I am")]);
  assert(!carol.has("when you are back"));
  const texts = bob.heard.map(({ text }) => text);
  assertEquals(new Set(texts).size, texts.length);
});

Deno.test("all are killed, and find each other again without an address", async () => {
  await using mesh = await Mesh.of(["alice", "bob", "carol"]);
  const [alice, bob, carol] = mesh.members as [MeshMember, MeshMember, MeshMember];
  for (const member of mesh.members) await member.kill();
  await Promise.all([alice.listen("--rejoin"), bob.listen("--rejoin")]);
  carol.start("connect", "--host", "127.0.0.1");
  await mesh.linked();
  await carol.say("here we are");
  await Promise.all([alice.hears("here we are"), bob.hears("here we are")]);
});

Deno.test("who comes by connect is reached by all others as well", async () => {
  await using mesh = await Mesh.of(["alice", "bob"]);
  const [alice, bob] = mesh.members as [MeshMember, MeshMember];
  await using carol = new MeshMember("carol");
  carol.start("connect", alice.address, "--host", "127.0.0.1");
  await Promise.all([carol.linkedTo(["alice", "bob"]), bob.linkedTo(["alice", "carol"])]);
  await alice.kill();
  await Promise.all([carol.say("still here"), bob.say("me too")]);
  await Promise.all([bob.hears("still here"), carol.hears("me too")]);
});

Deno.test("who is new, or comes again after it has left, gets what is said from then on", async () => {
  await using mesh = await Mesh.of(["alice", "bob"]);
  const [alice, bob] = mesh.members as [MeshMember, MeshMember];
  await alice.say("before");
  await bob.hears("before");
  await using carol = new MeshMember("carol");
  await carol.listen("--peer", alice.address);
  await carol.linkedTo(["alice", "bob"]);
  await Promise.all([alice.linkedTo(["carol"]), bob.linkedTo(["carol"])]);
  await alice.say("while she is here");
  await carol.hears("while she is here");
  const since = [alice.events.length, bob.events.length];
  await carol.leave();
  const left = (member: MeshMember, from: number) =>
    member.event("disconnected", ({ peer }) => peer === "carol", { from });
  await Promise.all([left(alice, since[0]!), left(bob, since[1]!)]);
  await alice.say("while she is gone");
  await bob.hears("while she is gone");
  await carol.listen("--peer", bob.address);
  await carol.linkedTo(["alice", "bob"]);
  await alice.linkedTo(["carol"]);
  await alice.say("when she is back");
  await carol.hears("when she is back");
  assertEquals(carol.heard.map(({ text }) => text), ["while she is here", "when she is back"]);
});

Deno.test("two programs of one user are two members", async () => {
  await using mesh = await Mesh.of(["alice", "bob"]);
  const [alice, bob] = mesh.members as [MeshMember, MeshMember];
  await using again = new MeshMember("bob", { sharesWith: bob });
  await again.listen("--peer", alice.address);
  await Promise.all([alice, bob, again].map((member) => member.linkedWith(2)));
  await bob.say("the first");
  await again.say("the second");
  await alice.say("to both");
  await Promise.all([alice.hears("the first"), alice.hears("the second")]);
  await Promise.all([again.hears("the first"), bob.hears("the second")]);
  await Promise.all([bob.hears("to both"), again.hears("to both")]);
  assertEquals([alice, bob, again].map(({ heard }) => heard.length), [2, 2, 2]);
});
