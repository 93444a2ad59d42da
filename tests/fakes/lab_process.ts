import { Captured } from "./captured.ts";
import type { NatHost, NatLab } from "./nat_lab.ts";

/** A process on a host of the NAT laboratory, killed after the test. */
export class LabProcess implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #stdout: Captured;
  readonly #stderr: Captured;
  #ended = false;

  constructor(lab: NatLab, host: NatHost, command: readonly string[]) {
    const [program, ...words] = [...lab.on(host), ...command];
    this.#process = new Deno.Command(program!, {
      args: words,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdout = new Captured(this.#process.stdout);
    this.#stderr = new Captured(this.#process.stderr);
    this.#process.status.then(() => this.#ended = true);
  }

  /** The lines that it has printed. */
  get lines(): string[] {
    return this.#stdout.lines;
  }

  /** Waits until `look` finds something in the lines. */
  async until<T>(look: (lines: string[]) => T | undefined, wanted: string): Promise<T> {
    const context = () => `\nand said:\n${this.#stderr.text}`;
    return await this.#stdout.until(() => look(this.lines), wanted, context);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#process.kill("SIGKILL");
    await Promise.all([this.#process.status, this.#stdout.ended, this.#stderr.ended]);
  }
}
