/** Chats over a network that is cut in two: each machine is a network namespace of its own. */
import { assertEquals } from "@std/assert";
import { meshTest } from "../fakes/mesh_lab.ts";
import { MeshMember } from "../fakes/mesh_member.ts";

const PORT = "7000";

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
