/**
 * A network in memory, with NATs of every sort and a clock of its own: what would take minutes and
 * a laboratory happens at once, and the same way each time.
 *
 *     host ─┐
 *     host ─┴─ NAT ── core (delay, jitter, loss; too far for a small TTL) ── NAT ── host
 */
import { type Address, formatAddress } from "../../protocol/address.ts";
import { mulberry32 } from "../heavy/mulberry32.ts";

/** As RFC 4787 has them: how ports are given, and what is let in. */
export const NAT_KINDS = [
  "none",
  "firewall",
  "full-cone",
  "restricted",
  "port-restricted",
  "symmetric",
  "symmetric-seq",
  "udp-blocked",
] as const;
export type NatKind = typeof NAT_KINDS[number];

export interface Packet {
  readonly from: Address;
  readonly to: Address;
  readonly bytes: Uint8Array;
  readonly ttl: number;
}

export interface NetworkOptions {
  readonly seed: number;
  /** Milliseconds through the core, one way. */
  readonly delayMs?: number;
  /** Milliseconds by which a packet may be later, so that packets overtake each other. */
  readonly jitterMs?: number;
  /** Of all packets, also on a LAN: from 0 to 1. */
  readonly loss?: number;
}

export interface NatOptions {
  /** Whether hosts behind it reach each other at its public address. */
  readonly hairpin?: boolean;
  /**
   * Whether a packet that comes before one has gone out takes the port, as Linux has it where
   * nothing drops what nobody asked for: ours to that address then leaves from another port.
   */
  readonly earlySpoils?: boolean;
}

/** Routers on the way through the core. */
const CORE_HOPS = 8;
const USUAL_TTL = 64;
/** Milliseconds on a LAN. */
const LAN_MS = 0.2;

interface Timer {
  readonly at: number;
  readonly event: () => void;
}

interface NatMapping {
  readonly inside: Address;
  readonly port: number;
  /** Where the hosts behind it have sent to through it: IP addresses, and addresses with ports. */
  readonly contacted: Set<string>;
}

export class Nat {
  readonly #random: () => number;
  readonly #options: NatOptions;
  readonly #byInside = new Map<string, NatMapping>();
  readonly #byPort = new Map<number, NatMapping>();
  /** Taken by early packets: port and remote address. */
  readonly #spoiled = new Set<string>();
  #nextPort: number;

  constructor(
    readonly kind: NatKind,
    /** The address at which it is seen; that of the host where it does not translate. */
    readonly ip: string,
    random: () => number,
    options: NatOptions = {},
  ) {
    this.#random = random;
    this.#options = options;
    this.#nextPort = 20_000 + Math.floor(random() * 20_000);
  }

  get hairpin(): boolean {
    return this.#options.hairpin ?? false;
  }

  /** Makes the next connection take other ports than a sequence has it. */
  skipPorts(count: number): void {
    this.#nextPort += count;
  }

  /** The packet as it leaves; undefined if it does not. */
  outbound(packet: Packet): Packet | undefined {
    if (this.kind === "udp-blocked") return undefined;
    const mapping = this.#mappingFor(packet);
    mapping.contacted.add(packet.to.host).add(formatAddress(packet.to));
    return { ...packet, from: { host: this.ip, port: mapping.port } };
  }

  /** The packet as it goes on inside; undefined if it is not let in. */
  inbound(packet: Packet): Packet | undefined {
    if (this.kind === "udp-blocked") return undefined;
    const mapping = this.#byPort.get(packet.to.port);
    if (this.kind === "none") return packet;
    if (mapping && this.#admits(mapping, packet.from)) return { ...packet, to: mapping.inside };
    if (this.#options.earlySpoils) {
      this.#spoiled.add(`${packet.to.port} ${formatAddress(packet.from)}`);
    }
    return undefined;
  }

  #mappingFor({ from, to }: Packet): NatMapping {
    const perPeer = this.kind.startsWith("symmetric");
    const inside = formatAddress(from);
    const key = perPeer ? `${inside} ${formatAddress(to)}` : inside;
    const mapping = this.#byInside.get(key) ?? this.#map(key, from);
    if (!this.#spoiled.has(`${mapping.port} ${formatAddress(to)}`)) return mapping;
    const other = `${inside} ${formatAddress(to)} other`;
    return this.#byInside.get(other) ?? this.#map(other, from, this.#randomPort());
  }

  #map(key: string, inside: Address, port = this.#portFor(inside)): NatMapping {
    const mapping: NatMapping = { inside, port, contacted: new Set() };
    this.#byInside.set(key, mapping);
    this.#byPort.set(port, mapping);
    return mapping;
  }

  #portFor(inside: Address): number {
    if (this.kind === "symmetric") return this.#randomPort();
    if (this.kind === "symmetric-seq") return this.#nextPort++;
    return this.#byPort.has(inside.port) ? this.#randomPort() : inside.port;
  }

  #randomPort(): number {
    for (;;) {
      const port = 1_024 + Math.floor(this.#random() * 64_512);
      if (!this.#byPort.has(port)) return port;
    }
  }

  #admits({ contacted }: NatMapping, from: Address): boolean {
    if (this.kind === "full-cone") return true;
    return contacted.has(this.kind === "restricted" ? from.host : formatAddress(from));
  }
}

