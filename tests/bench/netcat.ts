import { type Child, freePort, type Harness, requirePrograms, secondsSince } from "./harness.ts";
import type { Tool, Transfer } from "./tool.ts";

/** Plain TCP with OpenBSD's netcat: the floor, and the reference for the machine's mood. */
export class Netcat implements Tool {
  readonly name = "nc, plain";
  readonly #harness: Harness;

  private constructor(harness: Harness) {
    this.#harness = harness;
  }

  static async create(harness: Harness): Promise<Netcat> {
    await requirePrograms(["nc"], "netcat-openbsd");
    return new Netcat(harness);
  }

  async transfer(source: string, folder: string): Promise<Transfer> {
    const port = freePort();
    const target = `${folder}/${source.split("/").at(-1)}`;
    const receiving = this.#start('exec nc -l 127.0.0.1 "$0" > "$1"', port, target);
    await receiving.listening(port);
    const started = performance.now();
    const sending = this.#start('exec nc -N 127.0.0.1 "$0" < "$1"', port, source);
    const [sender, receiver] = await Promise.all([sending.finished(), receiving.finished()]);
    return { wall: secondsSince(started), sender, receiver };
  }

  #start(script: string, port: number, path: string): Child {
    return this.#harness.start(["sh", "-c", script, String(port), path]);
  }
}
