/** TCP as a Connection. */
import type { Connection, Path } from "../../protocol/connection.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { type Address, formatAddress, isLocal } from "../../protocol/address.ts";
import { withoutMapping } from "../../protocol/ip_address.ts";
import { describeNetworkError, NO_SUCH_HOST } from "../network_error.ts";
import { hedged } from "./hedged.ts";

/** Bytes read at once when the caller brings no room of its own. */
const READ_BYTES = 65_536;

/** A TCP connection that was made or accepted. */
export class TcpConnection implements Connection {
  readonly carrier = "tcp";
  readonly path: Path;
  readonly remote: string;
  readonly #conn: Deno.TcpConn;
  #closed = false;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    const { hostname, port } = conn.remoteAddr;
    const host = withoutMapping(hostname);
    this.remote = formatAddress({ host, port });
    this.path = isLocal(host) ? "lan" : "direct";
    try {
      conn.setNoDelay(true);
    } catch {
      // The other side has closed already: the first read says so.
    }
  }

  /** The IP address of this machine at which the connection is. */
  get localHost(): string {
    return withoutMapping(this.#conn.localAddr.hostname);
  }

  read(into: Uint8Array = new Uint8Array(READ_BYTES)): Promise<Uint8Array | null> {
    if (this.#closed) return Promise.reject(closedError());
    // Handed on rather than awaited: a function that waits costs memory, and thousands may wait here.
    return this.#conn.read(into).then(
      (count) => count === null ? null : into.subarray(0, count),
      (cause) => {
        throw lostError(cause);
      },
    );
  }

  async write(...parts: Uint8Array[]): Promise<void> {
    for (const part of parts) {
      for (let sent = 0; sent < part.length;) {
        sent += await this.#attempt(() => this.#conn.write(part.subarray(sent)));
      }
    }
  }

  async closeWrite(): Promise<void> {
    await this.#attempt(() => this.#conn.closeWrite());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  async #attempt<T>(action: () => Promise<T>): Promise<T> {
    this.#throwIfClosed();
    try {
      return await action();
    } catch (cause) {
      throw lostError(cause);
    }
  }

  #throwIfClosed(): void {
    if (this.#closed) throw closedError();
  }
}

export function closedError(): UnreachableError {
  return new UnreachableError("Connection not usable: it was closed");
}

export function lostError(cause: unknown): UnreachableError {
  return new UnreachableError(`Connection lost: ${describeNetworkError(cause)}`, { cause });
}

/** What errors say of an address that does not answer. */
export interface Callee {
  /** Who is there, to stand before the address: "the relay ". */
  readonly who: string;
  readonly hint: string;
}

const PEER: Callee = {
  who: "",
  hint: "Is the other side listening there? Ask for the address that its `p2p listen` prints.",
};

/** Errors about the address of a relay. */
export const RELAY: Callee = {
  who: "the relay ",
  hint: "Is a relay running there? Whoever runs it starts it with: p2p relay",
};

/** Errors about a peer that is not dialled at an address that it told, but through NATs. */
export const PUNCHED: Callee = {
  who: "",
  hint: "The NATs in between may not allow it: a relay's circuit works nevertheless.",
};

/**
 * Connects to an address; a host name's addresses are tried as the system gives them.
 * @throws {UnreachableError} if nobody answers there, or not before the signal aborts
 */
export async function dialTcp(
  address: Address,
  signal: AbortSignal,
  callee: Callee = PEER,
): Promise<TcpConnection> {
  const { host: hostname, port } = address;
  try {
    const conn = await hedged(
      (signal) => Deno.connect({ hostname, port, signal }),
      { signal, discard: (late) => late.close() },
    );
    return new TcpConnection(conn);
  } catch (cause) {
    throw undialled(address, callee, signal, cause);
  }
}

/**
 * What to throw where a dial failed: who aborted it with an error of ours is told that.
 * @param cause the system's error
 */
export function undialled(
  address: Address,
  { who, hint }: Callee,
  signal: AbortSignal,
  cause: unknown,
): unknown {
  if (signal.aborted && !(signal.reason instanceof DOMException)) return signal.reason;
  const reason = signal.aborted ? "no answer" : describeNetworkError(cause);
  return new UnreachableError(`Could not reach ${who}${formatAddress(address)}: ${reason}`, {
    hint: reason === NO_SUCH_HOST ? "Check the spelling of the host's name." : hint,
    cause,
  });
}
