/** Messages of 64 bytes, as chat sends them, between two processes over loopback. */
import { RUN_FLAGS } from "../fakes/run_flags.ts";
import type { Harness, Options } from "./harness.ts";
import type { Figures } from "./message_pair.ts";
import { rounds } from "./rounds.ts";
import { median, medianRatio } from "./statistics.ts";
import { atLeast, atMost, type Section, type Target } from "./table.ts";

const OURS = "**p2p session**";
const THEIRS = "Deno plain TCP";
/** Programs built on `message_pair.ts`, by what they show. */
const PAIRS = { [OURS]: "session_messages.ts", [THEIRS]: "plain_messages.ts" };

const MAX_ROUND_TRIP_MS = 0.12;
const MIN_PER_SECOND = 100_000;
const MAX_FURTHER_SESSION_MS = 10;

export async function messages(harness: Harness, options: Options): Promise<Section> {
  const count = options.quick ? 3 : 5;
  const trips = options.quick ? 5_000 : 20_000;
  const subjects = Object.entries(PAIRS).map(([name, file]) => {
    return [name, () => measured(harness, `${import.meta.dirname}/${file}`, trips)] as const;
  });
  const samples = await rounds(count, Object.fromEntries(subjects));
  const columns = [`64-byte messages between two processes, median of ${count}`];
  columns.push("round trip p50", "p99", "one way", "further session");
  const rows = Object.entries(samples).map(([name, figures]) => {
    const ours = name === OURS;
    const ratio = ours ? "" : ratioTo(samples[OURS]!, figures);
    return { cells: cells(name, figures), ratio, targets: ours ? targets(figures) : [] };
  });
  return { name: "messages", columns, rows, samples };
}

async function measured(harness: Harness, program: string, trips: number): Promise<Figures> {
  const command = [Deno.execPath(), "run", ...RUN_FLAGS, program];
  const env = {
    XDG_CONFIG_HOME: harness.path("messages-configuration"),
    XDG_DATA_HOME: harness.path("messages-data"),
  };
  const server = harness.start([...command, "serve"], { server: true, stdout: "piped", env });
  const address = await server.firstLine();
  const client = harness.start([...command, "measure", address, String(trips)], {
    stdout: "piped",
    env,
  });
  const figures = JSON.parse(await client.firstLine());
  await client.finished();
  await server.stop();
  return figures;
}

function middle(figures: Figures[], of: (figures: Figures) => number): number {
  return median(figures.map(of));
}

function targets(ours: Figures[]): Target[] {
  return [
    atMost(middle(ours, (one) => one.roundTripP50), MAX_ROUND_TRIP_MS, "p50 ≤ 0.12 ms"),
    atLeast(middle(ours, (one) => one.messagesPerSecond), MIN_PER_SECOND, "≥ 100,000 /s"),
    atMost(middle(ours, (one) => one.furtherSession), MAX_FURTHER_SESSION_MS, "session ≤ 10 ms"),
  ];
}

function ratioTo(ours: Figures[], theirs: Figures[]): string {
  const ratio = medianRatio(
    ours.map((one) => one.roundTripP50),
    theirs.map((one) => one.roundTripP50),
  );
  return `p50 ${ratio.toFixed(2)}`;
}

function cells(name: string, figures: Figures[]): string[] {
  return [
    name,
    `${middle(figures, (one) => one.roundTripP50).toFixed(3)} ms`,
    `${middle(figures, (one) => one.roundTripP99).toFixed(3)} ms`,
    `${toThousands(middle(figures, (one) => one.messagesPerSecond))} /s`,
    `${middle(figures, (one) => one.furtherSession).toFixed(2)} ms`,
  ];
}

/** "1,240,000": further digits would only be chance. */
function toThousands(count: number): string {
  return (Math.round(count / 1000) * 1000).toLocaleString("en");
}
