/** Two Deno programs of a few lines that carry a file: what the platform leaves us to reach. */
import { freePort, type Harness, secondsSince } from "./harness.ts";
import type { Tool, Transfer } from "./tool.ts";

export class TcpPair implements Tool {
  readonly name: string;
  readonly #harness: Harness;
  readonly #program: string;

  /** @param program in this folder: takes `receive PORT PATH`, and `send PORT PATH` */
  constructor(harness: Harness, name: string, program: string) {
    this.#harness = harness;
    this.name = name;
    this.#program = `${import.meta.dirname}/${program}`;
  }

  async transfer(source: string, folder: string): Promise<Transfer> {
    const port = freePort();
    const receiving = this.#start("receive", port, `${folder}/${source.split("/").at(-1)}`);
    await receiving.listening(port);
    const started = performance.now();
    const sending = this.#start("send", port, source);
    const [sender, receiver] = await Promise.all([sending.finished(), receiving.finished()]);
    return { wall: secondsSince(started), sender, receiver };
  }

  #start(role: "receive" | "send", port: number, path: string) {
    const flags = ["--no-check", "--allow-net", "--allow-read", "--allow-write"];
    const command = [Deno.execPath(), "run", ...flags, this.#program, role, String(port), path];
    return this.#harness.start(command);
  }
}
