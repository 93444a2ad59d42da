/**
 * The long list for peers behind NATs: every pair of the matrix, several times, with and without a
 * line that is slow and loses packets. Prints a Markdown table; needs root and the NAT laboratory.
 *
 *   1  something said arrives within 2 s, always
 *   2  D, L, S, T: straight in time, on the right path
 *   3  P: straight in time, and data flows meanwhile
 *   4  R: stays relayed, says so, and sends nothing to the other side any more
 *   5  a straight path outlives 30 s of silence where NATs remember for 10 s
 *   6  a straight path that goes silent: all goes on through the relay, and nothing is lost; some
 *      time after it is there again the bytes are back on it
 */
import { parseArgs } from "node:util";
import { median } from "../bench/statistics.ts";
import { Meeting, pathsOf, untilPath } from "../fakes/meeting.ts";
import { NatLab, noNatLab } from "../fakes/nat_lab.ts";
import type { Program } from "../fakes/program.ts";
import { describePair, type Pair, PAIRS } from "./matrix.ts";
import { sideBySide } from "./side_by_side.ts";
import { type Conversation, converse, misses, type Trial } from "./trial.ts";

/** What a NAT forgets after, and how long nothing is said. */
const UDP_TIMEOUT_S = 10;
const IDLE_MS = 30_000;
/** Milliseconds after which a straight path that was silent must have been found again. */
const BACK_WITHIN_MS = 130_000;
/** Lines said around the moment in which the straight path goes silent. */
const LINES = 40;
const RUNS = 5;
const P_RUNS = 10;
const CONDITIONS: Readonly<Record<string, string[]>> = {
  "no delay": [],
  "40 ms, 5 % lost": ["--delay", "40", "--loss", "5"],
};

const USAGE = `Usage: deno task nat [OPTIONS]

  --pair PAIR          "ASKER to TARGET", as the table has it; may be repeated
                       (default: all)
  --runs N             runs of each pair (default: ${RUNS}; ${P_RUNS} where many ports are tried)
  --condition NAME     one of: ${Object.keys(CONDITIONS).join("; ")}
  --width N            laboratories at once (default: 3)
  --short              points 1 to 4 only: without the silence, and the cut
  --help               this text

The exit code is 1 if something was missed. All of it takes hours.

Example: deno task nat --pair 'port-restricted to symmetric' --runs 20 --short`;

/** One run: what came of it, and what was missed. */
interface Run {
  trial?: Trial;
  missed: string[];
}

/** All runs of a pair under one condition. */
interface Row {
  pair: Pair;
  condition: string;
  runs: Run[];
}

if (import.meta.main) Deno.exit(await main(Deno.args));

async function main(words: string[]): Promise<number> {
  const options = parseWords(words);
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  const reason = noNatLab();
  if (reason !== undefined) usageError(`No laboratory: ${reason}`);
  const rows = plan(options);
  Deno.addSignalListener("SIGINT", () => NatLab.downAll().then(() => Deno.exit(130)));
  const jobs = rows.flatMap((row) => Array.from({ length: runsOf(row, options) }, () => row));
  await sideBySide(jobs, Number(options.width), async (row) => {
    const run = await attempt(row, options.short);
    row.runs.push(run);
    console.error(
      `${describePair(row.pair)}, ${row.condition}: ${run.missed.join("; ") || "well"}`,
    );
  });
  console.log(table(rows));
  return rows.every(({ runs }) => runs.every(({ missed }) => missed.length === 0)) ? 0 : 1;
}

