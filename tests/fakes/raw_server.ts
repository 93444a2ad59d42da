/** A server that is no p2p: what it does with each connection is the test's. */
export class RawServer implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #conns: Deno.TcpConn[] = [];
  readonly #work: Promise<void>;

  /** @param answer what it does; afterwards the connection stays open until the test ends */
  constructor(answer: (conn: Deno.TcpConn) => Promise<unknown> | void) {
    this.#work = this.#serve(answer);
  }

  /** A server that begins with this text. */
  static saying(text: string): RawServer {
    return new RawServer((conn) => conn.write(new TextEncoder().encode(text)));
  }

  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#work;
    for (const conn of this.#conns) {
      try {
        conn.close();
      } catch {
        // The answer closed it.
      }
    }
  }

  async #serve(answer: (conn: Deno.TcpConn) => Promise<unknown> | void): Promise<void> {
    try {
      for await (const conn of this.#listener) {
        this.#conns.push(conn);
        await answer(conn);
      }
    } catch {
      // Closed.
    }
  }
}
