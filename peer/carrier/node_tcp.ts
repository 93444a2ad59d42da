/**
 * TCP over Node's sockets. They can connect from a local port that another connection has, which
 * Deno's own cannot: that is how two peers get to each other through their NATs over TCP, each from
 * the port of its control session (protocol/README.md, section 12).
 */
import { lookup } from "node:dns/promises";
import { connect, type Socket } from "node:net";
import { type Address, isLocal } from "../../protocol/address.ts";
import { type Clock, sleep } from "../../protocol/clock.ts";
import type { Connection } from "../../protocol/connection.ts";
import { ipToBytes } from "../../protocol/ip_address.ts";
import { systemClock } from "../clock.ts";
import { Deadline } from "../deadline.ts";
import { hedged } from "./hedged.ts";
import { NodeTcpConnection } from "./node_tcp_connection.ts";
import { punchedPath } from "./punched_path.ts";
import { PUNCHED, RELAY, undialled } from "./tcp.ts";

/** Milliseconds for one of a host name's addresses, where others are left. */
const ONE_ADDRESS_MS = 3_000;
/** Milliseconds between two tries of a simultaneous open, on average, and for all of them. */
const TRY_EVERY_MS = 100;
const TRY_FOR_MS = 4_000;

/**
 * A TCP connection to a relay. While it is open its local port serves `openSimultaneously` too. A
 * host name's addresses are tried as the system gives them.
 * @throws {UnreachableError} if nobody answers there, or not before the signal aborts
 */
export async function dialRelayPort(
  address: Address,
  signal: AbortSignal,
): Promise<Connection & { localPort: number }> {
  try {
    const hosts = await addressesOf(address.host);
    const socket = await connectToOne(hosts, address.port, signal);
    return new NodeTcpConnection(socket, (host) => isLocal(host) ? "lan" : "direct");
  } catch (cause) {
    throw undialled(address, RELAY, signal, cause);
  }
}

export interface SimultaneousOptions {
  /** The port of a connection from `dialRelayPort`, which stays open meanwhile. */
  localPort: number;
  /** Where the other side connects from. */
  remote: Address;
  signal: AbortSignal;
  clock?: Clock;
}

/**
 * Connects to somebody who does the same at the same time: both are let through by their own NATs,
 * and neither listens (RFC 9293, 3.5).
 * @throws {UnreachableError} if that fails for 4 s, or until the signal aborts
 */
export async function openSimultaneously(options: SimultaneousOptions): Promise<Connection> {
  const { localPort, remote, signal, clock = systemClock } = options;
  using deadline = new Deadline(clock, signal, TRY_FOR_MS, new DOMException("", "TimeoutError"));
  const either = deadline.signal;
  try {
    for (;;) {
      try {
        const socket = await connectFrom(localPort, remote, either);
        return new NodeTcpConnection(socket, () => punchedPath(remote));
      } catch (cause) {
        if (either.aborted) throw cause;
        // Refused: the other side was not trying just then. By chance, lest both go on missing
        // each other, always by the same.
        await sleep(clock, TRY_EVERY_MS * (0.5 + Math.random()), either);
      }
    }
  } catch (cause) {
    throw undialled(remote, PUNCHED, either, cause);
  }
}

async function addressesOf(host: string): Promise<string[]> {
  if (ipToBytes(host)) return [host];
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

/** Tries one address after the other. */
async function connectToOne(hosts: string[], port: number, signal: AbortSignal): Promise<Socket> {
  const last = hosts.at(-1)!;
  for (const host of hosts.slice(0, -1)) {
    try {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(ONE_ADDRESS_MS)]);
      return await connectHedged({ host, port }, limited);
    } catch (cause) {
      if (signal.aborted) throw cause;
    }
  }
  return await connectHedged({ host: last, port }, signal);
}

function connectHedged(address: Address, signal: AbortSignal): Promise<Socket> {
  return hedged(
    (each) => connectFrom(0, address, each),
    { signal, discard: (late) => late.destroy() },
  );
}

/**
 * Makes one attempt to connect.
 * @param localPort 0 for any that is free
 * @throws the signal's reason, if it aborts first; else the system's error
 */
async function connectFrom(
  localPort: number,
  { host, port }: Address,
  signal: AbortSignal,
): Promise<Socket> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // A local address, if only the one that stands for all, makes the port one that can be shared.
  const localAddress = host.includes(":") ? "::" : "0.0.0.0";
  const socket = connect({ host, port, localAddress, localPort, allowHalfOpen: true });
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort);
  socket.once("connect", resolve).once("error", reject);
  try {
    await promise;
    return socket;
  } catch (cause) {
    socket.on("error", () => {});
    socket.destroy();
    throw cause;
  } finally {
    signal.removeEventListener("abort", abort);
    socket.off("connect", resolve).off("error", reject);
  }
}
