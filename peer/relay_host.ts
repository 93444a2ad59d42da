/**
 * What a relay needs of this machine: the shapes that relay/host.ts names, which main.ts hands to
 * it. Nothing of a relay is known here.
 */
import type { Address } from "../protocol/address.ts";
import type { Connection } from "../protocol/connection.ts";
import { P2pError } from "../protocol/errors.ts";
import { acceptEach, openSockets, reachableAddresses } from "./carrier/listen_tcp.ts";
import { UdpSocket } from "./carrier/udp.ts";
import { systemClock } from "./clock.ts";
import { countFreeDescriptors } from "./descriptors.ts";
import { configFolder } from "./folders.ts";
import type { Environment } from "./host.ts";
import { loadIdentity } from "./identity.ts";
import { readPassword } from "./password.ts";

/** Descriptors that are of interest: more than the connections that a relay takes. */
const DESCRIPTORS_OF_INTEREST = 21_000;
/** Ports that are tried until one is free for TCP and UDP alike, or on all addresses. */
const PORT_TRIES = 32;
const MAX_PORT = 65_535;

export interface RelayHostFlags {
  "password-file": string | undefined;
  "max-connections": number | undefined;
}

/**
 * Loads what a relay needs.
 * @throws {FileError} if the identity or the password cannot be read
 * @throws {UsageError} if there is a file for the password, and none in it
 */
export async function relayHost(environment: Environment, flags: RelayHostFlags) {
  const { output, signal, terminated } = environment;
  const wanted = Math.max(DESCRIPTORS_OF_INTEREST, 2 * (flags["max-connections"] ?? 0));
  const variable = (name: string) => Deno.env.get(name);
  return {
    identity: await loadIdentity(configFolder(variable)),
    clock: systemClock,
    log: output,
    password: await readPassword(flags["password-file"], variable),
    signal,
    terminated,
    descriptorLimit: countFreeDescriptors(wanted),
    open: (host: string | undefined, port: number, stunPort: number | undefined) =>
      Port.open(host, port, stunPort),
  };
}

/** The UDP sockets of an address, or of all of a family. */
interface SocketPair {
  readonly main: UdpSocket;
  readonly stun: UdpSocket;
}

/** One port number, TCP and UDP, and a second one for STUN. */
class Port {
  readonly addresses: Address[];
  readonly stunPort: number;
  readonly datagrams: readonly SocketPair[];
  readonly #sockets: Deno.TcpListener[];

  private constructor(addresses: Address[], sockets: Deno.TcpListener[], udp: SocketPair[]) {
    this.addresses = addresses;
    this.stunPort = udp[0]!.stun.address.port;
    this.datagrams = udp;
    this.#sockets = sockets;
  }

  /**
   * @param port 0: one that is free for both
   * @param stunPort 0: any free one; undefined: the next one, if that is free and `port` is not 0
   * @throws {P2pError} if another program has one of them, or this user may not take it
   */
  static open(host: string | undefined, port: number, stunPort: number | undefined): Port {
    const { sockets, datagrams } = openMain(host, port);
    const { port: found } = datagrams[0]!.address;
    try {
      const hosts = datagrams.map(({ address }) => address.host);
      const second = openStun(hosts, stunPort, port === 0 ? 0 : found + 1);
      const pairs = datagrams.map((main, index) => ({ main, stun: second[index]! }));
      return new Port(reachableAddresses(host, found), sockets, pairs);
    } catch (error) {
      for (const socket of [...sockets, ...datagrams]) socket.close();
      throw error;
    }
  }

  /** Calls `take` with each connection that comes, until `close`. */
  accept(take: (connection: Connection) => void): void {
    for (const socket of this.#sockets) {
      acceptEach(socket, () => this.#sockets.includes(socket), take);
    }
  }

  /** Idempotent. */
  close(): void {
    for (const socket of this.#sockets.splice(0)) socket.close();
    for (const { main, stun } of this.datagrams) {
      main.close();
      stun.close();
    }
  }
}

/** The sockets of one port number, TCP and UDP. */
function openMain(host: string | undefined, port: number) {
  for (let tries = 1;; tries++) {
    const sockets = openSockets(host, port);
    const found = sockets[0]!.addr.port;
    try {
      const hosts = sockets.map(({ addr }) => addr.hostname);
      return { sockets, datagrams: openDatagrams(hosts, found) };
    } catch (cause) {
      for (const socket of sockets) socket.close();
      if (port !== 0 || tries === PORT_TRIES) throw datagramError(found, "--port", cause);
    }
  }
}

/**
 * @param wanted what the user asked for
 * @param next what is best where they asked for none; 0 and what is no port: any free one
 */
function openStun(hosts: string[], wanted: number | undefined, next: number): UdpSocket[] {
  const port = wanted ?? next;
  try {
    return port > MAX_PORT ? openAnywhere(hosts) : openDatagrams(hosts, port);
  } catch (cause) {
    if (wanted) throw datagramError(wanted, "--stun-port", cause);
    return openAnywhere(hosts);
  }
}

/** On a port number that is free on all of these addresses. */
function openAnywhere(hosts: string[]): UdpSocket[] {
  for (let tries = 1;; tries++) {
    try {
      return openDatagrams(hosts, 0);
    } catch (cause) {
      if (tries === PORT_TRIES) {
        throw new P2pError("Could not listen on a second UDP port, for STUN: none is free", {
          hint: "Name one that is with --stun-port.",
          cause,
        });
      }
    }
  }
}

/** On these addresses and one port number; 0: one that is free on the first of them. */
function openDatagrams(hosts: string[], port: number): UdpSocket[] {
  const opened: UdpSocket[] = [];
  try {
    for (const host of hosts) opened.push(new UdpSocket(host, opened[0]?.address.port ?? port));
    return opened;
  } catch (cause) {
    for (const socket of opened) socket.close();
    throw cause;
  }
}

/** @param flag what names another port */
function datagramError(port: number, flag: string, cause: unknown): P2pError {
  const denied = cause instanceof Deno.errors.PermissionDenied;
  const why = denied ? "this user may not" : "another program has it";
  return new P2pError(`Could not listen on UDP port ${port}: ${why}`, {
    hint: `Take another with ${flag}, or ${flag} 0 for any free one.`,
    cause,
  });
}
