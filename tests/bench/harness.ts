/**
 * Runs programs for the benchmarks, weighs them, and leaves nothing behind: no process, no file.
 */
import { InterruptedError } from "../../protocol/errors.ts";

/**
 * What a process has used, together with every descendant that it or its descendants waited for.
 */
export interface Usage {
  /** Seconds of user and system time. */
  cpu: number;
  /** Peak resident memory of the largest of the processes, in MB (10^6 bytes). */
  resident: number;
}

/** How to measure. */
export interface Options {
  /** Fewer rounds and smaller files: to see that all is well, not to quote. */
  quick: boolean;
  /** The `main.ts` to measure instead of this project's. */
  program?: string;
}

export interface StartOptions {
  env?: Record<string, string>;
  /** "piped" if the caller reads what the program prints; nothing is kept otherwise. */
  stdout?: "piped";
  /** It runs until `stop` and may then exit with any code. */
  server?: boolean;
}

/** Seconds after which a program that is no server counts as hanging. */
const HANGING_AFTER_S = 180;
const LISTENING_WITHIN_S = 15;
const QUIET_WITHIN_S = 5;
const POLL_MS = 5;

/**
 * A program that runs under GNU time. Its report comes from wait4(), so it has the exact totals of
 * the program and of all children that were waited for: scp counts its ssh, sshd its sessions.
 */
export class Child {
  readonly #process: Deno.ChildProcess;
  readonly #command: string;
  readonly #report: string;
  readonly #errors: Promise<string>;
  readonly #server: boolean;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #signal: AbortSignal;
  #exited = false;
  #hung = false;

