/** A file straight through two NATs beside QUIC alone, and how soon the first byte goes straight. */
import { LabProcess } from "../fakes/lab_process.ts";
import { Meeting, untilPath } from "../fakes/meeting.ts";
import { NatLab, noNatLab } from "../fakes/nat_lab.ts";
import type { Program } from "../fakes/program.ts";
import { type Introduction, timeIntroduction } from "../natlab/introduction.ts";
import { assertSameBytes } from "../heavy/same_bytes.ts";
import { type Harness, note, type Options, secondsSince } from "./harness.ts";
import type { RawFigures } from "./punched/raw_quic.ts";
import { rounds } from "./rounds.ts";
import { median, medianRatio } from "./statistics.ts";
import { atLeast, atMost, type Row, type Section } from "./table.ts";

const MIN_OF_RAW_QUIC = 0.8;
const INTRODUCTIONS = 9;
/** Milliseconds one way, and what an introduction may take beside three round trips. */
const DELAY_MS = 40;
const INTRODUCTION_MS = 150;
/** The usual home routers, which keep ports. */
const HOME = "port-restricted";
const RAW_PORT = 4433;
const OURS = "**p2p, /send in a chat**";
const RAW = "Deno QUIC, nothing else";
/** What limits the speed: this machine alone, which is both sides and both NATs, or a line besides. */
const LINES: Readonly<Record<string, string[]>> = {
  "": [],
  " over 1 Gbit/s": ["--rate", "1000"],
};

const SIDES = ["sender", "receiver"] as const;

/** A file carried: for either side, what it took from the first byte until all was on the disk. */
interface Carried {
  seconds: number;
  cpu: { sender: number; receiver: number };
}

export async function punched(_: Harness, options: Options): Promise<Section> {
  const mebibytes = options.quick ? 128 : 512;
  const count = options.quick ? 1 : 5;
  const columns = [`${mebibytes} MiB through two NATs, median of ${count}`, "figure"];
  columns.push("CPU sender / receiver");
  const reason = noNatLab();
  if (reason !== undefined) {
    note(`SKIPPED: punched: ${reason}`);
    const row = { cells: [`not measured: ${reason}`, "", ""], ratio: "", targets: [] };
    return { name: "punched", columns, rows: [row], samples: {} };
  }
  const rows: Row[] = [];
  const samples: Record<string, Carried[] | Introduction[]> = {};
  for (const [line, lab] of Object.entries(LINES)) {
    const carried = await carryBoth(options, { mebibytes, count, line, lab });
    rows.push(...carriedRows(mebibytes, carried, line));
    Object.assign(samples, carried);
  }
  samples.introductions = await introduce(options);
  rows.push(introductionRow(samples.introductions));
  return { name: "punched", columns, rows, samples };
}

async function carryBoth(
  options: Options,
  how: { mebibytes: number; count: number; line: string; lab: string[] },
): Promise<Record<string, Carried[]>> {
  const { mebibytes, count, line } = how;
  await using lab = await NatLab.up(HOME, HOME, ...how.lab);
  await using meeting = await Meeting.open(lab, options);
  await meeting.makeFilm(mebibytes * 2 ** 20);
  return await rounds(count, {
    [OURS + line]: () => carryOurs(meeting),
    [RAW + line]: () => carryRaw(lab, meeting),
  });
}

async function carryOurs(meeting: Meeting): Promise<Carried> {
  await using chat = meeting.ask();
  await Promise.all([untilPath(chat, ["punched"]), untilPath(meeting.listener, ["punched"])]);
  const sides = [chat, meeting.listener];
  const before = await Promise.all(sides.map(cpuOf));
  const started = performance.now();
  await meeting.offerFilm(chat);
  await meeting.listener.until("received");
  const seconds = secondsSince(started);
  const after = await Promise.all(sides.map(cpuOf));
  const [sender, receiver] = after.map((cpu, side) => cpu - before[side]!);
  await meeting.filmIsSame();
  await chat.endInput();
  await chat.finished();
  return { seconds, cpu: { sender: sender!, receiver: receiver! } };
}

