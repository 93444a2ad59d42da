/** What one of ten who chat says, until the nine others are shown it: ten processes. */
import { Conversation } from "../fakes/conversation.ts";
import { Mesh } from "../fakes/mesh.ts";
import type { Harness, Options } from "./harness.ts";
import { rounds } from "./rounds.ts";
import { median, percentile } from "./statistics.ts";
import { atMost, type Section } from "./table.ts";

const OURS = "**p2p, a chat of ten**";
const MEMBERS = 10;
/** Lines that are said one after the other, and milliseconds between them. */
const SPOKEN = 100;
const PAUSE_MS = 100;
/** Lines of each member that are said at once. */
const BURST = 1_000;
const MAX_P99_MS = 50;

interface Figures {
  /** Milliseconds from typed to shown. */
  p50: number;
  p99: number;
  /** Lines shown per second, over all members, while all say all that they have. */
  shownPerSecond: number;
  /** Most memory that any of the members held, in MB (10^6 bytes). */
  resident: number;
}

export async function mesh({ signal }: Harness, options: Options): Promise<Section> {
  const count = options.quick ? 1 : 3;
  const samples = await rounds(count, { [OURS]: () => measured(options, signal) });
  const figures = samples[OURS]!;
  const middle = (of: (one: Figures) => number) => median(figures.map(of));
  const p99 = middle((one) => one.p99);
  const cells = [
    OURS,
    `${middle((one) => one.p50).toFixed(1)} ms`,
    `${p99.toFixed(1)} ms`,
    `${(Math.round(middle((one) => one.shownPerSecond) / 100) * 100).toLocaleString("en")} /s`,
    `${middle((one) => one.resident).toFixed(0)} MB`,
  ];
  return {
    name: "mesh",
    columns: [
      `a line until nine others are shown it, median of ${count}`,
      "p50",
      "p99",
      "lines shown, all at once",
      "resident",
    ],
    rows: [{ cells, ratio: "", targets: [atMost(p99, MAX_P99_MS, "p99 ≤ 50 ms")] }],
    samples,
  };
}

async function measured({ program }: Options, signal: AbortSignal): Promise<Figures> {
  const names = Array.from({ length: MEMBERS }, (_, index) => `member-${index}`);
  await using mesh = await Mesh.of(names, { program });
  const conversation = new Conversation(mesh.members);
  signal.throwIfAborted();
  const spoken = await conversation.inTurns(SPOKEN, PAUSE_MS);
  signal.throwIfAborted();
  const { latencies, seconds } = await conversation.allAtOnce(BURST);
  return {
    p50: percentile(spoken, 0.5),
    p99: percentile(spoken, 0.99),
    shownPerSecond: latencies.length / seconds,
    resident: Math.max(...mesh.members.map((member) => member.peakMemory())),
  };
}
