/** By name between all kinds of NAT: the table of tests/natlab/matrix.ts holds, pair by pair. */
import { assertEquals } from "@std/assert";
import { Meeting } from "../fakes/meeting.ts";
import { NatLab, noNatLab } from "../fakes/nat_lab.ts";
import { describePair, type Pair, PAIRS, WITHIN_MS } from "../natlab/matrix.ts";
import { sideBySide } from "../natlab/side_by_side.ts";
import { converse, misses } from "../natlab/trial.ts";

/** Laboratories at once: more would make each other wait, where there are two processors. */
const WIDTH = 3;
const NAME = "by name between all kinds of NAT, straight wherever that can be";

const reason = noNatLab();
if (reason !== undefined) console.error(`SKIPPED: ${NAME}: ${reason}`);

Deno.test({
  name: NAME,
  ignore: reason !== undefined,
  fn: async (test) => {
    // What takes longest first: so that none is alone at the end.
    const pairs = PAIRS.toSorted((a, b) => WITHIN_MS[b.verdict] - WITHIN_MS[a.verdict]);
    await sideBySide(pairs, WIDTH, (pair) =>
      test.step({
        name: describePair(pair),
        fn: () => check(pair),
        // They run side by side: what one opens is there while another ends.
        sanitizeOps: false,
        sanitizeResources: false,
        sanitizeExit: false,
      }));
  },
});

async function check(pair: Pair): Promise<void> {
  await using lab = await NatLab.up(pair.asker, pair.target, ...pair.options ?? []);
  await using meeting = await Meeting.open(lab);
  const { trial, asker } = await converse(lab, meeting, pair);
  await using _ = asker;
  assertEquals(misses(pair, trial), [], JSON.stringify(asker.events));
}
