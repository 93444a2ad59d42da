/** The program as its users run it: a process with its own settings, which ends with the test. */
import { Captured } from "./captured.ts";
import { RUN_FLAGS } from "./run_flags.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** The program's main.ts. */
export const MAIN: string = `${import.meta.dirname}/../../main.ts`;

/** An event of `--json`. */
export interface ProgramEvent {
  event: string;
  // deno-lint-ignore no-explicit-any
  [field: string]: any;
}

export interface ProgramOptions {
  /**
   * The folder for XDG_CONFIG_HOME, for an identity that several runs share. Default: one of its
   * own.
   */
  config?: string;
  /** The folder for XDG_DATA_HOME, for a history that several runs share. Default: one of its own. */
  data?: string;
  /** The folder that it runs in. Default: one of its own. */
  cwd?: string;
  env?: Readonly<Record<string, string>>;
  /** What stands before the program: `["setpriv", …]`. */
  before?: readonly string[];
  /** The `main.ts` to run instead of this project's. */
  program?: string | undefined;
  /** Told of each line of its standard output as it comes. */
  onLine?: (line: string) => void;
}

/** How a process ended. */
export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

/** The words that start the program with the permissions of its first line. */
export function programCommand(args: readonly string[], program = MAIN): string[] {
  return [Deno.execPath(), "run", "--no-prompt", ...RUN_FLAGS, program, ...args];
}

export class Program implements AsyncDisposable {
  readonly stdout: Captured;
  readonly stderr: Captured;
  readonly #process: Deno.ChildProcess;
  readonly #own = new TemporaryFolder();
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  #eventsTaken = 0;
  #inputEnded = false;
  #address: string | undefined;
  #status: Deno.CommandStatus | undefined;

