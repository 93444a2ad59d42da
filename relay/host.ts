/**
 * What a relay needs of the world around it, as interfaces only: `peer/relay_host.ts` gives it, and
 * tests give it fakes. The relay itself opens no socket and knows no terminal.
 */
import type { Address } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import type { KeyPair } from "../protocol/noise.ts";

/** A UDP socket. */
export interface Datagrams {
  /** What it is bound to: the host may be the unspecified address. */
  readonly address: Address;
  /** The next datagram and who sent it; null when the socket is closed. */
  receive(): Promise<{ bytes: Uint8Array; from: Address } | null>;
  /** Sends one, or drops it where the system cannot take it: as the network may, too. */
  send(bytes: Uint8Array, to: Address): Promise<void>;
  close(): void;
}

/** The two UDP sockets that a relay has on an address, or on all of a family. */
export interface DatagramPair {
  /** On the relay's port number: takes all that is told to a relay over UDP. */
  readonly main: Datagrams;
  /** On its second port, which takes STUN alone. */
  readonly stun: Datagrams;
}

/** One port number, TCP and UDP, and a second one for STUN. */
export interface RelayPort {
  /** The addresses that others can use, the likeliest first. */
  readonly addresses: Address[];
  /** The second port, of UDP alone. */
  readonly stunPort: number;
  /** Calls `take` with each connection that comes, until `close`. */
  accept(take: (connection: Connection) => void): void;
  readonly datagrams: readonly DatagramPair[];
  /** Takes no more connections and datagrams; connections that were taken go on. Idempotent. */
  close(): void;
}

/** What a relay tells of itself: for people, and as events for programs. */
export interface RelayLog {
  event(name: string, fields?: Readonly<Record<string, unknown>>): void;
  say(...lines: string[]): void;
  warn(...lines: string[]): void;
}

export interface RelayHost {
  /** The relay's static key. */
  readonly identity: KeyPair;
  readonly clock: Clock;
  readonly log: RelayLog;
  /** The password of a closed relay. */
  readonly password: string | undefined;
  /** Aborts when the program is to end: an InterruptedError as its reason. */
  readonly signal: AbortSignal;
  /** Whether it was the system that asked to end (SIGTERM), so that circuits may be drained. */
  readonly terminated: () => boolean;
  /** File descriptors that this process may have open. */
  readonly descriptorLimit: number;
  /**
   * Opens the ports.
   * @param stunPort 0: any free one; undefined: the next one if it is free and `port` is not 0
   * @throws {P2pError} if one is taken
   */
  open(host: string | undefined, port: number, stunPort: number | undefined): RelayPort;
}
