/** The relay: how many it serves, in how much memory, and how fast a circuit is. */
import { RUN_FLAGS } from "../fakes/run_flags.ts";
import { type Child, type Harness, note, type Options } from "./harness.ts";
import type { CrowdFigures } from "./relay/crowd.ts";
import { rounds } from "./rounds.ts";
import { median, medianRatio } from "./statistics.ts";
import { atLeast, atMost, type Row, type Section } from "./table.ts";

const MAX_RESIDENT = 250;
const MAX_INTRODUCTION_MS = 50;
const MIN_OF_RAW_JOIN = 0.5;
const CIRCUITS = 200;
/** Limits for one address would keep a crowd out that comes from one machine. */
const UNLIMITED = [
  ...["--connections-per-address", "1000000", "--registrations-per-address", "1000000"],
  ...["--rate", "1000000", "--max-registrations", "1000000"],
];

interface Served<Figures> {
  figures: Figures;
  /** Peak MB of the relay while it served them. */
  resident: number;
}

export async function relay(harness: Harness, options: Options): Promise<Section> {
  const count = options.quick ? 1 : 3;
  const mebibytes = options.quick ? 256 : 1024;
  const tcp = options.quick ? 1_000 : 10_000;
  const udp = options.quick ? 10_000 : 100_000;
  const each = 5;
  const samples = await rounds(count, {
    tcp: () => served<CrowdFigures>(harness, options, ["crowd.ts", "control"], [tcp]),
    udp: () => served<{ seconds: number }>(harness, options, ["crowd.ts", "udp"], [udp]),
    many: () => circuits(harness, options, CIRCUITS, each),
    one: () => circuits(harness, options, 1, mebibytes),
    join: () => rawJoin(harness, mebibytes),
  });
  const rows = [
    crowdRow(`${toText(tcp)} peers registered over TCP`, samples.tcp as Served<CrowdFigures>[]),
    namesRow(`${toText(udp)} names registered over UDP`, samples.udp as Served<Seconds>[]),
    circuitsRow(
      `${CIRCUITS} circuits at once, ${each} MiB each`,
      samples.many as Served<Seconds>[],
    ),
    circuitRow(mebibytes, samples.one as Served<Seconds>[], samples.join as Served<Seconds>[]),
    speedRow("raw join of two connections", mebibytes, samples.join as Served<Seconds>[]),
  ];
  const columns = [`p2p relay, median of ${count}`, "figure", "resident"];
  return { name: "relay", columns, rows, samples };
}

interface Seconds {
  seconds: number;
}

/** Has a program do something to a relay of its own; the relay is weighed when that is done. */
async function served<Figures>(
  harness: Harness,
  options: Options,
  [program, ...words]: string[],
  numbers: number[],
): Promise<Served<Figures>> {
  const { child, address } = await startRelay(harness, options);
  const client = start(harness, program!, [...words, address, ...numbers.map(String)]);
  const figures = JSON.parse(await client.firstLine());
  const resident = await child.peak();
  client.kill();
  await child.stop();
  return { figures, resident };
}

function circuits(
  harness: Harness,
  options: Options,
  count: number,
  mebibytes: number,
): Promise<Served<Seconds>> {
  return served(harness, options, ["pipes.ts", "circuits"], [count, mebibytes]);
}

async function rawJoin(harness: Harness, mebibytes: number): Promise<Served<Seconds>> {
  const joiner = start(harness, "raw_join.ts", []);
  const client = start(harness, "pipes.ts", [
    "join",
    await joiner.firstLine(),
    "1",
    String(mebibytes),
  ]);
  const figures = JSON.parse(await client.firstLine());
  const resident = await joiner.peak();
  await joiner.stop();
  return { figures, resident };
}

async function startRelay(
  harness: Harness,
  options: Options,
): Promise<{ child: Child; address: string }> {
  const program = options.program ?? `${import.meta.dirname}/../../main.ts`;
  const words = ["relay", "--port", "0", "--host", "127.0.0.1", "--json", ...UNLIMITED];
  const child = harness.start([Deno.execPath(), "run", ...RUN_FLAGS, program, ...words], {
    env: {
      XDG_CONFIG_HOME: harness.path("relay-configuration"),
      XDG_DATA_HOME: harness.path("relay-data"),
    },
    stdout: "piped",
    server: true,
  });
  const event = await child.firstLine((line) => JSON.parse(line).event === "listening");
  return { child, address: JSON.parse(event).address };
}

function start(harness: Harness, program: string, words: string[]): Child {
  note(`${program} ${words.join(" ")}`);
  return harness.start(
    [Deno.execPath(), "run", "-A", `${import.meta.dirname}/relay/${program}`, ...words],
    { stdout: "piped", server: true },
  );
}

function crowdRow(name: string, samples: Served<CrowdFigures>[]): Row {
  const p50 = median(samples.map(({ figures }) => figures.introductionP50));
  const p99 = median(samples.map(({ figures }) => figures.introductionP99));
  const figure = `introduced in ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
  return {
    cells: [name, figure, megabytes(samples)],
    ratio: "",
    targets: [
      residentTarget(samples),
      atMost(p99, MAX_INTRODUCTION_MS, `p99 ≤ ${MAX_INTRODUCTION_MS} ms`),
    ],
  };
}

function namesRow(name: string, samples: Served<Seconds>[]): Row {
  const seconds = median(samples.map(({ figures }) => figures.seconds));
  return {
    cells: [name, `in ${seconds.toFixed(1)} s`, megabytes(samples)],
    ratio: "",
    targets: [residentTarget(samples)],
  };
}

function circuitsRow(name: string, samples: Served<Seconds>[]): Row {
  const seconds = median(samples.map(({ figures }) => figures.seconds));
  return {
    cells: [name, `in ${seconds.toFixed(2)} s`, megabytes(samples)],
    ratio: "",
    targets: [],
  };
}

function circuitRow(mebibytes: number, ours: Served<Seconds>[], raw: Served<Seconds>[]): Row {
  const row = speedRow(`one circuit, ${mebibytes} MiB`, mebibytes, ours);
  const seconds = (samples: Served<Seconds>[]) => samples.map(({ figures }) => figures.seconds);
  const share = 1 / medianRatio(seconds(ours), seconds(raw));
  return {
    ...row,
    ratio: `speed ${share.toFixed(2)} of the raw join`,
    targets: [atLeast(share, MIN_OF_RAW_JOIN, `speed ≥ ${MIN_OF_RAW_JOIN} of the raw join`)],
  };
}

function speedRow(name: string, mebibytes: number, samples: Served<Seconds>[]): Row {
  const seconds = median(samples.map(({ figures }) => figures.seconds));
  const speed = mebibytes * 2 ** 20 / seconds / 1e9;
  return { cells: [name, `${speed.toFixed(2)} GB/s`, megabytes(samples)], ratio: "", targets: [] };
}

function residentTarget(samples: Served<unknown>[]) {
  const most = Math.max(...samples.map(({ resident }) => resident));
  return atMost(most, MAX_RESIDENT, `≤ ${MAX_RESIDENT} MB, ever`);
}

function megabytes(samples: Served<unknown>[]): string {
  return `${median(samples.map(({ resident }) => resident)).toFixed(0)} MB`;
}

function toText(count: number): string {
  return count.toLocaleString("en");
}
