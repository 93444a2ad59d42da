/**
 * Members on machines of their own whose network is cut at random, and which are killed and started
 * again at random, while all talk. P2P_SEED repeats a run.
 */
import { assertEquals } from "@std/assert";
import { assertOnceInOrder, numberedLine } from "../../fakes/mesh.ts";
import { type Cut, type MeshLab, meshTest } from "../../fakes/mesh_lab.ts";
import { MeshMember } from "../../fakes/mesh_member.ts";
import { mulberry32 } from "../mulberry32.ts";

const NAMES = ["ada", "ben", "cleo", "dora", "emil", "fay"];
const PORT = 7000;
/** Milliseconds in which all have what was said meanwhile, once all reach all again. */
const HEALED_WITHIN_MS = 100_000;
/** Milliseconds between two lines of one member, on average. */
const TALK_MS = 150;
/**
 * Milliseconds before its end within which a member that is killed may have stored lines that it
 * had no time left to show.
 */
const UNSHOWN_MS = 250;

interface Chaos {
  names: string[];
  durationMs: number;
  /** Milliseconds from one thing that happens to the next, at least and at most. */
  calmMs: [number, number];
}

function chaosTest(name: string, chaos: Chaos): void {
  meshTest(name, chaos.names.length, async (lab) => {
    const seed = Number(Deno.env.get("P2P_SEED") ?? Date.now() % 1e9);
    console.log(`P2P_SEED=${seed}`);
    await using storm = new Storm(lab, chaos, seed);
    await storm.begin();
    await storm.rage();
    await storm.end();
    storm.check();
  });
}

chaosTest("four members are cut off, held up and killed for fifteen seconds, and lose nothing", {
  names: NAMES.slice(0, 4),
  durationMs: 15_000,
  calmMs: [1_000, 3_000],
});

chaosTest("six members are cut off, held up and killed for two minutes, and lose nothing", {
  names: NAMES,
  durationMs: 120_000,
  calmMs: [500, 6_000],
});

class Storm implements AsyncDisposable {
  readonly #lab: MeshLab;
  readonly #chaos: Chaos;
  /** For what happens, and for when somebody talks: the one does not depend on the other. */
  readonly #random: () => number;
  readonly #randomPause: () => number;
  readonly #members: MeshMember[];
  readonly #stack = new AsyncDisposableStack();
  /** How many lines each member has said, by member and run. */
  readonly #said = new Map<string, number>();
  /** When members were killed. */
  readonly #kills: { member: MeshMember; run: number; at: number }[] = [];
  readonly #log: string[] = [];
  #paused: MeshMember | undefined;
  #began = 0;

