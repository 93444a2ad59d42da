/** TCP as a Connection. */
import type { Connection, Path } from "../../protocol/connection.ts";
import { ProtocolError, UnreachableError } from "../../protocol/errors.ts";
import { type Address, formatAddress, isLocal } from "../../protocol/address.ts";
import { withoutMapping } from "../../protocol/ip_address.ts";
import { describeNetworkError, NO_SUCH_HOST } from "../network_error.ts";
import { hedged } from "./hedged.ts";
import { bindingOf, TLS_NAME, toPem } from "./tls_certificate.ts";

/** Bytes read at once when the caller brings no room of its own. */
const READ_BYTES = 65_536;

/** A TCP connection that was made or accepted, inside TLS or not yet. */
export class TcpConnection implements Connection {
  readonly path: Path;
  readonly remote: string;
  /** The IP address of this machine at which the connection is. */
  readonly localHost: string;
  #conn: Deno.TcpConn | Deno.TlsConn;
  #release: () => void;
  #binding: Uint8Array | undefined;
  #closed = false;

  /** @param certificate ours, DER, if it is inside TLS and we are the server */
  constructor(conn: Deno.TcpConn | Deno.TlsConn, certificate?: Uint8Array) {
    this.#conn = conn;
    if (certificate) this.#binding = bindingOf(certificate);
    this.#release = () => conn.close();
    const { hostname, port } = conn.remoteAddr;
    this.localHost = withoutMapping(conn.localAddr.hostname);
    const host = withoutMapping(hostname);
    this.remote = formatAddress({ host, port });
    this.path = isLocal(host) ? "lan" : "direct";
    try {
      // The runtime has no way to say so inside TLS.
      if ("setNoDelay" in conn) conn.setNoDelay(true);
    } catch {
      // The other side has closed already: the first read says so.
    }
  }

  get carrier(): string {
    return this.#binding ? "tls" : "tcp";
  }

  get binding(): Uint8Array | undefined {
    return this.#binding;
  }

  /**
   * Goes on inside TLS, as its client, with whom the certificate belongs to: with anybody else the
   * first read fails, if `believesNoAuthority`. Nothing that belongs to TLS may have been read.
   * @param certificate DER
   * @throws {UnreachableError} if it is no certificate, or the connection was closed
   */
  async startTls(certificate: Uint8Array): Promise<void> {
    await this.#attempt(async () => {
      const tcp = this.#conn as Deno.TcpConn;
      this.#release = () => closeIfOurs(tcp);
      const caCerts = [toPem(certificate)];
      const conn = await Deno.startTls(tcp, { hostname: TLS_NAME, caCerts });
      this.#conn = conn;
      this.#release = () => conn.close();
      if (this.#closed) this.#release();
    });
    this.#binding = bindingOf(certificate);
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
    this.#release();
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

/** Closes a connection, unless TLS has taken it, which closes it by itself when it fails. */
function closeIfOurs(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

export function closedError(): UnreachableError {
  return new UnreachableError("Connection not usable: it was closed");
}

/** What TLS cannot read, or the other side's cannot, was altered on the way, or is no TLS. */
export function lostError(cause: unknown): UnreachableError | ProtocolError {
  if (cause instanceof Deno.errors.InvalidData) {
    return new ProtocolError(`Record not authentic: ${cause.message}`, { cause });
  }
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
