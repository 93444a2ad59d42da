/** A TCP socket of Node's as a Connection, or TLS over one. */
import type { Socket } from "node:net";
import { once } from "node:events";
import { formatAddress } from "../../protocol/address.ts";
import type { Connection, Path } from "../../protocol/connection.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { withoutMapping } from "../../protocol/ip_address.ts";
import { joinParts } from "./join_parts.ts";
import { closedError, lostError } from "./tcp.ts";

/** Milliseconds of a timer that only has to be there. */
const STILL_MS = 60_000;

export class NodeTcpConnection implements Connection {
  readonly carrier: string;
  readonly path: Path;
  readonly remote: string;
  readonly binding?: Uint8Array;
  /** The port on this machine. */
  readonly localPort: number;
  readonly #socket: Socket;
  readonly #gone: Promise<unknown>;
  readonly #maxUnread: number;
  /** Bytes that were read. */
  #taken = 0;
  /** What has arrived and was not read yet. */
  #rest: Uint8Array | undefined;
  #ended = false;
  #lost: Error | undefined;
  #closed = false;
  /** Goes on with a read that waits. */
  #wake = () => {};

  /**
   * @param socket connected, and half open where the other side ends its direction
   * @param as what else it is. Default: TCP alone
   */
  constructor(
    socket: Socket,
    pathTo: (host: string) => Path,
    as: { carrier: string; binding?: Uint8Array; maxUnread?: number } = { carrier: "tcp" },
  ) {
    this.#socket = socket;
    this.carrier = as.carrier;
    if (as.binding) this.binding = as.binding;
    this.#maxUnread = as.maxUnread ?? Infinity;
    const host = withoutMapping(socket.remoteAddress ?? "");
    this.remote = formatAddress({ host, port: socket.remotePort ?? 0 });
    this.path = pathTo(host);
    this.localPort = socket.localPort ?? 0;
    socket.setNoDelay(true);
    this.#gone = once(socket, "close").catch(() => {});
    socket.on("readable", () => {
      this.#checkUnread();
      this.#wake();
    });
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
      this.#checkUnread();
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
    this.#taken += taken.length;
    this.#rest = taken.length < rest.length ? rest.subarray(taken.length) : undefined;
    if (!into) return taken.slice();
    into.set(taken);
    return into.subarray(0, taken.length);
  }

  /** Node's TLS takes whatever comes, read or not. */
  #checkUnread(): void {
    if (this.#lost || this.#socket.bytesRead - this.#taken <= this.#maxUnread) return;
    this.#lost = new UnreachableError("Connection given up: more came than could be read");
    this.#socket.destroy();
  }

  /** Resolves when the socket has done what it is told. */
  async #done(action: (callback: (error?: Error | null) => void) => void): Promise<void> {
    this.#throwIfGone();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const closed = () => reject(new Error("the other side broke off"));
    // Inside TLS it tells nobody what becomes of it where the connection is closed meanwhile, and
    // once the other side has ended it does not keep the process from ending before it is done.
    this.#socket.once("close", closed);
    const alive = this.#ended ? setInterval(() => {}, STILL_MS) : undefined;
    action((error) => error ? reject(error) : resolve());
    try {
      await promise;
    } catch (cause) {
      this.#throwIfGone();
      throw lostError(cause);
    } finally {
      clearInterval(alive);
      this.#socket.off("close", closed);
    }
  }

  #throwIfGone(): void {
    if (this.#closed) throw closedError();
    if (this.#lost) throw this.#lost;
  }
}
