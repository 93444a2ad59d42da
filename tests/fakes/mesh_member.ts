/**
 * A member of a mesh as its user runs it: a process with settings, data and a port of its own, that
 * may be killed and started again with the same. All its runs together are what its user has seen.
 */
import { type Finished, Program, type ProgramEvent } from "./program.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** Milliseconds after which what a test waits for will not come any more. */
const DEADLINE_MS = 30_000;
/** Events that a failure shows. */
const SHOWN_EVENTS = 12;
/** Characters of standard error that a failure shows. */
const SHOWN_CHARACTERS = 2_000;

/** A line that a member was shown. */
export interface Heard {
  from: string;
  text: string;
  /** What the program calls it by: once only, whoever asks. */
  id: string | undefined;
  /** When its event was read here, by `performance.now()`. */
  at: number;
  /** In which run of the member, from 0 on. */
  run: number;
  private: boolean;
  late: boolean;
}

export interface MeshMemberOptions {
  /** What stands before the program: `["ip", "netns", "exec", …]`. */
  before?: readonly string[];
  /** The `main.ts` to run instead of this project's. */
  program?: string | undefined;
  /** Another program of the same user: it has the same settings and the same data. */
  sharesWith?: MeshMember;
}

export class MeshMember implements AsyncDisposable {
  readonly name: string;
  /** The lines that it was shown, in all of its runs, in this order. */
  readonly heard: Heard[] = [];
  /** All its other events, of all of its runs. */
  readonly events: ProgramEvent[] = [];
  readonly #options: MeshMemberOptions;
  readonly #folder: TemporaryFolder;
  /** Those whom it is connected with, as it shows them. */
  readonly #linked = new Set<string>();
  readonly #texts = new Set<string>();
  #program: Program | undefined;
  #address: string | undefined;
  #runs = 0;
  #changed = Promise.withResolvers<void>();

  constructor(name: string, options: MeshMemberOptions = {}) {
    this.name = name;
    this.#options = options;
    this.#folder = options.sharesWith ? options.sharesWith.#folder : new TemporaryFolder();
  }

