/** Punches a hole from a UDP port to a peer's: drives the pure `Puncher` with sockets and a clock. */
import { randomFillSync } from "node:crypto";
import type { Address } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import { UnreachableError } from "../protocol/errors.ts";
import type { PunchPlan, Reach } from "../protocol/nat.ts";
import type { PunchRole } from "../protocol/punch_packet.ts";
import { type PunchDatagram, Puncher } from "../protocol/puncher.ts";
import { abortable } from "./abortable.ts";
import type { UdpPort } from "./udp_port.ts";

export interface PunchOptions {
  role: PunchRole;
  /** 16 bytes, from the introduction. */
  secret: Uint8Array;
  plan: PunchPlan;
  /** What the peer has told of itself. */
  peer: Reach;
  clock: Clock;
  signal: AbortSignal;
}

/** A local port from which the peer is reached; nothing is bound to it any more. */
export interface Punched {
  readonly port: number;
  readonly ipv6: boolean;
  readonly remote: Address;
  /** In milliseconds. */
  readonly roundTripMs: number | undefined;
}

/**
 * Resolves when both sides have settled on a pair of addresses. The port is closed in any case.
 * @throws {UnreachableError} if no datagram gets through in time
 */
export async function punch(port: UdpPort, options: PunchOptions): Promise<Punched> {
  const drive = new Drive(port, options);
  try {
    return await abortable(drive.done, options.signal);
  } finally {
    drive.stop();
    await port.close();
  }
}

class Drive {
  readonly #port: UdpPort;
  readonly #clock: Clock;
  readonly #puncher: Puncher;
  readonly #done = Promise.withResolvers<Punched>();
  #cancel = () => {};
  #stopped = false;

  constructor(port: UdpPort, { clock, role, secret, plan, peer }: PunchOptions) {
    this.#port = port;
    this.#clock = clock;
    this.#puncher = new Puncher({
      role,
      secret,
      plan,
      peer,
      own: port.reach,
      sockets: port.bases,
      now: clock.now(),
      random: (bytes) => void randomFillSync(bytes),
    });
    this.#done.promise.catch(() => {});
    port.onDatagram = (socket, bytes, from) => this.#receive(socket, bytes, from);
    this.#poll();
  }

  get done(): Promise<Punched> {
    return this.#done.promise;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
    this.#port.onDatagram = undefined;
  }

  #receive(socket: number, bytes: Uint8Array, from: Address): void {
    if (this.#stopped) return;
    this.#send(this.#puncher.receive(socket, bytes, from, this.#clock.now()));
    this.#poll();
  }

  #poll(): void {
    this.#cancel();
    const now = this.#clock.now();
    this.#send(this.#puncher.poll(now));
    if (this.#puncher.outcome) return void this.#finish();
    this.#cancel = this.#clock.after(Math.max(0, this.#puncher.nextAt - now), () => this.#poll());
  }

  #send(datagrams: readonly PunchDatagram[]): void {
    for (const { socket, bytes, to, ttl } of datagrams) this.#port.send(socket, bytes, to, ttl);
  }

  async #finish(): Promise<void> {
    this.stop();
    const outcome = this.#puncher.outcome!;
    const local = outcome.type === "nominated" && await this.#port.local(outcome.socket);
    if (!local) return this.#done.reject(new UnreachableError("no datagram came through"));
    const { remote, roundTripMs } = outcome;
    this.#done.resolve({ ...local, remote, roundTripMs });
  }
}
