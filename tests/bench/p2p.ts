import { RUN_FLAGS } from "../fakes/run_flags.ts";
import { type Child, type Harness, secondsSince } from "./harness.ts";
import type { Tool, Transfer } from "./tool.ts";

const PROJECT = `${import.meta.dirname}/../..`;

/** The program that all this is about. Each side keeps an identity of its own from run to run. */
export class P2p implements Tool {
  static readonly title = "**p2p send**";
  readonly name = P2p.title;
  readonly #harness: Harness;
  readonly #program: string;

  private constructor(harness: Harness, program: string) {
    this.#harness = harness;
    this.#program = program;
  }

  /** @param program path of the `main.ts` to measure; the one of this project if not given */
  static async create(harness: Harness, program = `${PROJECT}/main.ts`): Promise<P2p> {
    const p2p = new P2p(harness, program);
    // The first start after a change compiles; nobody meets that twice.
    await p2p.help();
    return p2p;
  }

  async transfer(source: string, folder: string): Promise<Transfer> {
    const listener = await this.listen(folder);
    const started = performance.now();
    const sender = await this.send(listener.address, source).finished();
    const wall = secondsSince(started);
    return { wall, sender, receiver: await listener.child.finished() };
  }

  /** Starts a listener that receives one offer into the folder; resolves when it can be reached. */
  async listen(folder: string): Promise<{ address: string; child: Child }> {
    const words = ["listen", "--port", "0", "--host", "127.0.0.1", "--dir", folder];
    words.push("--yes", "--once", "--json", "--quiet");
    const child = this.#start("listener", words, "piped");
    const event = await child.firstLine((line) => JSON.parse(line).event === "listening");
    return { address: JSON.parse(event).address, child };
  }

  /** Starts a sender; it exits when the listener has acknowledged all. */
  send(address: string, path: string): Child {
    const words = ["send", "--address", address, "--file", path, "--json", "--quiet"];
    return this.#start("sender", words);
  }

  /** Runs `p2p --help`; resolves to the seconds that it took. */
  help(): Promise<number> {
    return this.#harness.run([...this.#command(), "--help"]);
  }

  #start(side: "sender" | "listener", words: string[], stdout?: "piped"): Child {
    const env = {
      // As the first line of main.ts has it.
      DENO_NO_UPDATE_CHECK: "1",
      XDG_CONFIG_HOME: this.#harness.path(`${side}-configuration`),
      XDG_DATA_HOME: this.#harness.path(`${side}-data`),
    };
    return this.#harness.start([...this.#command(), ...words], stdout ? { env, stdout } : { env });
  }

  #command(): string[] {
    return [Deno.execPath(), "run", ...RUN_FLAGS, this.#program];
  }
}
