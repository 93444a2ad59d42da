/** A peer that punches, on a simulated network: what a driver with real sockets does, in memory. */
import type { Address } from "../../protocol/address.ts";
import { mappingOf, mayBeSequential, planPunch, type Reach } from "../../protocol/nat.ts";
import type { PunchRole } from "../../protocol/punch_packet.ts";
import { type PunchDatagram, Puncher } from "../../protocol/puncher.ts";
import type { SimulatedHost } from "./simulated_network.ts";

/** Where the relay answers STUN. */
const RELAY: readonly Address[] = [{ host: "198.51.100.200", port: 3_478 }, {
  host: "198.51.100.200",
  port: 3_479,
}];

export interface SentDatagram extends PunchDatagram {
  readonly at: number;
}

export interface PunchingOptions {
  /** Milliseconds by which timers may be late. */
  readonly lateMs?: number;
}

export class PunchingPeer {
  readonly reach: Reach;
  readonly sent: SentDatagram[] = [];
  /** What has come, with the socket that it came to. */
  readonly received: { socket: number; bytes: Uint8Array; from: Address }[] = [];
  puncher: Puncher | undefined;
  /** When the outcome was there. */
  endedAt: number | undefined;
  readonly #host: SimulatedHost;
  readonly #lateMs: number;
  /** The local port of each socket. */
  readonly #ports = new Map<number, number>();
  #cancel = () => {};

  constructor(host: SimulatedHost, { lateMs = 0 }: PunchingOptions = {}) {
    this.#host = host;
    this.#lateMs = lateMs;
    this.#port(0);
    if (host.ipv6) this.#port(1);
    this.reach = this.#look();
  }

  /** Begins at that time of the network's clock. */
  start(
    at: number,
    options: { role: PunchRole; secret: Uint8Array; peer: Reach },
  ): void {
    const { network, ipv6 } = this.#host;
    network.at(at, () => {
      this.puncher = new Puncher({
        ...options,
        plan: planPunch(this.reach, options.peer),
        own: this.reach,
        sockets: ipv6 ? { ipv4: 0, ipv6: 1 } : { ipv4: 0 },
        now: network.now(),
        random: (bytes) => bytes.forEach((_, index) => bytes[index] = network.random() * 256),
      });
      this.#go();
    });
  }

  get localAddress(): Address {
    return { host: this.#host.ip, port: this.#port(0) };
  }

  #go(): void {
    const now = this.#host.network.now();
    this.#sendAll(this.puncher!.poll(now));
    if (this.puncher!.nextAt <= now) {
      throw new Error(`Nothing more is due at ${now}, and told to be`);
    }
  }

  #sendAll(datagrams: PunchDatagram[]): void {
    const { network } = this.#host;
    for (const datagram of datagrams) {
      this.sent.push({ ...datagram, at: network.now() });
      this.#host.send(this.#port(datagram.socket), datagram.to, datagram.bytes, datagram.ttl);
    }
    const { outcome, nextAt } = this.puncher!;
    if (outcome) this.endedAt ??= network.now();
    this.#cancel();
    if (nextAt === Infinity) return;
    const at = Math.max(nextAt, network.now()) + network.random() * this.#lateMs;
    this.#cancel = network.at(at, () => this.#go());
  }

  /** The port of a socket, which is opened if need be. */
  #port(socket: number): number {
    const open = this.#ports.get(socket);
    if (open !== undefined) return open;
    const port = this.#host.open(socket === 1 ? 6 : 4, (bytes, from) => {
      this.received.push({ socket, bytes, from });
      if (this.puncher) {
        this.#sendAll(this.puncher.receive(socket, bytes, from, this.#host.network.now()));
      }
    });
    this.#ports.set(socket, port);
    return port;
  }

  /** Asks the relay's two ports, and again from a further socket where that may show a sequence. */
  #look(): Reach {
    const { ip, ipv6 } = this.#host;
    const udp = [this.localAddress];
    if (ipv6) udp.push({ host: ipv6.ip, port: this.#port(1) });
    const sightings = [this.#sight(this.#port(0))];
    if (mayBeSequential(sightings[0]!.seen)) {
      sightings.push(this.#sight(this.#host.open(4, () => {})));
    }
    const seen = sightings.flatMap((each) => each.seen);
    return { udp, seen, mapping: mappingOf(sightings, [ip]) };
  }

  #sight(port: number) {
    const { network, ip, nat } = this.#host;
    const local = { host: ip, port };
    const seen = RELAY.flatMap((to) => network.seenAs(local, nat, to) ?? []);
    return { local: { host: "0.0.0.0", port }, seen };
  }
}