  constructor(lab: MeshLab, chaos: Chaos, seed: number) {
    this.#lab = lab;
    this.#chaos = chaos;
    this.#random = mulberry32(seed);
    this.#randomPause = mulberry32(seed + 1);
    this.#members = chaos.names.map((name, index) => {
      return this.#stack.use(new MeshMember(name, { before: lab.on(index + 1) }));
    });
  }

  /** Starts all, and waits until all have links with all. */
  async begin(): Promise<void> {
    const [first, ...others] = this.#members;
    await this.#start(first!);
    const peer = `${this.#lab.address(1)}:${PORT}`;
    await Promise.all(others.map((member) => this.#start(member, "--peer", peer)));
    await Promise.all(this.#members.map((member) => member.linkedWith(others.length)));
  }

  /** All talk, and things happen. */
  async rage(): Promise<void> {
    const { durationMs, calmMs: [least, most] } = this.#chaos;
    const over = new AbortController();
    this.#began = performance.now();
    const talks = this.#members.map((member) => this.#talk(member, over.signal));
    while (this.#now() < durationMs) {
      await pause(least + this.#random() * (most - least));
      await this.#happen();
    }
    over.abort();
    await Promise.all(talks);
  }

  /** All run, all reach all, and all have everything. */
  async end(): Promise<void> {
    this.#resume();
    await this.#heal();
    await Promise.all(this.#members.map((member) => member.running || this.#restart(member)));
    console.log(this.#log.join("\n"));
    const healed = performance.now();
    await Promise.all(this.#members.map((member) => this.#say(member)));
    await Promise.all(this.#members.map((member) => this.#hearsLast(member)));
    await this.#complete(healed + HEALED_WITHIN_MS);
    const lines = this.#members.map(({ heard }) => heard.length);
    console.log(`Complete ${seconds(healed)} after it was over: ${lines} lines`);
  }

  check(): void {
    for (const member of this.#members) assertOnceInOrder(member);
    for (const author of this.#members) {
      const others = this.#members.filter((member) => member !== author);
      for (let run = 1; run <= author.runs; run++) this.#checkRun(author, run, others);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** What one member said in one run came without a gap, and to the end if it was not killed. */
  #checkRun(author: MeshMember, run: number, others: MeshMember[]): void {
    const log = `${author.name} ${run}`;
    const shown = new Set(others.flatMap((other) => numbersOf(other, log)));
    const last = Math.max(0, ...shown);
    assertEquals(shown.size, last, `${log}: lines up to ${last} were shown, some to nobody`);
    if (run === author.runs) assertEquals(last, this.#said.get(log) ?? 0, `${log} is not whole`);
  }

  /** Whether a member was killed when it was just about to show this line. */
  #diedWith(member: MeshMember, text: string): boolean {
    const shownAt = this.#members.flatMap(({ heard }) =>
      heard.filter((each) => each.text === text).map(({ at }) => at)
    );
    return this.#kills.some((kill) =>
      kill.member === member && shownAt.some((at) => Math.abs(kill.at - at) < UNSHOWN_MS)
    );
  }

  async #happen(): Promise<void> {
    this.#resume();
    const running = this.#members.filter((member) => member.running);
    const killed = this.#members.filter((member) => !member.running);
    const draw = this.#random();
    if (draw < 0.3) await this.#partition();
    else if (draw < 0.5) await this.#heal();
    else if (draw < 0.6) this.#pause(this.#pick(running));
    else if (draw < 0.8 && running.length > 2) await this.#kill(this.#pick(running));
    else if (killed.length > 0) await this.#restart(this.#pick(killed));
    else await this.#heal();
  }

  /** It stands still until the next thing happens. */
  #pause(member: MeshMember): void {
    this.#note(`pause ${member.name}`);
    this.#paused = member;
    member.pause();
  }

  #resume(): void {
    this.#paused?.resume();
    this.#paused = undefined;
  }

  async #partition(): Promise<void> {
    const groups: number[][] = [[], [], []];
    const count = this.#random() < 0.7 ? 2 : 3;
    this.#members.forEach((_, index) => {
      groups[Math.floor(this.#random() * count)]!.push(index + 1);
    });
    const how: Cut = this.#random() < 0.5 ? "drop" : "reject with tcp reset";
    const there = groups.filter((group) => group.length > 0);
    this.#note(`${how}: ${there.map((group) => group.join(" ")).join(" | ")}`);
    await this.#lab.partition(there, how);
  }

  async #heal(): Promise<void> {
    this.#note("heal");
    await this.#lab.heal();
  }

  async #kill(member: MeshMember): Promise<void> {
    this.#note(`kill ${member.name}`);
    this.#kills.push({ member, run: member.runs, at: performance.now() });
    await member.kill();
  }

  async #restart(member: MeshMember): Promise<void> {
    this.#note(`restart ${member.name}`);
    await this.#start(member, "--rejoin");
  }

  async #start(member: MeshMember, ...flags: string[]): Promise<void> {
    const from = member.events.length;
    member.start("listen", "--port", String(PORT), ...flags);
    await member.event("listening", undefined, { from });
  }

  async #talk(member: MeshMember, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(this.#randomPause() * 2 * TALK_MS);
      if (member.running) await this.#say(member);
    }
  }

  /** A process that is killed meanwhile may not read it any more. */
  async #say(member: MeshMember): Promise<void> {
    const log = `${member.name} ${member.runs}`;
    const number = 1 + (this.#said.get(log) ?? 0);
    this.#said.set(log, number);
    await member.say(numberedLine(member, number)).catch(() => {});
  }

  /** Waits until a member has the last line of every other. */
  async #hearsLast(member: MeshMember): Promise<void> {
    for (const author of this.#members) {
      if (author === member) continue;
      const log = `${author.name} ${author.runs}`;
      await member.hears(`${log} ${this.#said.get(log)}`, HEALED_WITHIN_MS);
    }
  }

  /** Waits until all have all that any has, also of runs before the last. */
  async #complete(deadline: number): Promise<void> {
    for (;;) {
      const all = new Set(this.#members.flatMap(({ heard }) => heard.map(({ text }) => text)));
      const lacking = this.#members.map((member) => this.#lacking(member, all));
      if (lacking.every((texts) => texts.length === 0)) return;
      await Promise.all(this.#members.map(async (member, index) => {
        const texts = lacking[index]!;
        const wanted = `${texts.length} more lines, one of them "${texts[0]}"`;
        await member.until(
          () => texts.every((text) => member.has(text)),
          wanted,
          deadline - performance.now(),
        );
      }));
    }
  }

  /** What a member was not shown of these, though it could have been. */
  #lacking(member: MeshMember, texts: Iterable<string>): string[] {
    return [...texts].filter((text) => {
      return !text.startsWith(`${member.name} `) && !member.has(text) &&
        !this.#diedWith(member, text);
    });
  }

  #pick(members: MeshMember[]): MeshMember {
    return members[Math.floor(this.#random() * members.length)]!;
  }

  #note(what: string): void {
    this.#log.push(`${(this.#now() / 1_000).toFixed(1)} s: ${what}`);
  }

  #now(): number {
    return performance.now() - this.#began;
  }
}

/** The numbers of the lines of a log that a member was shown. */
function numbersOf(member: MeshMember, log: string): number[] {
  return member.heard.filter(({ text }) => text.startsWith(`${log} `))
    .map(({ text }) => Number(text.slice(log.length + 1)));
}

/** Part of what happens, not a wait for anything. */
async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1_000).toFixed(1)} s`;
}
