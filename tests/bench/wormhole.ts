import { freePort, type Harness, note, secondsSince } from "./harness.ts";
import type { Tool, Transfer } from "./tool.ts";

/**
 * magic-wormhole, with a mailbox server of its own on loopback and no transit relay: the two
 * processes connect to each other through one of this machine's addresses.
 */
export class Wormhole implements Tool {
  readonly name: string;
  readonly #harness: Harness;
  readonly #python: string;
  readonly #port = freePort();
  #transfers = 0;

  private constructor(harness: Harness, python: string, version: string) {
    this.#harness = harness;
    this.#python = python;
    this.name = `magic-wormhole ${version}`;
  }

  /** Starts the mailbox server, or resolves to null after saying loudly that there is none. */
  static async create(harness: Harness): Promise<Wormhole | null> {
    const installed = await installedVersion();
    if (installed === null) {
      note(
        "NOT MEASURED: magic-wormhole; try: pip install magic-wormhole-mailbox-server magic-wormhole",
      );
      return null;
    }
    const wormhole = new Wormhole(harness, installed.python, installed.version);
    await wormhole.#startMailbox();
    return wormhole;
  }

  async transfer(source: string, folder: string): Promise<Transfer> {
    const code = `${++this.#transfers}-loopback-bench`;
    const started = performance.now();
    const sending = this.#start(["send", "--hide-progress", "--code", code, source]);
    const receiving = this.#start([
      ...["receive", "--hide-progress", "--accept-file", "--output-file", folder, code],
    ]);
    const [sender, receiver] = await Promise.all([sending.finished(), receiving.finished()]);
    return { wall: secondsSince(started), sender, receiver };
  }

  async #startMailbox(): Promise<void> {
    const words = [`--port=tcp:${this.#port}:interface=127.0.0.1`];
    words.push(`--channel-db=${this.#harness.path("mailbox.sqlite")}`);
    const twisted = [this.#python, "-m", "twisted", "wormhole-mailbox", ...words];
    await this.#harness.start(twisted, { server: true }).listening(this.#port);
  }

  #start(words: string[]) {
    const server = [`--relay-url=ws://127.0.0.1:${this.#port}/v1`, "--transit-helper="];
    return this.#harness.start([this.#python, "-m", "wormhole", ...server, ...words]);
  }
}

/**
 * The interpreter itself, because a version manager's `python3` would add its own start to each
 * run.
 */
async function installedVersion(): Promise<{ python: string; version: string } | null> {
  const script = "import sys, twisted, wormhole_mailbox_server, wormhole; " +
    "print(sys.executable, wormhole.__version__)";
  const { success, stdout } = await new Deno.Command("sh", {
    args: ["-c", 'exec python3 -c "$0" 2>&1', script],
  }).output();
  if (!success) return null;
  const [python, version] = new TextDecoder().decode(stdout).trim().split(" ");
  return { python: python!, version: version! };
}
