import { Captured } from "./captured.ts";

const encoder = new TextEncoder();

/** A plain TCP connection of a test's own, and what has arrived on it. */
export class Wire implements AsyncDisposable {
  readonly received: Captured;

  constructor(readonly conn: Deno.TcpConn) {
    this.received = new Captured(this.#reads());
  }

  /** Connects to a port of loopback. */
  static async dial(address: string): Promise<Wire> {
    const port = Number(address.split(":")[1]);
    return new Wire(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Sends text, or bytes. */
  async send(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === "string" ? encoder.encode(text) : text;
    for (let done = 0; done < bytes.length;) done += await this.conn.write(bytes.subarray(done));
  }

  /** Waits for a whole line. */
  async receives(line: string): Promise<void> {
    await this.received.until(() => this.received.lines.includes(line) || undefined, line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.conn.close();
    } catch {
      // It has ended by itself.
    }
    await this.received.ended;
  }

  #reads(): ReadableStream<Uint8Array> {
    const { conn } = this;
    return new ReadableStream({
      async pull(controller) {
        const bytes = new Uint8Array(65_536);
        const count = await conn.read(bytes).catch(() => null);
        if (count === null) controller.close();
        else controller.enqueue(bytes.subarray(0, count));
      },
    });
  }
}
