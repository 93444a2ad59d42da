/**
 * A command that somebody in the demo runs. What it prints and what is typed into it is shown as it
 * happens.
 */

/** Shows one line of the story: who, what it is to them, and the text. */
export type Show = (mark: "$" | ">" | "|", text: string) => void;

export interface RunOptions {
  command: readonly string[];
  /** Where it runs. */
  folder: string;
  env: Readonly<Record<string, string>>;
  show: Show;
  /** Ends every wait. */
  signal: AbortSignal;
}

export class Run implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #show: Show;
  readonly #signal: AbortSignal;
  readonly #lines: string[] = [];
  /** Both outputs are at their end. */
  readonly #read: Promise<unknown>;
  #over = false;
  #changed = Promise.withResolvers<void>();

  constructor({ command: [program, ...args], folder, env, show, signal }: RunOptions) {
    this.#show = show;
    this.#signal = signal;
    this.#process = new Deno.Command(program!, {
      args,
      env,
      cwd: folder,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
    const { stdout, stderr } = this.#process;
    this.#read = Promise.all([this.#follow(stdout), this.#follow(stderr)])
      .finally(() => this.#over = true)
      .finally(() => this.#wake());
    signal.addEventListener("abort", () => this.#wake());
  }

  /**
   * Waits until it has printed a line that the pattern matches.
   * @throws {Error} if it ends without
   * @throws the signal's reason
   */
  async shows(pattern: RegExp): Promise<RegExpMatchArray> {
    for (;;) {
      this.#signal.throwIfAborted();
      for (const line of this.#lines) {
        const match = line.match(pattern);
        if (match) return match;
      }
      if (this.#over) throw new Error(`It ended without a line like ${pattern}`);
      await this.#changed.promise;
    }
  }

  /** Types a line. */
  async type(line: string): Promise<void> {
    this.#show(">", line);
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
  }

  /**
   * Waits for its end.
   * @throws {Error} if it did not end well
   */
  async ended(): Promise<void> {
    await this.#read;
    this.#signal.throwIfAborted();
    const { code } = await this.#process.status;
    if (code !== 0) throw new Error(`It ended with exit code ${code}`);
  }

  /** Ends it at once if it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) this.#process.kill("SIGKILL");
    await this.#input.close().catch(() => {});
    await this.#read;
    await this.#process.status;
  }

  async #follow(output: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let rest = "";
    for await (const text of output.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#show("|", line);
      this.#lines.push(...lines);
      this.#wake();
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
