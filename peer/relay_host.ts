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
/** Ports that are tried until one is free for TCP and UDP alike. */
const PORT_TRIES = 32;

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
    open: (host: string | undefined, port: number) => Port.open(host, port),
  };
}

/** One port number, TCP and UDP. */
class Port {
  readonly addresses: Address[];
  readonly datagrams: readonly UdpSocket[];
  readonly #sockets: Deno.TcpListener[];

  private constructor(host: string | undefined, sockets: Deno.TcpListener[], udp: UdpSocket[]) {
    this.#sockets = sockets;
    this.datagrams = udp;
    this.addresses = reachableAddresses(host, sockets[0]!.addr.port);
  }

  /**
   * @param port 0: one that is free for both
   * @throws {P2pError} if another program has it, or this user may not take it
   */
  static open(host: string | undefined, port: number): Port {
    for (let tries = 1;; tries++) {
      const sockets = openSockets(host, port);
      try {
        return new Port(host, sockets, openDatagrams(sockets));
      } catch (cause) {
        for (const socket of sockets) socket.close();
        if (port !== 0 || tries === PORT_TRIES) throw datagramError(sockets[0]!.addr.port, cause);
      }
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
    for (const socket of this.datagrams) socket.close();
  }
}

/** On the addresses and the port of the sockets. */
function openDatagrams(sockets: readonly Deno.TcpListener[]): UdpSocket[] {
  const opened: UdpSocket[] = [];
  try {
    for (const { addr } of sockets) opened.push(new UdpSocket(addr.hostname, addr.port));
    return opened;
  } catch (cause) {
    for (const socket of opened) socket.close();
    throw cause;
  }
}

function datagramError(port: number, cause: unknown): P2pError {
  return new P2pError(`Could not listen on UDP port ${port}: another program has it`, {
    hint: "Take another with --port, or --port 0 for any free one.",
    cause,
  });
}