  constructor(command: string[], report: string, signal: AbortSignal, options: StartOptions) {
    this.#command = command.join(" ");
    this.#report = report;
    this.#signal = signal;
    this.#server = options.server ?? false;
    this.#process = new Deno.Command("time", {
      args: ["-q", "-f", "%U %S %M", "-o", report, ...command],
      env: options.env ?? {},
      stdin: "null",
      stdout: options.stdout ?? "null",
      stderr: "piped",
      // A process group of its own: one signal reaches the program and all its children.
      detached: true,
    }).spawn();
    this.#errors = new Response(this.#process.stderr).text();
    this.#timer = this.#server
      ? undefined
      : setTimeout(() => this.#hangs(), HANGING_AFTER_S * 1000);
    this.#process.status.then(() => this.#ended());
  }

  /**
   * The first line that the program prints and that `wanted` takes; only for those started with
   * `stdout: "piped"`. What comes later is read and dropped, so that the program never blocks.
   * @throws {Error} if it ends before
   */
  firstLine(wanted: (line: string) => boolean = () => true): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    let rest = "";
    let found: string | undefined;
    const lines = new WritableStream<string>({
      write(text) {
        if (found !== undefined) return;
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        found = lines.find(wanted);
        if (found !== undefined) resolve(found);
      },
    });
    this.#process.stdout.pipeThrough(new TextDecoderStream()).pipeTo(lines)
      .then(() => this.finished())
      .then(() => reject(new Error(`${this.#command}: ended without the line that was awaited`)))
      .catch(reject);
    return promise;
  }

  /**
   * Waits until the program has exited.
   * @throws {Error} with what it wrote on standard error if it failed
   */
  async finished(): Promise<Usage> {
    const { success, code } = await this.#process.status;
    this.#signal.throwIfAborted();
    if (this.#hung) throw new Error(`${this.#command}: killed after ${HANGING_AFTER_S} s`);
    if (!success && !this.#server) {
      throw new Error(`${this.#command}: exit code ${code}\n${(await this.#errors).trim()}`);
    }
    const [user, system, kibibytes] = (await Deno.readTextFile(this.#report)).split(" ").map(
      Number,
    );
    return { cpu: user! + system!, resident: kibibytes! * 1024 / 1e6 };
  }

  /**
   * Waits until the program listens on a TCP port of 127.0.0.1. Looks instead of connecting,
   * because some take one connection only.
   */
  async listening(port: number): Promise<void> {
    const entry = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`;
    await this.#until("listens", async () => {
      return (await Deno.readTextFile("/proc/net/tcp")).includes(entry);
    });
  }

  /** Peak resident memory of the program until now, in MB (10^6 bytes). */
  async peak(): Promise<number> {
    const [program] = await childrenOf(this.#process.pid);
    const status = await Deno.readTextFile(`/proc/${program}/status`);
    return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)![1]) * 1024 / 1e6;
  }

  /**
   * Ends a server once its own children have ended: only children that it has waited for are in its
   * usage.
   */
  async stop(): Promise<Usage> {
    const [program] = await childrenOf(this.#process.pid);
    if (program !== undefined) {
      await this.#until("has no children", async () => (await childrenOf(program)).length === 0);
      // To the program alone: GNU time must live to write its report.
      Deno.kill(program, "SIGTERM");
    }
    return await this.finished();
  }

  /** Ends the program and its children at once. Idempotent. */
  kill(): void {
    if (!this.#exited) Deno.kill(-this.#process.pid, "SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#process.status;
  }

  async #until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + LISTENING_WITHIN_S * 1000;
    while (!await holds()) {
      this.#signal.throwIfAborted();
      if (this.#exited) throw new Error(`${this.#command}: exited\n${await this.#errors}`);
      if (performance.now() > end) {
        throw new Error(`${this.#command}: waited ${LISTENING_WITHIN_S} s until it ${what}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  #hangs(): void {
    this.#hung = true;
    this.kill();
  }

  #ended(): void {
    this.#exited = true;
    clearTimeout(this.#timer);
  }
}

/** Owns the temporary folder and every program that a benchmark starts. */
export class Harness implements AsyncDisposable {
  /** Temporary, on a disk: /var/tmp, where /tmp is often memory. TMPDIR overrides. */
  readonly folder: string;
  readonly #children: Child[] = [];
  readonly #controller = new AbortController();
  #received: string | undefined;
  readonly #interrupt = () => this.#stopAll();

  private constructor(folder: string) {
    this.folder = folder;
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(name, this.#interrupt);
    }
  }

  static async create(): Promise<Harness> {
    const dir = Deno.env.get("TMPDIR") ?? "/var/tmp";
    const folder = await Deno.makeTempDir({ dir, prefix: "p2p-bench-" });
    // Where ext4 has just deleted ten thousand files it takes minutes until it makes new ones
    // quickly again, because it does not reuse their inodes at first. +T puts each of our folders
    // elsewhere, by its name. Other file systems refuse, and need it not.
    await new Deno.Command("chattr", { args: ["+T", folder], stderr: "null" }).output();
    return new Harness(folder);
  }

  /** Aborted by Ctrl-C. Whatever waits for a program then fails. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** A path in the temporary folder. */
  path(name: string): string {
    return `${this.folder}/${name}`;
  }

  start(command: string[], options: StartOptions = {}): Child {
    this.signal.throwIfAborted();
    const report = this.path(`usage-${this.#children.length}`);
    const child = new Child(command, report, this.signal, options);
    this.#children.push(child);
    return child;
  }

  /** Runs a program to its end; resolves to the seconds that it took. */
  async run(command: string[], options: StartOptions = {}): Promise<number> {
    const started = performance.now();
    await this.start(command, options).finished();
    return secondsSince(started);
  }

  /**
   * A new folder for what is received, in place of the last one. Everything written before is on
   * the disk when this resolves, so that no run pays for the one before it.
   */
  async emptyFolder(): Promise<string> {
    if (this.#received !== undefined) await Deno.remove(this.#received, { recursive: true });
    this.#received = this.path(`received-${crypto.randomUUID()}`);
    await Deno.mkdir(this.#received);
    await this.run(["sync"]);
    return this.#received;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child[Symbol.asyncDispose]()));
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      Deno.removeSignalListener(name, this.#interrupt);
    }
    await removeWhenQuiet(this.folder);
  }

  #stopAll(): void {
    this.#controller.abort(new InterruptedError("Benchmark: interrupted"));
    for (const child of this.#children) child.kill();
  }
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Seconds since a reading of `performance.now()`. */
export function secondsSince(started: number): number {
  return (performance.now() - started) / 1000;
}

/**
 * Checks that programs are installed.
 * @throws {Error} that says what to install
 */
export async function requirePrograms(names: string[], packages: string): Promise<void> {
  for (const name of names) {
    const script = 'command -v "$0"';
    const { success } = await new Deno.Command("sh", { args: ["-c", script, name] }).output();
    if (!success) throw new Error(`${name}: not installed; try: apt-get install ${packages}`);
  }
}

/** A line about how far the benchmark has got, on standard error. */
export function note(text: string): void {
  console.error(`bench: ${text}`);
}

async function childrenOf(pid: number): Promise<number[]> {
  try {
    const list = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
    return list.split(" ").filter((word) => word !== "").map(Number);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Removes a folder into which what a killed ssh had started may still write for a moment. */
async function removeWhenQuiet(folder: string): Promise<void> {
  const end = performance.now() + QUIET_WITHIN_S * 1000;
  for (;;) {
    try {
      return await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
