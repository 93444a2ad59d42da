/** A TCP socket of Node's as a Connection. */
import type { Socket } from "node:net";
import { once } from "node:events";
import { formatAddress } from "../../protocol/address.ts";
import type { Connection, Path } from "../../protocol/connection.ts";
import { withoutMapping } from "../../protocol/ip_address.ts";
import { joinParts } from "./join_parts.ts";
import { closedError, lostError } from "./tcp.ts";

export class NodeTcpConnection implements Connection {
  readonly carrier = "tcp";
  readonly path: Path;
  readonly remote: string;
  /** The port on this machine. */
  readonly localPort: number;
  readonly #socket: Socket;
  readonly #gone: Promise<unknown>;
  /** What has arrived and was not read yet. */
  #rest: Uint8Array | undefined;
  #ended = false;
  #lost: Error | undefined;
  #closed = false;
  /** Goes on with a read that waits. */
  #wake = () => {};

  /** @param socket connected, and half open where the other side ends its direction */
  constructor(socket: Socket, pathTo: (host: string) => Path) {
    this.#socket = socket;
    const host = withoutMapping(socket.remoteAddress ?? "");
    this.remote = formatAddress({ host, port: socket.remotePort ?? 0 });
    this.path = pathTo(host);
    this.localPort = socket.localPort ?? 0;
    socket.setNoDelay(true);
    this.#gone = once(socket, "close").catch(() => {});
    socket.on("readable", () => this.#wake());
    socket.on("end", () => {
      this.#ended = true;
      this.#wake();
    });
    socket.on("error", (cause) => {
      this.#lost ??= lostError(cause);
      this.#wake();
    });
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    for (;;) {
      this.#throwIfGone();
      this.#rest ??= this.#socket.read() ?? undefined;
      if (this.#rest) return this.#take(this.#rest, into);
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  async write(...parts: Uint8Array[]): Promise<void> {
    for (const bytes of joinParts(parts)) {
      await this.#done((callback) => this.#socket.write(bytes, callback));
    }
  }

  async closeWrite(): Promise<void> {
    await this.#done((callback) => this.#socket.end(callback));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.destroy();
    this.#wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#gone;
  }

  #take(rest: Uint8Array, into: Uint8Array | undefined): Uint8Array {
    const taken = rest.subarray(0, into?.length);
    this.#rest = taken.length < rest.length ? rest.subarray(taken.length) : undefined;
    if (!into) return taken.slice();
    into.set(taken);
    return into.subarray(0, taken.length);
  }

  /** Resolves when the socket has done what it is told. */
  async #done(action: (callback: (error?: Error | null) => void) => void): Promise<void> {
    this.#throwIfGone();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    action((error) => error ? reject(error) : resolve());
    try {
      await promise;
    } catch (cause) {
      this.#throwIfGone();
      throw lostError(cause);
    }
  }

  #throwIfGone(): void {
    if (this.#closed) throw closedError();
    if (this.#lost) throw this.#lost;
  }
}
