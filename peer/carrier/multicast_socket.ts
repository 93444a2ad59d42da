/**
 * Multicast DNS's port, on all interfaces of this machine (RFC 6762). Deno's own sockets cannot
 * choose the interface that a datagram goes out on, so it is node:dgram's.
 */
import { createSocket, type Socket } from "node:dgram";
import {
  MULTICAST_GROUP_IPV4,
  MULTICAST_GROUP_IPV6,
  MULTICAST_PORT,
  MULTICAST_TTL,
} from "../../protocol/announcement.ts";
import { P2pError } from "../../protocol/errors.ts";
import { MAX_MULTICAST_BYTES } from "../../protocol/limits.ts";
import type { Link } from "../links.ts";

/** Datagrams that wait to be sent; more are dropped, as networks do. */
const MAX_WAITING = 256;

/** Told of each datagram that arrives, and of the IP address that it came from. */
export type TakeMulticast = (bytes: Uint8Array, source: string) => void;

/** What announcers and searchers speak through; tests have one of their own. */
export interface Multicast {
  /** Listens on these interfaces, too; those that are gone do no harm. */
  join(links: readonly Link[]): void;
  /** Sends a datagram out on one interface, over each family that it has. */
  send(bytes: Uint8Array, link: Link): void;
  /** Resolves when all is sent, and the port free. Idempotent. */
  close(): Promise<void>;
}

/** Opens it. */
export type OpenMulticast = (take: TakeMulticast) => Promise<Multicast>;

export class MulticastSocket implements Multicast {
  readonly #ipv4: Socket | undefined;
  readonly #ipv6: Socket | undefined;
  /** The last datagram that is being sent, and those before it. */
  #sent: Promise<void> = Promise.resolve();
  #waiting = 0;
  #closed: Promise<void> | undefined;

  private constructor(ipv4: Socket | undefined, ipv6: Socket | undefined) {
    this.#ipv4 = ipv4;
    this.#ipv6 = ipv6;
  }

  /**
   * Shares the port with whoever has it already.
   * @throws {P2pError} if somebody has it who does not share it
   */
  static async open(take: TakeMulticast): Promise<MulticastSocket> {
    const [ipv4, ipv6] = await Promise.all([openFamily(false, take), openFamily(true, take)]);
    if (ipv4 || ipv6) return new MulticastSocket(ipv4, ipv6);
    throw new P2pError(
      `Network not asked: UDP port ${MULTICAST_PORT} cannot be shared with the program that has it`,
      { hint: "Name an address instead: p2p connect HOST:PORT" },
    );
  }

  join(links: readonly Link[]): void {
    for (const { ipv4, zone } of links) {
      if (ipv4 !== undefined) rejoin(this.#ipv4, MULTICAST_GROUP_IPV4, ipv4);
      if (zone !== undefined) rejoin(this.#ipv6, MULTICAST_GROUP_IPV6, `::%${zone}`);
    }
  }

  send(bytes: Uint8Array, link: Link): void {
    if (this.#closed || this.#waiting >= MAX_WAITING) return;
    this.#waiting++;
    // One at a time: the interface is the socket's, not the datagram's.
    this.#sent = this.#sent.then(async () => {
      this.#waiting--;
      if (link.ipv4 !== undefined) await sendBy(this.#ipv4, link.ipv4, MULTICAST_GROUP_IPV4, bytes);
      if (link.zone !== undefined) {
        await sendBy(this.#ipv6, `::%${link.zone}`, MULTICAST_GROUP_IPV6, bytes);
      }
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#sent;
    await Promise.all([this.#ipv4, this.#ipv6].map(closeSocket));
  }
}

/** Undefined where the system has no such family, or somebody has the port for himself. */
async function openFamily(ipv6: boolean, take: TakeMulticast): Promise<Socket | undefined> {
  const family = ipv6 ? { type: "udp6", ipv6Only: true } as const : { type: "udp4" } as const;
  const socket = createSocket({ ...family, reuseAddr: true });
  const bound = Promise.withResolvers<boolean>();
  socket.on("error", () => bound.resolve(false));
  socket.bind(MULTICAST_PORT, ipv6 ? "::" : "0.0.0.0", () => bound.resolve(true));
  if (!await bound.promise) {
    socket.close();
    return undefined;
  }
  attempt(() => socket.setMulticastTTL(MULTICAST_TTL));
  socket.on("message", (bytes, { address, port }) => {
    // Who speaks from another port wants an answer to itself, which is not given.
    if (port !== MULTICAST_PORT || bytes.length > MAX_MULTICAST_BYTES) return;
    take(new Uint8Array(bytes), address);
  });
  return socket;
}

/** Anew in any case: an interface that was gone meanwhile has forgotten who was to hear what. */
function rejoin(socket: Socket | undefined, group: string, by: string): void {
  attempt(() => socket?.dropMembership(group, by));
  attempt(() => socket?.addMembership(group, by));
}

async function sendBy(
  socket: Socket | undefined,
  by: string,
  group: string,
  bytes: Uint8Array,
): Promise<void> {
  if (!socket) return;
  const done = Promise.withResolvers<void>();
  try {
    socket.setMulticastInterface(by);
    socket.send(bytes, MULTICAST_PORT, group, () => done.resolve());
    await done.promise;
  } catch {
    // The interface is gone, or has no such family: UDP promises nothing.
  }
}

async function closeSocket(socket: Socket | undefined): Promise<void> {
  if (!socket) return;
  const closed = Promise.withResolvers<void>();
  socket.close(() => closed.resolve());
  await closed.promise;
}

/** What an interface cannot do, or does already, leaves the others as they are. */
function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // It may be gone by now, or know no multicast.
  }
}
