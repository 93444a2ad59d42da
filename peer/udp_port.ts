/**
 * A UDP port that is ready to be punched from: sockets of both families, what STUN tells of them,
 * and the mapping kept alive until they are used.
 *
 *     open ──▶ asking ──▶ known ──▶ used by `punch` ──▶ closed, and one port handed over
 *                           └─ every 15 s asked again; `onChanged` if the answer is another
 */
import { type Address, formatAddress, isLoopback } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import { MAX_CANDIDATES } from "../protocol/limits.ts";
import { mappingOf, mayBeSequential, type Reach, type Sighting } from "../protocol/nat.ts";
import { reachableAddresses } from "./carrier/listen_tcp.ts";
import { PunchSocket } from "./carrier/punch_socket.ts";
import { StunClient } from "./stun_client.ts";

/** Milliseconds between two questions that keep a mapping alive: many last 30 s, some less. */
const KEEP_ALIVE_MS = 15_000;
/** The sockets from which is punched first; those of `spread` count from the next number on. */
export const IPV4 = 0;
export const IPV6 = 1;
/** The socket that only counts a sequential NAT's ports. */
const COUNTING = -1;

/** Told of what arrives that is no answer to STUN. */
export type TakeFromSocket = (socket: number, bytes: Uint8Array, from: Address) => void;

export class UdpPort {
  /** Resolves when STUN has answered, or will not, or cannot be asked. */
  readonly known: Promise<void>;
  /** Told when the port is seen elsewhere, or no more: another one is needed. */
  onChanged: (() => void) | undefined;
  /** Takes what arrives, as long as it is set. */
  onDatagram: TakeFromSocket | undefined;
  readonly #clock: Clock;
  readonly #sockets = new Map<number, Promise<PunchSocket | undefined>>();
  readonly #stuns = new Map<number, StunClient>();
  /** The local port of each family's socket. */
  readonly #ports = new Map<number, number>();
  #server: Address | undefined;
  #reach: Reach = { udp: [], seen: [], mapping: undefined };
  #closed = false;
  #cancelKeepAlive = () => {};

  /**
   * Opens the sockets, and asks.
   * @param server a relay, or another STUN server: an IP address; undefined if it cannot be found
   */
  constructor(server: Promise<Address | undefined>, clock: Clock) {
    this.#clock = clock;
    this.known = this.#learn(server);
  }

  /** What is known of it by now. */
  get reach(): Reach {
    return this.#reach;
  }

  /** The sockets that are there, for `Puncher`. */
  get bases(): { ipv4?: number; ipv6?: number } {
    return {
      ...(this.#ports.has(IPV4) ? { ipv4: IPV4 } : {}),
      ...(this.#ports.has(IPV6) ? { ipv6: IPV6 } : {}),
    };
  }

  /** Sends from a socket; from one of a new number as soon as it is open. */
  async send(socket: number, bytes: Uint8Array, to: Address, ttl?: number): Promise<void> {
    (await this.#open(socket))?.send(bytes, to, ttl);
  }

  /** The local port of a socket, and its family. */
  async local(socket: number): Promise<{ port: number; ipv6: boolean } | undefined> {
    const open = await this.#sockets.get(socket);
    return open && { port: open.port, ipv6: open.ipv6 };
  }

  /** Resolves when all ports are free. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelKeepAlive();
    for (const stun of this.#stuns.values()) stun.close();
    await Promise.all([...this.#sockets.values()].map(async (each) => (await each)?.close()));
  }

  #open(id: number): Promise<PunchSocket | undefined> {
    const known = this.#sockets.get(id);
    if (known || this.#closed) return known ?? Promise.resolve(undefined);
    const opening = PunchSocket.open(id === IPV6, (bytes, from) => this.#take(id, bytes, from));
    this.#sockets.set(id, opening);
    return opening;
  }

  #take(id: number, bytes: Uint8Array, from: Address): void {
    if (!this.#stuns.get(id)?.receive(bytes)) this.onDatagram?.(id, bytes, from);
  }

  async #learn(finding: Promise<Address | undefined>): Promise<void> {
    const [server] = await Promise.all([finding, this.#openBase(IPV4), this.#openBase(IPV6)]);
    if (!server || this.#closed) return;
    this.#server = server;
    const sightings = await this.#sight(server);
    // Without a socket there was nobody to ask: that tells nothing of the network.
    if (sightings.length === 0) return;
    const hosts = ownHosts(isLoopback(server.host));
    const mapping = mappingOf(sightings, hosts);
    const seen = sightings.flatMap((each) => each.seen);
    this.#reach = { udp: this.#candidates(hosts), seen, mapping };
    this.#keepAlive();
  }

  async #openBase(id: number): Promise<void> {
    const socket = await this.#open(id);
    if (socket) this.#ports.set(id, socket.port);
  }

  /** Where the server's ports see the socket of its family, and one more if they may be counting. */
  async #sight(server: Address): Promise<Sighting[]> {
    const base = familyOf(server);
    const first = await this.#askBothPorts(base, server);
    if (!first || !mayBeSequential(first.seen)) return first ? [first] : [];
    const second = await this.#askBothPorts(COUNTING, server);
    return second ? [first, second] : [first];
  }

  async #askBothPorts(id: number, server: Address): Promise<Sighting | undefined> {
    const socket = await this.#open(id);
    if (!socket) return undefined;
    const stun = new StunClient(socket, this.#clock);
    this.#stuns.set(id, stun);
    const local = { host: socket.ipv6 ? "::" : "0.0.0.0", port: socket.port };
    const first = await stun.ask(server);
    if (!first) return { local, seen: [] };
    // Only the port: the relay may not know under which address it is reached.
    const second = first.other && await stun.ask({ host: server.host, port: first.other.port });
    return { local, seen: second ? [first.mapped, second.mapped] : [first.mapped] };
  }

  #candidates(hosts: readonly string[]): Address[] {
    const found = hosts.flatMap((host) => {
      const port = this.#ports.get(familyOf({ host }));
      return port === undefined ? [] : [{ host, port }];
    });
    return found.slice(0, MAX_CANDIDATES);
  }

  #keepAlive(): void {
    if (this.#closed) return;
    this.#cancelKeepAlive = this.#clock.after(KEEP_ALIVE_MS, () => this.#askAgain());
  }

  async #askAgain(): Promise<void> {
    const server = this.#server!;
    const answer = await this.#stuns.get(familyOf(server))?.ask(server);
    if (this.#closed) return;
    const [before] = this.#reach.seen;
    const now = answer?.mapped;
    if ((before && formatAddress(before)) === (now && formatAddress(now))) this.#keepAlive();
    else this.onChanged?.();
  }
}

function familyOf({ host }: Pick<Address, "host">): number {
  return host.includes(":") ? IPV6 : IPV4;
}

/** The addresses of this machine that others may reach; loopback's only where the relay is here. */
function ownHosts(here: boolean): string[] {
  const hosts = reachableAddresses(undefined, 0).map(({ host }) => host);
  return hosts.filter((host) => here || !isLoopback(host));
}