/** A machine: one IP address of each family at the most. */
export class SimulatedHost {
  readonly #sockets = new Map<string, (bytes: Uint8Array, from: Address) => void>();
  #nextPort: number;

  constructor(
    readonly network: SimulatedNetwork,
    readonly ip: string,
    readonly nat: Nat,
    readonly ipv6?: { ip: string; nat: Nat },
  ) {
    this.#nextPort = 40_000 + Math.floor(network.random() * 10_000);
  }

  /** Opens a socket; returns its port. */
  open(family: 4 | 6, receive: (bytes: Uint8Array, from: Address) => void): number {
    const port = this.#nextPort++;
    this.#sockets.set(`${family} ${port}`, receive);
    return port;
  }

  send(port: number, to: Address, bytes: Uint8Array, ttl = USUAL_TTL): void {
    const ipv6 = to.host.includes(":");
    const from = ipv6 ? this.ipv6 : this;
    if (from) this.network.send({ from: { host: from.ip, port }, to, bytes, ttl }, from.nat);
  }

  receive({ from, to, bytes }: Packet): void {
    this.#sockets.get(`${to.host.includes(":") ? 6 : 4} ${to.port}`)?.(bytes, from);
  }
}

export class SimulatedNetwork {
  readonly random: () => number;
  readonly #options: NetworkOptions;
  /** Each NAT with the hosts behind it, by their addresses there. */
  readonly #lans = new Map<Nat, Map<string, SimulatedHost>>();
  /** In the order in which they fall due. */
  readonly #timers: Timer[] = [];
  #now = 1_000;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.random = mulberry32(options.seed);
  }

  now(): number {
    return this.#now;
  }

  nat(kind: NatKind, ip: string, options: NatOptions = {}): Nat {
    const nat = new Nat(kind, ip, this.random, options);
    this.#lans.set(nat, new Map());
    return nat;
  }

  /** A machine behind NATs that `nat` has made. */
  host(ip: string, nat: Nat, ipv6?: { ip: string; nat: Nat }): SimulatedHost {
    const host = new SimulatedHost(this, ip, nat, ipv6);
    this.#lans.get(nat)!.set(ip, host);
    if (ipv6) this.#lans.get(ipv6.nat)!.set(ipv6.ip, host);
    return host;
  }

  /** Calls `event` at that time; the returned function calls it off. */
  at(at: number, event: () => void): () => void {
    const timer = { at, event };
    let low = 0;
    for (let high = this.#timers.length; low < high;) {
      const middle = (low + high) >> 1;
      if (this.#timers[middle]!.at <= at) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index >= 0) this.#timers.splice(index, 1);
    };
  }

  /** Lets everything happen, up to that time at the latest. */
  run(until: number): void {
    while (this.#timers.length > 0 && this.#timers[0]!.at <= until) {
      const timer = this.#timers.shift()!;
      this.#now = Math.max(this.#now, timer.at);
      timer.event();
    }
    this.#now = Math.max(this.#now, until);
  }

  /** Where a host outside sees what comes from there; undefined if nothing comes. */
  seenAs(from: Address, nat: Nat, to: Address): Address | undefined {
    return nat.outbound({ from, to, bytes: new Uint8Array(0), ttl: USUAL_TTL })?.from;
  }

  send(packet: Packet, nat: Nat): void {
    const neighbour = this.#lans.get(nat)!.get(packet.to.host);
    if (neighbour) return this.#carry(LAN_MS, () => neighbour.receive(packet));
    const outside = nat.outbound(packet);
    if (!outside) return;
    if (outside.to.host === nat.ip) {
      if (nat.hairpin) this.#carry(LAN_MS, () => this.#arrive(outside, nat));
      return;
    }
    const there = [...this.#lans.keys()].find(({ ip }) => ip === outside.to.host);
    if (!there || outside.ttl <= CORE_HOPS) return;
    const { delayMs = 0, jitterMs = 0 } = this.#options;
    this.#carry(delayMs + this.random() * jitterMs, () => this.#arrive(outside, there));
  }

  /** A packet, unaltered, from wherever its maker says that it is. */
  forge(packet: Pick<Packet, "from" | "to" | "bytes">): void {
    this.send({ ...packet, ttl: USUAL_TTL }, this.#outside);
  }

  #outside = new Nat("none", "", () => 0);

  #arrive(packet: Packet, nat: Nat): void {
    const inside = nat.inbound(packet);
    if (inside) this.#lans.get(nat)!.get(inside.to.host)?.receive(inside);
  }

  #carry(delayMs: number, arrive: () => void): void {
    if (this.random() < (this.#options.loss ?? 0)) return;
    this.at(this.#now + delayMs, arrive);
  }
}
