/**
 * Where one connection inside TLS is expected: a port of its own, for the runtime is TLS's server only
 * on sockets that it has listened on for that.
 */
import { parseAddress } from "../../protocol/address.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Connection } from "../../protocol/connection.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../../protocol/limits.ts";
import { withoutMapping } from "../../protocol/ip_address.ts";
import { describeNetworkError } from "../network_error.ts";
import { TcpConnection } from "./tcp.ts";
import { makeTlsIdentity, type TlsIdentity, toPem } from "./tls_certificate.ts";

export interface TlsDoorOptions {
  /** Takes the connection that came, in which nothing was said yet. */
  take: (connection: Connection) => void;
  clock: Clock;
}

export class TlsDoor {
  /** DER, for this one connection. */
  readonly certificate: Uint8Array;
  readonly port: number;
  /** Resolves when nobody is expected any more. */
  readonly closed: Promise<void>;
  readonly #socket: Deno.TlsListener;
  readonly #closed = Promise.withResolvers<void>();
  readonly #cancel: () => void;
  #open = true;

  /**
   * Waits, for 10 s, for somebody from the machine at the other end of a connection, at the address
   * at which that arrived.
   * @throws {UnreachableError} if there is no port to be had
   */
  constructor({ localHost, remote }: TcpConnection, { take, clock }: TlsDoorOptions) {
    const identity = makeTlsIdentity();
    this.certificate = identity.certificate;
    this.#socket = listen(localHost, identity);
    this.port = this.#socket.addr.port;
    this.closed = this.#closed.promise;
    this.#cancel = clock.after(HANDSHAKE_TIMEOUT_MS, () => this.close());
    this.#accept(parseAddress(remote).host, take);
  }

  /** Nobody is expected any more. Idempotent. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#cancel();
    this.#socket.close();
    this.#closed.resolve();
  }

  async #accept(host: string, take: (connection: Connection) => void): Promise<void> {
    while (this.#open) {
      const conn = await this.#socket.accept().catch(() => undefined);
      if (!conn) break;
      if (withoutMapping(conn.remoteAddr.hostname) !== host) {
        conn.close();
        continue;
      }
      this.close();
      take(new TcpConnection(conn, this.certificate));
    }
    this.close();
  }
}

function listen(hostname: string, { certificate, privateKey }: TlsIdentity): Deno.TlsListener {
  try {
    return Deno.listenTls({
      hostname,
      port: 0,
      cert: toPem(certificate),
      key: String(privateKey.export({ format: "pem", type: "pkcs8" })),
    });
  } catch (cause) {
    throw new UnreachableError(`No port to be had for TLS: ${describeNetworkError(cause)}`, {
      cause,
    });
  }
}
