/**
 * Plain TCP as Deno does it best, with nothing of ours: what the platform leaves us to reach.
 * `receive PORT PATH` takes one connection into a file, `send PORT PATH` sends a file.
 */
import { freePort, type Harness, secondsSince } from "./harness.ts";
import type { Tool, Transfer } from "./tool.ts";

const CHUNK_BYTES = 262_144;

/** Two Deno processes that read and write in turn, without streams. */
export class PlainTcp implements Tool {
  readonly name = "Deno plain TCP, read and write";
  readonly #harness: Harness;

  constructor(harness: Harness) {
    this.#harness = harness;
  }

  async transfer(source: string, folder: string): Promise<Transfer> {
    const port = freePort();
    const target = `${folder}/${source.split("/").at(-1)}`;
    const receiving = this.#harness.start(command("receive", port, target));
    await receiving.listening(port);
    const started = performance.now();
    const sending = this.#harness.start(command("send", port, source));
    const [sender, receiver] = await Promise.all([sending.finished(), receiving.finished()]);
    return { wall: secondsSince(started), sender, receiver };
  }
}

function command(role: string, port: number, path: string): string[] {
  const words = ["--allow-net", "--allow-read", "--allow-write", import.meta.filename!];
  return [Deno.execPath(), "run", "--no-check", ...words, role, String(port), path];
}

async function copy(from: Deno.Conn | Deno.FsFile, to: Deno.Conn | Deno.FsFile): Promise<void> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let length; (length = await from.read(chunk)) !== null;) {
    for (let done = 0; done < length;) done += await to.write(chunk.subarray(done, length));
  }
}

async function receive(port: number, path: string): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port });
  using connection = await listener.accept();
  using file = await Deno.create(path);
  await copy(connection, file);
}

async function send(port: number, path: string): Promise<void> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  using file = await Deno.open(path);
  await copy(file, connection);
}

if (import.meta.main) {
  const [role, port, path] = Deno.args;
  await (role === "receive" ? receive : send)(Number(port), path!);
}
