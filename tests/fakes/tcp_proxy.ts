/** A line between a dialler and a listener over loopback that a test can cut. */
export class TcpProxy implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #open = new Set<Deno.TcpConn>();
  readonly #work: Promise<void>[] = [];
  /** Where connections lead to. */
  target: number;
  /** Connections taken so far. */
  taken = 0;
  /** Whether new connections are closed as soon as they come. */
  refuses = false;
  #cutAfter = Infinity;

  constructor(target: number) {
    this.target = target;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#work.push(this.#accept());
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Breaks every connection at once. */
  cut(): void {
    for (const conn of this.#open) conn.close();
    this.#open.clear();
  }

  /** Breaks everything when so many more bytes have passed. */
  cutAfter(bytes: number): void {
    this.#cutAfter = bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await Promise.all(this.#work);
  }

  async #accept(): Promise<void> {
    try {
      for await (const conn of this.#listener) this.#work.push(this.#join(conn));
    } catch {
      // Closed.
    }
  }

  async #join(near: Deno.TcpConn): Promise<void> {
    this.taken++;
    if (this.refuses) return near.close();
    this.#open.add(near);
    try {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: this.target });
      if (!this.#open.has(near)) return far.close();
      this.#open.add(far);
      await Promise.all([this.#copy(near, far), this.#copy(far, near)]);
      this.#close(far);
    } catch {
      // Nobody is there: the caller is told by the close below.
    }
    this.#close(near);
  }

  async #copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const room = new Uint8Array(16_384);
    try {
      for (let count = await from.read(room); count !== null; count = await from.read(room)) {
        for (let sent = 0; sent < count;) sent += await to.write(room.subarray(sent, count));
        this.#cutAfter -= count;
        if (this.#cutAfter < 0) this.#cutNow();
      }
      await to.closeWrite();
    } catch {
      this.#close(from);
      this.#close(to);
    }
  }

  #cutNow(): void {
    this.#cutAfter = Infinity;
    this.cut();
  }

  #close(conn: Deno.TcpConn): void {
    if (this.#open.delete(conn)) conn.close();
  }
}