  private constructor(args: readonly string[], options: ProgramOptions) {
    const [command, ...words] = [
      ...(options.before ?? []),
      ...programCommand(args, options.program),
    ];
    this.#process = new Deno.Command(command!, {
      args: words,
      cwd: options.cwd ?? this.#own.path,
      clearEnv: true,
      env: {
        ...quietEnvironment(),
        // As the first line of main.ts has it.
        DENO_NO_UPDATE_CHECK: "1",
        // Names are looked for on the network of the machine only where a test has one of its own.
        P2P_NO_NEARBY: "1",
        XDG_CONFIG_HOME: options.config ?? this.#own.join("config"),
        XDG_DATA_HOME: options.data ?? this.#own.join("data"),
        ...options.env,
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.stdout = new Captured(this.#process.stdout, options.onLine);
    this.stderr = new Captured(this.#process.stderr);
    this.#stdin = this.#process.stdin.getWriter();
    this.#process.status.then((status) => this.#status = status);
  }

  /** Starts it. Its standard input stays open until `endInput`. */
  static start(args: readonly string[], options: ProgramOptions = {}): Program {
    return new Program(args, options);
  }

  /** Starts `listen` on a free port of loopback; resolves when it does listen. */
  static async listen(
    flags: readonly string[] = [],
    options: ProgramOptions = {},
  ): Promise<Program> {
    const words = ["listen", "--port", "0", "--host", "127.0.0.1", ...flags];
    const program = new Program(words, options);
    program.#address = flags.includes("--json")
      ? (await program.until("listening")).address
      : (await program.says(/(?<=p2p connect )127\.0\.0\.1:\d+/));
    return program;
  }

  /** Starts `listen --json` as `listen` does. */
  static async listenJson(
    flags: readonly string[] = [],
    options: ProgramOptions = {},
  ): Promise<Program> {
    return await Program.listen(["--json", ...flags], options);
  }

  /** Starts `relay` on a free port of loopback; resolves when it listens. */
  static async relay(
    flags: readonly string[] = [],
    options: ProgramOptions = {},
  ): Promise<Program> {
    const words = ["relay", "--port", "0", "--host", "127.0.0.1", "--json", ...flags];
    const program = new Program(words, options);
    program.#address = (await program.until("listening")).address;
    return program;
  }

  /** Runs it to its end with this as its whole input. */
  static async run(
    args: readonly string[],
    options: ProgramOptions & { input?: string | Uint8Array } = {},
  ): Promise<Finished> {
    await using program = new Program(args, options);
    // Who does not read its input may be gone before it is written.
    await program.write(options.input ?? "").catch(() => {});
    await program.endInput();
    return await program.finished();
  }

  /** Where it listens, once `listen` or `relay` has resolved. */
  get address(): string {
    if (this.#address === undefined) throw new Error("It does not listen");
    return this.#address;
  }

  /** The process's number. */
  get pid(): number {
    return this.#process.pid;
  }

  /** All events so far; with `--json` only. */
  get events(): ProgramEvent[] {
    return this.stdout.lines.map((line) => JSON.parse(line));
  }

  /**
   * The next event that `until` has not passed by.
   * @param deadlineMs how long it may take. Default: 20 s
   * @throws {Error} if the program ends, or the time is over, without one
   */
  async nextEvent(wanted = "another event", deadlineMs?: number): Promise<ProgramEvent> {
    const line = await this.stdout.until(
      () => this.stdout.lines[this.#eventsTaken],
      wanted,
      () => `\nand said:\n${this.stderr.text}`,
      deadlineMs,
    );
    this.#eventsTaken++;
    return JSON.parse(line);
  }

  /** Events as they come, from the first that `until` has not passed by. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ProgramEvent> {
    for (;;) yield await this.nextEvent();
  }

  /**
   * The next event of this name, for which `accepts` is true; passes by those before it.
   * @throws {Error} if the program ends, or 20 s pass, without it
   */
  async until(
    name: string,
    accepts: (event: ProgramEvent) => boolean = () => true,
  ): Promise<ProgramEvent> {
    for (;;) {
      const event = await this.nextEvent(`event ${name}`);
      if (event.event === name && accepts(event)) return event;
    }
  }

  /**
   * Waits for a text on standard error.
   * @returns what the expression matches, or the text
   */
  async says(wanted: string | RegExp): Promise<string> {
    return await this.stderr.until(() => {
      const { text } = this.stderr;
      if (wanted instanceof RegExp) return wanted.exec(text)?.[0];
      return text.includes(wanted) ? wanted : undefined;
    }, String(wanted));
  }

  /** Waits for a whole line on standard output. */
  async prints(line: string): Promise<void> {
    await this.stdout.until(
      () => this.stdout.lines.includes(line) || undefined,
      line,
      () => `\nand said:\n${this.stderr.text}`,
    );
  }

  /** Types. */
  async write(input: string | Uint8Array): Promise<void> {
    await this.#stdin.write(typeof input === "string" ? new TextEncoder().encode(input) : input);
  }

  /** Ends its standard input. */
  async endInput(): Promise<void> {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    await this.#stdin.close().catch(() => {});
  }

  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /**
   * Waits for its end.
   * @throws {Error} if it showed people a stack trace, which it never may
   */
  async finished(): Promise<Finished> {
    const { code } = await this.#process.status;
    await Promise.all([this.stdout.ended, this.stderr.ended]);
    const { text: stderr } = this.stderr;
    if (/^\s+at |Uncaught|Unexpected failure/m.test(stderr)) {
      throw new Error(`It showed a stack trace:\n${stderr}`);
    }
    return { code, stdout: this.stdout.text, stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#status) this.#process.kill("SIGKILL");
    await this.endInput();
    await this.finished();
    this.#own[Symbol.dispose]();
  }
}

/** This process's environment without what would change what the program says. */
function quietEnvironment(): Record<string, string> {
  const kept = Object.entries(Deno.env.toObject()).filter(([name]) => {
    return !/^(P2P_|NO_COLOR$|FORCE_COLOR$|XDG_(CONFIG|DATA)_HOME$|DENO_NO_PROMPT$)/
      .test(name);
  });
  return Object.fromEntries(kept);
}
