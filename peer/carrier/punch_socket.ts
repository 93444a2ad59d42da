/**
 * A UDP socket for punching: it can limit how far a datagram goes, and gives its port back so that
 * another may be bound to it at once. Deno's own sockets cannot do the first, so it is node:dgram's.
 */
import { createSocket, type Socket } from "node:dgram";
import type { Address } from "../../protocol/address.ts";

/** How many routers a datagram may pass, where nothing else is asked for. */
const DEFAULT_TTL = 64;
/** Datagrams that wait to be sent; more are dropped, as networks do. */
const MAX_WAITING = 256;

/** Told of each datagram that arrives. */
export type TakeDatagram = (bytes: Uint8Array, from: Address) => void;

export class PunchSocket {
  /** The port that it is bound to. */
  readonly port: number;
  readonly ipv6: boolean;
  readonly #socket: Socket;
  /** The last datagram that is being sent, and those before it. */
  #sent: Promise<void> = Promise.resolve();
  #waiting = 0;
  #closed: Promise<void> | undefined;

  private constructor(socket: Socket, ipv6: boolean, take: TakeDatagram) {
    this.#socket = socket;
    this.ipv6 = ipv6;
    this.port = socket.address().port;
    socket.on("message", (bytes, { address, port }) => {
      // A port of 0 is nobody's: nothing can be sent there.
      if (!this.#closed && port > 0) take(new Uint8Array(bytes), { host: address, port });
    });
    // UDP promises nothing: what could not be delivered was lost.
    socket.on("error", () => {});
  }

  /**
   * Binds a socket to a free port of all addresses of one family; undefined where the system has no
   * such family, or no more sockets.
   */
  static async open(ipv6: boolean, take: TakeDatagram): Promise<PunchSocket | undefined> {
    const socket = createSocket(ipv6 ? { type: "udp6", ipv6Only: true } : { type: "udp4" });
    const bound = Promise.withResolvers<boolean>();
    socket.once("error", () => bound.resolve(false));
    socket.bind(0, ipv6 ? "::" : "0.0.0.0", () => bound.resolve(true));
    if (await bound.promise) return new PunchSocket(socket, ipv6, take);
    socket.close();
    return undefined;
  }

  /**
   * Sends one, or drops it where the system cannot take it.
   * @param ttl how many routers it may pass
   */
  send(bytes: Uint8Array, to: Address, ttl: number = DEFAULT_TTL): void {
    if (this.#closed || this.#waiting >= MAX_WAITING) return;
    this.#waiting++;
    // One at a time: the limit is the socket's, not the datagram's.
    this.#sent = this.#sent.then(() => this.#send(bytes, to, ttl));
  }

  /** Resolves when the port is free. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #send(bytes: Uint8Array, to: Address, ttl: number): Promise<void> {
    this.#waiting--;
    const done = Promise.withResolvers<void>();
    try {
      if (ttl !== DEFAULT_TTL) this.#setTtl(ttl);
      this.#socket.send(bytes, to.port, to.host, () => done.resolve());
      await done.promise;
      if (ttl !== DEFAULT_TTL) this.#setTtl(DEFAULT_TTL);
    } catch {
      // It was closed meanwhile, or the address is of no use to this system.
    }
  }

  #setTtl(ttl: number): void {
    // IPv6's hop limit cannot be set here; its firewalls do not translate, so nothing is spoiled.
    if (!this.ipv6) this.#socket.setTTL(ttl);
  }

  async #close(): Promise<void> {
    // What was handed over is sent: the last datagram may be the one that matters.
    await this.#sent;
    const closed = Promise.withResolvers<void>();
    this.#socket.close(() => closed.resolve());
    await closed.promise;
  }
}