/** Seconds of user and system time that a program has used. */
async function cpuOf({ pid }: Program): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  // Behind the command's name, which may hold blanks; in hundredths (proc(5), 14 and 15).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function carryRaw(
  lab: NatLab,
  { film, folder }: Meeting,
): Promise<Carried> {
  const arrived = folder.join("raw.mkv");
  const publicPort = async (host: "a" | "b") => {
    return `${await lab.address(host, "public")}:${RAW_PORT}`;
  };
  await using sender = raw(lab, "a", ["send", await publicPort("b"), film]);
  await sender.until(([ready]) => ready, "ready");
  await using receiver = raw(lab, "b", ["receive", await publicPort("a"), arrived]);
  const [sent, received] = await Promise.all([
    sender.until(([, figures]) => figures, "figures"),
    receiver.until(([figures]) => figures, "figures"),
  ]);
  const figures: RawFigures[] = [JSON.parse(sent), JSON.parse(received)];
  await assertSameBytes(arrived, film);
  await Deno.remove(arrived);
  return {
    seconds: figures[0]!.seconds,
    cpu: { sender: figures[0]!.cpu, receiver: figures[1]!.cpu },
  };
}

function raw(lab: NatLab, host: "a" | "b", [role, peer, path]: string[]): LabProcess {
  const script = `${import.meta.dirname}/punched/raw_quic.ts`;
  const command = [Deno.execPath(), "run", "-A", "--no-check", script];
  return new LabProcess(lab, host, [...command, role!, String(RAW_PORT), peer!, path!]);
}

async function introduce(options: Options): Promise<Introduction[]> {
  await using lab = await NatLab.up(HOME, HOME, "--delay", String(DELAY_MS));
  await using meeting = await Meeting.open(lab, options);
  const introductions: Introduction[] = [];
  for (let count = 0; count < INTRODUCTIONS; count++) {
    note(`introduction ${count + 1} of ${INTRODUCTIONS}`);
    introductions.push(await timeIntroduction(lab, meeting));
  }
  return introductions;
}

function carriedRows(
  mebibytes: number,
  samples: Record<string, Carried[]>,
  line: string,
): Row[] {
  const [ours, theirs] = [samples[OURS + line]!, samples[RAW + line]!];
  const share = speedOf(ours, theirs);
  const target = atLeast(share, MIN_OF_RAW_QUIC, `speed ≥ ${MIN_OF_RAW_QUIC} of QUIC alone`);
  const ratio = `speed ${share.toFixed(2)}; CPU ${cpuRatios(ours, theirs)}`;
  return [
    { cells: measures(OURS + line, mebibytes, ours), ratio: "", targets: [target] },
    { cells: measures(RAW + line, mebibytes, theirs), ratio, targets: [] },
  ];
}

/** How many times as fast. */
function speedOf(ours: Carried[], theirs: Carried[]): number {
  const seconds = (each: Carried[]) => each.map(({ seconds }) => seconds);
  return 1 / medianRatio(seconds(ours), seconds(theirs));
}

function cpuRatios(ours: Carried[], theirs: Carried[]): string {
  return SIDES.map((side) =>
    medianRatio(ours.map(({ cpu }) => cpu[side]), theirs.map(({ cpu }) => cpu[side])).toFixed(2)
  ).join(" / ");
}

function measures(name: string, mebibytes: number, carried: Carried[]): string[] {
  const speed = mebibytes * 2 ** 20 / median(carried.map(({ seconds }) => seconds)) / 1e6;
  const cpu = SIDES.map((side) => median(carried.map(({ cpu }) => cpu[side])).toFixed(2));
  return [name, `${speed.toFixed(0)} MB/s`, `${cpu.join(" / ")} s`];
}

function introductionRow(introductions: Introduction[]): Row {
  const first = median(introductions.map(({ firstByte }) => firstByte));
  const trip = median(introductions.map(({ roundTrip }) => roundTrip));
  const text = `≤ 3 round trips + ${INTRODUCTION_MS} ms`;
  return {
    cells: [
      `introduction to first byte, ${DELAY_MS} ms one way, median of ${INTRODUCTIONS}`,
      `${first.toFixed(0)} ms, round trip ${trip.toFixed(0)} ms`,
      "",
    ],
    ratio: "",
    targets: [atMost(first, 3 * trip + INTRODUCTION_MS, text)],
  };
}
