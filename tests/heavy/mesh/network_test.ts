/** Chats over a network that is cut in two: each machine is a network namespace of its own. */
import { assertEquals } from "@std/assert";
import { assertOnceInOrder, numberedLine } from "../../fakes/mesh.ts";
import { type MeshLab, meshTest } from "../../fakes/mesh_lab.ts";
import { MeshMember } from "../../fakes/mesh_member.ts";
import { Program } from "../../fakes/program.ts";

const PORT = "7000";
const PARTITION_MS = 30_000;
const LINKED_WITHIN_MS = 30_000;
/** Milliseconds in which all have what was said meanwhile: those who dial pause longer and longer. */
const HEALED_WITHIN_MS = 90_000;

meshTest("what two say to each other while the network is cut arrives after it", 2, async (lab) => {
  await using alice = new MeshMember("alice", { before: lab.on(1) });
  await using bob = new MeshMember("bob", { before: lab.on(2) });
  alice.start("listen", "--port", PORT);
  await alice.event("listening");
  bob.start("connect", `${lab.address(1)}:${PORT}`);
  await Promise.all([alice.linkedTo(["bob"]), bob.linkedTo(["alice"])]);
  await lab.partition([[1], [2]]);
  await Promise.all([alice.say("from here"), bob.say("from there")]);
  assertEquals([alice.heard.length, bob.heard.length], [0, 0]);
  await lab.heal();
  await Promise.all([alice.hears("from there"), bob.hears("from here")]);
});

meshTest("two halves that were apart for 30 s have all of both when it is over", 4, async (lab) => {
  await using stack = new AsyncDisposableStack();
  const members = await membersOf(lab, stack, ["alice", "bob", "carol", "dave"]);
  const [alice, bob, carol, dave] = members as [MeshMember, MeshMember, MeshMember, MeshMember];
  const cut = performance.now();
  await lab.partition([[1, 2], [3, 4]]);
  await Promise.all(members.map((member) => member.say(numberedLine(member, 1))));
  await Promise.all([alice.hears("bob 1 1"), bob.hears("alice 1 1")]);
  await Promise.all([carol.hears("dave 1 1"), dave.hears("carol 1 1")]);
  // Nobody has heard of the others for 20 s then.
  const away = { deadlineMs: 40_000 };
  await alice.event("away", ({ peer }) => peer === "dave", away);
  await dave.event("away", ({ peer }) => peer === "alice", away);
  await Promise.all(members.map((member) => member.say(numberedLine(member, 2))));
  await pause(PARTITION_MS - (performance.now() - cut));
  assertEquals(members.map(({ heard }) => heard.length), [2, 2, 2, 2]);
  await lab.heal();
  const healed = performance.now();
  await Promise.all(members.map((member) => hearsAll(member, members, 2)));
  console.log(
    `All had all ${((performance.now() - healed) / 1_000).toFixed(1)} s after it was over`,
  );
  for (const member of members) assertOnceInOrder(member);
});

meshTest("who gets another address on the way goes on with all", 3, async (lab) => {
  await using stack = new AsyncDisposableStack();
  const members = await membersOf(lab, stack, ["alice", "bob", "carol"]);
  await lab.move(2);
  await Promise.all(members.map((member) => member.say(numberedLine(member, 1))));
  await Promise.all(members.map((member) => hearsAll(member, members, 1)));
  const [alice, bob, carol] = members as [MeshMember, MeshMember, MeshMember];
  await alice.kill();
  await Promise.all([bob.say(numberedLine(bob, 2)), carol.say(numberedLine(carol, 2))]);
  await Promise.all([
    bob.hears(numberedLine(carol, 2), HEALED_WITHIN_MS),
    carol.hears(numberedLine(bob, 2), HEALED_WITHIN_MS),
  ]);
  for (const member of members) assertOnceInOrder(member);
});

meshTest("members that meet only at a relay are a mesh", 4, async (lab) => {
  await using relay = Program.start(
    ["relay", "--host", lab.address(4), "--port", PORT, "--json"],
    { before: lab.on(4) },
  );
  await relay.until("listening");
  await lab.partition([[1], [2], [3]]);
  await using stack = new AsyncDisposableStack();
  const at = ["--relay", `${lab.address(4)}:${PORT}`];
  const members = ["alice", "bob", "carol"].map((name, index) => {
    return stack.use(new MeshMember(name, { before: lab.on(index + 1) }));
  });
  const [alice, bob, carol] = members as [MeshMember, MeshMember, MeshMember];
  alice.start("listen", "--port", PORT, ...at);
  await alice.event("registered");
  for (const member of [bob, carol]) {
    member.start("listen", "--port", PORT, "--peer", "alice", ...at);
  }
  await Promise.all(members.map((member) => member.linkedWith(2, LINKED_WITHIN_MS)));
  await alice.kill();
  await Promise.all([bob.say(numberedLine(bob, 1)), carol.say(numberedLine(carol, 1))]);
  await Promise.all([bob.hears("carol 1 1"), carol.hears("bob 1 1")]);
});

/** Starts members on machines 1, 2, … of which all others come to the first. */
async function membersOf(
  lab: MeshLab,
  stack: AsyncDisposableStack,
  names: string[],
): Promise<MeshMember[]> {
  const members = names.map((name, index) => {
    return stack.use(new MeshMember(name, { before: lab.on(index + 1) }));
  });
  const [first, ...others] = members;
  first!.start("listen", "--port", PORT);
  await first!.event("listening");
  for (const member of others) {
    member.start("listen", "--port", PORT, "--peer", `${lab.address(1)}:${PORT}`);
  }
  await Promise.all(members.map((member) => member.linkedWith(others.length, LINKED_WITHIN_MS)));
  return members;
}

/** Waits until a member has lines 1 to `count` of the first run of all others. */
async function hearsAll(member: MeshMember, members: MeshMember[], count: number): Promise<void> {
  for (const other of members) {
    for (let number = 1; other !== member && number <= count; number++) {
      await member.hears(numberedLine(other, number), HEALED_WITHIN_MS);
    }
  }
}

/** What is tested lasts as long, it is not waited for anything. */
async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
