/** A member that takes nothing, and one that says more than anybody can read, among others who talk. */
import { assertEquals, assertLess } from "@std/assert";
import { percentile } from "../../bench/statistics.ts";
import { MeshVictims } from "../../fakes/mesh_victims.ts";
import { RawMember } from "../../fakes/raw_member.ts";

/** Lines that a flood has, too few for its member to be sent away, and the characters of each. */
const FLOOD_LINES = 10_000;
const FLOOD_CHARACTERS = 100;
/** Milliseconds in which they are handed on, 250 in a second. */
const HANDED_ON_WITHIN_MS = 60_000;
/** Milliseconds that a line among those of a flood may take, half of them and all: on two cores. */
const HALF_IN_FLOOD_MS = 150;
const IN_FLOOD_MS = 2_000;

Deno.test("a member that floods does not hold up what others say", async () => {
  await using victims = await MeshVictims.start();
  const { alice, bob } = victims;
  await using mallory = await RawMember.join(alice.address);
  await alice.linkedTo(["mallory"]);
  const text = "x".repeat(FLOOD_CHARACTERS);
  let flooding = true;
  const flood = (async () => {
    for (let number = 1; number <= FLOOD_LINES; number++) {
      await mallory.say(number, number === FLOOD_LINES ? "the last" : text);
    }
    flooding = false;
  })();
  const took: number[] = [];
  while (flooding) took.push(...await victims.talk());
  await flood;
  await Promise.all([alice, bob].map((each) => each.hears("the last", HANDED_ON_WITHIN_MS)));
  const [half, most] = [percentile(took, 0.5), Math.max(...took)];
  console.log(
    `In the flood: ${took.length} lines, p50 ${half.toFixed(1)}, most ${most.toFixed(1)} ms`,
  );
  console.log(victims.memory().map(({ name, peak }) => `${name} ${peak.toFixed(0)} MB`).join(", "));
  for (const member of [alice, bob]) {
    const { length } = member.heard.filter(({ from }) => from === "mallory");
    assertEquals(length, FLOOD_LINES, `${member.name} was shown ${length} lines of the flood`);
  }
  assertLess(half, HALF_IN_FLOOD_MS);
  assertLess(most, IN_FLOOD_MS);
  await victims.assertUnharmed();
});

Deno.test("two who take nothing, one of them alive, hold nobody up and are given up", async () => {
  await using victims = await MeshVictims.start(["carol"]);
  const { alice, bob, mesh } = victims;
  const carol = mesh.members[2]!;
  await using _mallory = await RawMember.join(alice.address, { reads: false });
  await alice.linkedTo(["mallory"]);
  carol.pause();
  const text = "y".repeat(1_000);
  await alice.say(...Array.from({ length: 4_000 }, (_, index) => `${index} ${text}`), "the end");
  await bob.hears("the end");
  await victims.assertUnharmed();
  const gone = { deadlineMs: 120_000 };
  await Promise.all([
    alice.event("disconnected", ({ peer }) => peer === "mallory", gone),
    alice.event("away", ({ peer }) => peer === "carol", gone),
    bob.event("away", ({ peer }) => peer === "carol", gone),
  ]);
  await victims.assertUnharmed();
  carol.resume();
  await carol.hears("the end", 60_000);
  await mesh.linked();
  const texts = carol.heard.map((line) => line.text);
  assertEquals(new Set(texts).size, texts.length);
  await victims.assertUnharmed();
});