function parseWords(words: string[]) {
  try {
    const { values } = parseArgs({
      args: words,
      options: {
        pair: { type: "string", multiple: true },
        runs: { type: "string" },
        condition: { type: "string", multiple: true },
        width: { type: "string", default: "3" },
        short: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    return values;
  } catch (error) {
    return usageError((error as Error).message);
  }
}

type Options = ReturnType<typeof parseWords>;

function plan({ pair: wanted, condition }: Options): Row[] {
  const conditions = condition ?? Object.keys(CONDITIONS);
  const strange = conditions.find((name) => !Object.hasOwn(CONDITIONS, name));
  if (strange !== undefined) usageError(`${strange}: not a condition`);
  const pairs = wanted ? wanted.map(findPair) : PAIRS;
  return pairs.flatMap((pair) => conditions.map((condition) => ({ pair, condition, runs: [] })));
}

function findPair(text: string): Pair {
  const found = PAIRS.find((pair) => describePair(pair).startsWith(`${text} (`));
  return found ?? usageError(`${text}: not a pair of the matrix`);
}

function runsOf({ pair }: Row, { runs }: Options): number {
  return Number(runs ?? (pair.verdict === "P" ? P_RUNS : RUNS));
}

async function attempt({ pair, condition }: Row, short: boolean): Promise<Run> {
  try {
    const options = ["--udp-timeout", String(UDP_TIMEOUT_S), ...CONDITIONS[condition]!];
    options.push(...pair.options ?? []);
    await using lab = await NatLab.up(pair.asker, pair.target, ...options);
    await using meeting = await Meeting.open(lab);
    const conversation = await converse(lab, meeting, pair);
    await using _ = conversation.asker;
    const { trial } = conversation;
    const missed = misses(pair, trial);
    if (!short && missed.length === 0 && trial.path !== "relayed") {
      missed.push(...await outlivesSilence(conversation));
      // What two behind one NAT say does not come by where it is cut.
      if (pair.asker !== "same-lan") missed.push(...await outlivesCut(lab, conversation));
    }
    return { trial, missed };
  } catch (error) {
    return { missed: [firstLine(error)] };
  }
}

/** What went wrong first, where ending all went wrong, too. */
function firstLine(error: unknown): string {
  const first = error instanceof SuppressedError ? error.suppressed : error;
  return (first as Error).message.split("\n", 1)[0]!;
}

/** Point 5. */
async function outlivesSilence({ asker, meeting }: Conversation): Promise<string[]> {
  const before = [pathsOf(asker), pathsOf(meeting.listener)].join();
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  await asker.write("still there?\n");
  await heard(meeting.listener, "still there?");
  const after = [pathsOf(asker), pathsOf(meeting.listener)].join();
  return after === before ? [] : [`silence: ${pathsOf(asker)}`];
}

/** Point 6. */
async function outlivesCut(
  lab: NatLab,
  { asker, meeting }: Conversation,
): Promise<string[]> {
  const lines = Array.from({ length: LINES }, (_, index) => `line ${index}`);
  for (const line of lines.slice(0, LINES / 2)) await asker.write(`${line}\n`);
  await lab.cut();
  for (const line of lines.slice(LINES / 2)) await asker.write(`${line}\n`);
  await untilPath(asker, ["relayed"]);
  await heard(meeting.listener, lines.at(-1)!);
  const messages = meeting.listener.events.filter(({ event }) => event === "message");
  const arrived = messages.map(({ text }) => text).filter((text) => text.startsWith("line "));
  if (arrived.join() !== lines.join()) return [`cut: ${arrived.length} of ${LINES} lines`];
  await lab.mend();
  await untilPath(asker, ["direct", "punched"], BACK_WITHIN_MS);
  return [];
}

async function heard(listener: Program, text: string): Promise<void> {
  await listener.until("message", (event) => event.text === text);
}

function table(rows: Row[]): string {
  const head = ["pair", "line", "runs", "paths", "first data, ms", "there after, ms", "verdict"];
  const lines = [head, head.map(() => "---"), ...rows.map(toCells)];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Times are the median and the worst. */
function toCells({ pair, condition, runs }: Row): string[] {
  const trials = runs.flatMap(({ trial }) => trial ?? []);
  const times = (of: (trial: Trial) => number) => {
    if (trials.length === 0) return "";
    const values = trials.map(of);
    return `${median(values).toFixed(0)} / ${Math.max(...values).toFixed(0)}`;
  };
  const missed = runs.filter((run) => run.missed.length > 0);
  const faults = [...new Set(missed.flatMap((run) => run.missed))];
  return [
    describePair(pair),
    condition,
    String(runs.length),
    [...new Set(trials.map(({ path }) => path))].join(", "),
    times(({ firstData }) => firstData),
    times(({ settled }) => settled),
    missed.length === 0 ? "well" : `MISSED in ${missed.length}: ${faults.join("; ")}`,
  ];
}

function usageError(message: string): never {
  console.error(`${message}\n\n${USAGE}`);
  Deno.exit(2);
}
