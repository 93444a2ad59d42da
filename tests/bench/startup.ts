/** How long the program takes to say anything at all. */
import { duel } from "./duel.ts";
import type { Harness, Options } from "./harness.ts";
import { P2p } from "./p2p.ts";
import { rounds } from "./rounds.ts";
import type { Section } from "./table.ts";

const MAX_SECONDS = 0.15;
const OURS = "**p2p --help**";
const THEIRS = "deno eval 0";

export async function startup(harness: Harness, options: Options): Promise<Section> {
  const count = options.quick ? 5 : 15;
  const p2p = await P2p.create(harness, options.program);
  const samples = await rounds(count, {
    [OURS]: () => p2p.help(),
    [THEIRS]: () => harness.run([Deno.execPath(), "eval", "0"]),
  });
  const title = `start, median of ${count}`;
  const limit = { seconds: MAX_SECONDS };
  return duel({ name: "startup", title, ours: OURS, theirs: THEIRS, samples, limit });
}