  /** Starts it: a command with its flags; `--name` and `--json` go without saying. */
  start(...words: string[]): void {
    if (this.#program) throw new Error(`${this.name} runs already`);
    this.#linked.clear();
    this.#runs++;
    this.#program = Program.start([...words, "--name", this.name, "--json"], {
      ...this.#options,
      config: this.#folder.join("config"),
      data: this.#folder.join("data"),
      onLine: (line) => this.#take(JSON.parse(line)),
    });
  }

  /** Starts it so that it waits on a port of loopback, always the same; resolves to its address. */
  async listen(...flags: string[]): Promise<string> {
    const from = this.events.length;
    const port = this.#address?.split(":")[1] ?? "0";
    this.start("listen", "--host", "127.0.0.1", "--port", port, ...flags);
    this.#address = (await this.event("listening", undefined, { from })).address;
    return this.#address!;
  }

  /** Where it listens, once `listen` has resolved. */
  get address(): string {
    if (this.#address === undefined) throw new Error(`${this.name} does not listen`);
    return this.#address;
  }

  /** How often it was started. */
  get runs(): number {
    return this.#runs;
  }

  get running(): boolean {
    return this.#program !== undefined;
  }

  /** The names, as it shows them, of those whom it is connected with. */
  get linked(): ReadonlySet<string> {
    return this.#linked;
  }

  /** What it has said to its user beside the events, in its present run. */
  get stderr(): string {
    return this.#running.stderr.text;
  }

  get pid(): number {
    return this.#running.pid;
  }

  /** Whether it was shown a line with this text. */
  has(text: string): boolean {
    return this.#texts.has(text);
  }

  /** Types lines. */
  async say(...lines: string[]): Promise<void> {
    await this.#running.write(lines.map((line) => `${line}\n`).join(""));
  }

  /** Waits until it was shown a line with this text. */
  async hears(text: string, deadlineMs?: number): Promise<void> {
    await this.until(() => this.has(text), `the line "${text}"`, deadlineMs);
  }

  /** Waits until it is connected with so many. */
  async linkedWith(count: number, deadlineMs?: number): Promise<void> {
    await this.until(() => this.#linked.size === count, `links with ${count}`, deadlineMs);
  }

  /** Waits until it is connected with all of these. */
  async linkedTo(names: readonly string[], deadlineMs?: number): Promise<void> {
    const all = () => names.every((name) => this.#linked.has(name));
    await this.until(all, `links with ${names}`, deadlineMs);
  }

  /** The first event of this name that fits, of those from `from` on, or when it comes. */
  async event(
    name: string,
    fits: (event: ProgramEvent) => boolean = () => true,
    { from = 0, deadlineMs }: { from?: number; deadlineMs?: number } = {},
  ): Promise<ProgramEvent> {
    let found: ProgramEvent | undefined;
    let looked = from;
    const look = () => {
      for (; !found && looked < this.events.length; looked++) {
        const event = this.events[looked]!;
        if (event.event === name && fits(event)) found = event;
      }
      return found !== undefined;
    };
    await this.until(look, `the event ${name}`, deadlineMs);
    return found!;
  }

  /** Waits until it has told its user a text on standard error, in its present run. */
  async says(wanted: string | RegExp): Promise<string> {
    return await this.#running.says(wanted);
  }

  /**
   * Waits until this holds; it is asked after every event.
   * @throws {Error} with what it showed last, when it ends or the time is over without it
   */
  async until(holds: () => boolean, wanted: string, deadlineMs = DEADLINE_MS): Promise<void> {
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), deadlineMs);
    try {
      while (!holds()) {
        const why = await Promise.race([this.#changed.promise, late.promise, this.#ended()]);
        if (why !== undefined && !holds()) throw new Error(this.#missed(wanted, why));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kills it, without a word to anybody; resolves when it is gone and all that it showed is read. */
  async kill(): Promise<void> {
    this.#running.kill("SIGKILL");
    await this.#gone();
  }

  /** Has it leave, as its user would. @returns how it ended */
  async leave(): Promise<Finished> {
    await this.say("/quit");
    return await this.#gone();
  }

  /** Interrupts it, as Ctrl-C does. @returns how it ended */
  async interrupt(): Promise<Finished> {
    this.#running.kill("SIGINT");
    return await this.#gone();
  }

  /** Waits until it ends by itself. @returns how it ended */
  async finished(): Promise<Finished> {
    return await this.#gone();
  }

  /** Holds the process up: it neither reads nor writes, and its connections stay. */
  pause(): void {
    this.#running.kill("SIGSTOP");
  }

  /** Lets it go on. */
  resume(): void {
    this.#running.kill("SIGCONT");
  }

  /** The most memory that its process has held, in MB (10^6 bytes). Linux only. */
  peakMemory(): number {
    const status = Deno.readTextFileSync(`/proc/${this.pid}/status`);
    return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)![1]) * 1024 / 1e6;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
    if (!this.#options.sharesWith) this.#folder[Symbol.dispose]();
  }

  get #running(): Program {
    if (!this.#program) throw new Error(`${this.name} does not run`);
    return this.#program;
  }

  async #gone(): Promise<Finished> {
    const program = this.#running;
    const finished = await program.finished();
    await program[Symbol.asyncDispose]();
    this.#program = undefined;
    return finished;
  }

  async #ended(): Promise<"ended" | undefined> {
    if (!this.#program) return "ended";
    await this.#program.finished();
    return "ended";
  }

  #take(event: ProgramEvent): void {
    if (event.event === "message") this.#hear(event);
    else this.#note(event);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #hear({ from, text, id, late = false, private: onlyUs = false }: ProgramEvent): void {
    const at = performance.now();
    this.heard.push({ from, text, id, at, run: this.#runs - 1, private: onlyUs, late });
    this.#texts.add(text);
  }

  #note(event: ProgramEvent): void {
    this.events.push(event);
    switch (event.event) {
      case "connected":
      case "back":
        this.#linked.add(event.peer);
        break;
      case "away":
      case "disconnected":
        this.#linked.delete(event.peer);
        break;
      case "renamed":
        if (this.#linked.delete(event.peer)) this.#linked.add(event.name);
    }
  }

  #missed(wanted: string, why: string): string {
    const events = this.events.slice(-SHOWN_EVENTS).map((event) => JSON.stringify(event));
    const last = this.heard.slice(-SHOWN_EVENTS).map(({ from, text }) => `${from}: ${text}`);
    return [
      `${this.name} ${why === "late" ? "took too long" : "ended"} before it had ${wanted}`,
      `linked with: ${[...this.#linked]}`,
      `${this.events.length} events, the last:`,
      ...events,
      `${this.heard.length} lines, the last:`,
      ...last,
      `it said: ${this.#program?.stderr.text.slice(-SHOWN_CHARACTERS) ?? ""}`,
    ].join("\n  ");
  }
}
