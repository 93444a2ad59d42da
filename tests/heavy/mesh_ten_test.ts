/** Ten members in ten processes, each linked with the nine others. */
import { assertEquals, assertLess } from "@std/assert";
import { percentile } from "../bench/statistics.ts";
import { Conversation } from "../fakes/conversation.ts";
import { assertOnceInOrder, Mesh } from "../fakes/mesh.ts";
import type { MeshMember } from "../fakes/mesh_member.ts";

const NAMES = ["ada", "ben", "cleo", "dora", "emil", "fay", "gus", "hana", "ivo", "jade"];
/** Lines that are said at a pace at which ten people might talk, and milliseconds between them. */
const SPOKEN = 100;
const PAUSE_MS = 100;
/**
 * Milliseconds that half of the lines may take at most, in one of some rounds. The bench tells whether
 * 99 of 100 do: that is a question of who else has the processor, too.
 */
const MAX_LATENCY_MS = 50;
const ROUNDS = 3;
/** Lines of each member in the burst. */
const BURST = 1_000;
const MAX_MEMORY_MB = 250;

Deno.test("ten members", async (t) => {
  await using mesh = await Mesh.of(NAMES);
  const { members } = mesh;
  const conversation = new Conversation(members);

  await t.step("a line reaches the nine others in 50 ms", async () => {
    let best = Infinity;
    for (let round = 0; round < ROUNDS && best > MAX_LATENCY_MS; round++) {
      const latencies = await conversation.inTurns(SPOKEN, PAUSE_MS);
      best = Math.min(best, report("At a human pace", latencies));
    }
    assertLess(best, MAX_LATENCY_MS);
  });

  await t.step("a thousand lines of each at once reach all others once, in order", async () => {
    const { latencies, seconds } = await conversation.allAtOnce(BURST);
    report(`In a burst that took ${seconds.toFixed(1)} s`, latencies);
    const peak = Math.max(...members.map((member) => member.peakMemory()));
    console.log(`The largest of the members had ${peak.toFixed(0)} MB`);
    assertLess(peak, MAX_MEMORY_MB);
  });

  // Nothing more comes.
  await Promise.all(members.map((member) => member.leave()));
  for (const member of members) {
    const expected = conversation.said.filter((text) => !isOf(member, text));
    assertEquals(new Set(member.heard.map(({ text }) => text)), new Set(expected));
    assertOnceInOrder(member);
  }
});

function isOf(member: MeshMember, text: string): boolean {
  return text.startsWith(`${member.name} `);
}

/** Prints them. @returns the milliseconds within which half of them were */
function report(when: string, latencies: number[]): number {
  const [half, most, all] = [0.5, 0.99, 1].map((share) => percentile(latencies, share));
  const figures = `p50 ${half!.toFixed(1)} ms, p99 ${most!.toFixed(1)} ms, ${all!.toFixed(1)} ms`;
  console.log(`${when}: ${latencies.length} lines shown: ${figures} at most`);
  return half!;
}
