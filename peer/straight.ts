/**
 * The ways to a peer that go neither through a relay nor to an address at which it listens: a
 * punched UDP port, or a simultaneous open over TCP (protocol/README.md, section 12).
 */
import { type Address, isLoopback } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import { UnreachableError } from "../protocol/errors.ts";
import { planPunch, type PunchPlan, type Reach } from "../protocol/nat.ts";
import type { PunchRole } from "../protocol/punch_packet.ts";
import { acceptQuic, dialQuic, warmUpQuic } from "./carrier/quic.ts";
import { openSimultaneously } from "./carrier/node_tcp.ts";
import { reachableAddresses } from "./carrier/listen_tcp.ts";
import { resolveHost } from "./carrier/resolve.ts";
import { punch } from "./punch.ts";
import { UdpPort } from "./udp_port.ts";

export interface StraightOptions {
  /** 16 bytes, from the introduction. */
  secret: Uint8Array;
  /** What the peer has told of itself. */
  peer: Reach;
  /** Our control session's local port, and where the relay sees that of the peer. */
  tcp: { localPort: number; remote: Address } | undefined;
  signal: AbortSignal;
}

/** One try: a port, what is known of it, and the way from it. */
export interface Opening {
  /** What to tell the peer. */
  readonly reach: Reach;
  /** Resolves when that is all known. */
  readonly known: Promise<void>;
  /** Told when it is not true any more. */
  onChanged: (() => void) | undefined;
  /** What can be tried with such a peer. */
  plan(peer: Reach): PunchPlan;
  /**
   * Finds a way, and uses the port up.
   * @throws {UnreachableError} if there is none
   */
  connect(options: StraightOptions): Promise<Connection>;
  /** Gives it up. Idempotent. */
  close(): void;
}

/** Begins a try of one side; the relay tells where its port is seen. */
export type OpenStraight = (relay: Address, role: PunchRole) => Opening;

/** The ways of this machine's network. */
export function systemStraight(clock: Clock): OpenStraight {
  let warm: Promise<void> | undefined;
  return (relay, role) => {
    const port = new UdpPort(resolveHost(relay, { preferIpv4: hasIpv4() }), clock);
    // While nobody waits yet: the asker is waited for, and does not dial. What fails here fails
    // again, and is told, when it matters.
    if (role === "target") warm ??= port.known.then(warmUpQuic).catch(() => {});
    return new SystemOpening(port, role, clock);
  };
}

/** Whether this machine is in an IPv4 network: that is where the NATs are. */
function hasIpv4(): boolean {
  return reachableAddresses("0.0.0.0", 0).some(({ host }) => !isLoopback(host));
}

class SystemOpening implements Opening {
  readonly #port: UdpPort;
  readonly #role: PunchRole;
  readonly #clock: Clock;

  constructor(port: UdpPort, role: PunchRole, clock: Clock) {
    this.#port = port;
    this.#role = role;
    this.#clock = clock;
  }

  get reach(): Reach {
    return this.#port.reach;
  }

  get known(): Promise<void> {
    return this.#port.known;
  }

  get onChanged(): (() => void) | undefined {
    return this.#port.onChanged;
  }

  set onChanged(told: (() => void) | undefined) {
    this.#port.onChanged = told;
  }

  plan(peer: Reach): PunchPlan {
    return planPunch(this.reach, peer);
  }

  async connect(options: StraightOptions): Promise<Connection> {
    const plan = this.plan(options.peer);
    const { tcp = undefined, signal } = plan.tcp ? options : { signal: options.signal };
    try {
      if (plan.udp !== "none") return await this.#overUdp(options, plan);
    } catch (error) {
      if (!tcp || signal.aborted) throw error;
    }
    this.close();
    if (tcp) return await openSimultaneously({ ...tcp, signal });
    throw new UnreachableError(plan.relayedBecause ?? "there is no way around the relay");
  }

  close(): void {
    this.#port.close();
  }

  async #overUdp(options: StraightOptions, plan: PunchPlan): Promise<Connection> {
    const { secret, peer, signal } = options;
    const [role, clock] = [this.#role, this.#clock];
    const punched = await punch(this.#port, { role, secret, plan, peer, signal, clock });
    return await (role === "asker" ? acceptQuic : dialQuic)({ ...punched, signal, clock });
  }
}
