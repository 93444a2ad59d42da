/**
 * A proxy between a dialler and a listener over loopback that a test can make stall, alter a bit,
 * or lead elsewhere.
 */
export class TamperingProxy implements AsyncDisposable {
  /** Where new connections lead. */
  target: string;
  /**
   * The byte towards the listener in which one bit is turned over, counted from 0 on each
   * connection.
   */
  flipAt: number | undefined;
  /** The first connection, counted from 1, that is altered. */
  flipsFrom = 1;
  /** The line with which each connection began. */
  readonly firstWords: string[] = [];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.TcpConn>();
  readonly #work: Promise<void>[] = [];
  #stallAfter = Infinity;
  readonly #released = Promise.withResolvers<void>();

  /** @param target "127.0.0.1:8080" */
  constructor(target: string) {
    this.target = target;
    this.#work.push(this.#accept());
  }

  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  /** From so many bytes towards the listener on, no more pass. */
  stallAfter(bytes: number): void {
    this.#stallAfter = bytes;
  }

  /** Lets bytes pass again. */
  release(): void {
    this.#stallAfter = Infinity;
    this.#released.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.release();
    for (const conn of this.#open) close(conn);
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
    const [hostname, port] = this.target.split(":");
    const far = await Deno.connect({ hostname: hostname!, port: Number(port) });
    this.#open.add(near).add(far);
    await Promise.all([this.#copy(near, far, true), this.#copy(far, near, false)]);
    for (const conn of [near, far]) close(conn);
  }

  async #copy(from: Deno.TcpConn, to: Deno.TcpConn, tamper: boolean): Promise<void> {
    const buffer = new Uint8Array(65_536);
    let passed = 0;
    let flips = false;
    try {
      for (let count = await from.read(buffer); count; count = await from.read(buffer)) {
        const bytes = buffer.subarray(0, count);
        if (tamper && passed === 0) flips = this.#begin(bytes) >= this.flipsFrom;
        if (tamper) await this.#tamper(bytes, passed, flips);
        passed += count;
        for (let at = 0; at < count;) at += await to.write(bytes.subarray(at));
      }
      await to.closeWrite();
    } catch {
      // One side is gone: so is the other.
      close(from);
      close(to);
    }
  }

  /** @returns how many connections have begun */
  #begin(bytes: Uint8Array): number {
    const line = bytes.subarray(0, bytes.indexOf(0x0a));
    return this.firstWords.push(new TextDecoder().decode(line));
  }

  async #tamper(bytes: Uint8Array, passed: number, flips: boolean): Promise<void> {
    const at = flips ? (this.flipAt ?? -1) - passed : -1;
    if (at >= 0 && at < bytes.length) bytes[at]! ^= 0x10;
    if (passed < this.#stallAfter) return;
    await this.#released.promise;
  }
}

function close(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // It is closed already.
  }
}
