/** One try of a pair of NATs: two peers meet there by name, and what comes of it is judged. */
import type { Path } from "../../protocol/connection.ts";
import type { Meeting } from "../fakes/meeting.ts";
import type { NatLab } from "../fakes/nat_lab.ts";
import type { Program } from "../fakes/program.ts";
import { FIRST_DATA_WITHIN_MS, goalOf, type Pair, WITHIN_MS } from "./matrix.ts";

/** Milliseconds after the end of all attempts in which no datagram may be sent to the other side. */
export const QUIET_MS = 3_000;
/** Milliseconds that what is under way at the end of all attempts may take. */
const SETTLE_MS = 500;

/** What came of it. Times are milliseconds from the asker's start. */
export interface Trial {
  /** When something that the asker said had arrived. */
  firstData: number;
  /** The way that the bytes took in the end. */
  path: Path;
  /** When they took it. */
  settled: number;
  /** Why they stay with the relay, if that was told. */
  reason: string | undefined;
  /** Datagrams to the other side after that was told. */
  strays: number;
}

/** Somebody who asks, behind a NAT, and has got somewhere. */
export interface Conversation {
  trial: Trial;
  asker: Program;
  meeting: Meeting;
}

/** Has `a` ask for `b`, and waits for what the pair must reach. */
export async function converse(lab: NatLab, meeting: Meeting, pair: Pair): Promise<Conversation> {
  const goal = goalOf(pair);
  if (pair.verdict === "R") await lab.countStrays();
  const started = performance.now();
  const asker = meeting.ask();
  try {
    const [firstData, settled] = await Promise.all([
      meeting.listener.until("message").then(() => performance.now() - started),
      settle(asker, goal, started),
    ]);
    const strays = pair.verdict === "R" ? await straysFromNow(lab) : 0;
    return { trial: { firstData, ...settled, strays }, asker, meeting };
  } catch (error) {
    await asker[Symbol.asyncDispose]();
    throw error;
  }
}

/** What the pair did not reach, in words; empty if all is well. */
export function misses(pair: Pair, trial: Trial): string[] {
  const { firstData, path, settled, reason, strays } = trial;
  const goal = goalOf(pair);
  const within = WITHIN_MS[pair.verdict];
  const found: string[] = [];
  const check = (holds: boolean, text: string) => {
    if (!holds) found.push(text);
  };
  check(firstData <= FIRST_DATA_WITHIN_MS, `first data after ${firstData.toFixed(0)} ms`);
  if (goal.length === 0) {
    check(path === "relayed", `${path}: it was thought to be impossible`);
    check(reason !== undefined, "no word on why the bytes stay with the relay");
    check(strays === 0, `${strays} datagrams to the other side after all attempts were over`);
  } else {
    check(goal.includes(path), `${path}, not ${goal.join(" or ")}${reason ? `: ${reason}` : ""}`);
  }
  check(settled <= within, `that after ${settled.toFixed(0)} ms, not within ${within}`);
  return found;
}

type Settled = Pick<Trial, "path" | "settled" | "reason">;

/** Says something as soon as it is connected; resolves on the way wanted, or when there is none. */
async function settle(asker: Program, goal: readonly Path[], started: number): Promise<Settled> {
  const { path: first } = await asker.until("connected");
  let path: Path = first;
  await asker.write("can you hear me?\n");
  const settled = (reason?: string) => ({ path, settled: performance.now() - started, reason });
  if (goal.includes(path)) return settled();
  for await (const event of asker) {
    if (event.event === "relayed") return settled(event.reason);
    if (event.event !== "path" && event.event !== "back") continue;
    path = event.path;
    if (goal.includes(path)) return settled();
  }
  throw new Error("It ended");
}

/** That nothing is sent shows only with time. */
async function straysFromNow(lab: NatLab): Promise<number> {
  await milliseconds(SETTLE_MS);
  const before = await lab.strays();
  await milliseconds(QUIET_MS);
  return await lab.strays() - before;
}

function milliseconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count));
}
