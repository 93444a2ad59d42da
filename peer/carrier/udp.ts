/** UDP sockets that show IPv4 addresses as such, whichever family the socket is of. */
import type { Address } from "../../protocol/address.ts";
import { sleep } from "../../protocol/clock.ts";
import { withoutMapping } from "../../protocol/ip_address.ts";
import { systemClock } from "../clock.ts";
import { listenError } from "./listen_tcp.ts";

/** More than any datagram that we take has: a longer one is seen to be too long. */
const ROOM_BYTES = 2_048;
/** Milliseconds before the next try when a datagram could not be received. */
const RECEIVE_RETRY_MS = 50;

/**
 * Opens a socket for a person who may have named the port.
 * @throws {P2pError} if another program has the port, or this user may not take it
 */
export function openUdp(hostname: string, port: number): UdpSocket {
  try {
    return new UdpSocket(hostname, port);
  } catch (cause) {
    throw listenError(hostname, port, cause);
  }
}

export class UdpSocket {
  /** What it is bound to. */
  readonly address: Address;
  readonly #socket: Deno.DatagramConn;
  readonly #ipv6: boolean;
  readonly #room = new Uint8Array(ROOM_BYTES);
  #closed = false;

  /**
   * @param hostname "::" serves both families where the system lets one socket do so
   * @param port 0: any free one
   * @throws {Deno.errors.AddrInUse} if another program has the port
   */
  constructor(hostname: string, port: number) {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port });
    this.address = { host: hostname, port: (this.#socket.addr as Deno.NetAddr).port };
    this.#ipv6 = hostname.includes(":");
  }

  /** The next datagram and who sent it; null when the socket is closed. */
  async receive(): Promise<{ bytes: Uint8Array; from: Address } | null> {
    while (!this.#closed) {
      try {
        const [bytes, from] = await this.#socket.receive(this.#room);
        const { hostname, port } = from as Deno.NetAddr;
        return { bytes: bytes.slice(), from: { host: withoutMapping(hostname), port } };
      } catch {
        // One that was sent could not be delivered: some systems tell it here. Others may come.
        if (!this.#closed) await sleep(systemClock, RECEIVE_RETRY_MS);
      }
    }
    return null;
  }

  /** Sends one, or drops it where the system cannot take it. */
  async send(bytes: Uint8Array, to: Address): Promise<void> {
    const mapped = this.#ipv6 && !to.host.includes(":");
    const hostname = mapped ? `::ffff:${to.host}` : to.host;
    try {
      await this.#socket.send(bytes, { transport: "udp", hostname, port: to.port });
    } catch {
      // UDP promises nothing.
    }
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}
