/** Listening sockets: opening them, and the addresses under which others reach them. */
import { type Clock, sleep } from "../../protocol/clock.ts";
import { P2pError, UsageError } from "../../protocol/errors.ts";
import { type Address, isUnspecified } from "../../protocol/address.ts";
import { systemClock } from "../clock.ts";
import { networkInterfaces } from "../interfaces.ts";
import { describeNetworkError } from "../network_error.ts";
import { TcpConnection } from "./tcp.ts";

/**
 * On all addresses, one IPv6 socket takes IPv4 as well on most systems; where it does not, or there
 * is no IPv6, a second one or the other one serves.
 * @param host undefined for all addresses
 * @throws {P2pError} if another program has the port, or this user may not take it
 * @throws {UsageError} if the address is not this machine's
 */
export function openSockets(host: string | undefined, port: number): Deno.TcpListener[] {
  if (host !== undefined) return [openSocket(host, port)];
  let both: Deno.TcpListener;
  try {
    both = Deno.listen({ hostname: "::", port });
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) throw listenError("", port, error);
    return [openSocket("0.0.0.0", port)];
  }
  if (Deno.build.os !== "windows") return [both];
  return [both, openSocket("0.0.0.0", both.addr.port)];
}

function openSocket(hostname: string, port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname, port });
  } catch (error) {
    throw listenError(hostname, port, error);
  }
}

/** What to tell a person whose port could not be opened. */
export function listenError(host: string, port: number, cause: unknown): P2pError {
  if (cause instanceof Deno.errors.AddrInUse) {
    return new P2pError(`Could not listen on port ${port}: another program has it`, {
      hint: "Take another with --port, or --port 0 for any free one.",
      cause,
    });
  }
  if (cause instanceof Deno.errors.PermissionDenied || cause instanceof Deno.errors.NotCapable) {
    return new P2pError(`Could not listen on port ${port}: this user may not`, {
      hint: "Take a port above 1023 with --port.",
      cause,
    });
  }
  return new UsageError(`Could not listen on ${host}: ${describeNetworkError(cause)}`, {
    hint: "Name one of this machine's addresses with --host, or leave --host out for all of them.",
    cause,
  });
}

/** Milliseconds before the next try when a connection could not be accepted. */
const ACCEPT_RETRY_MS = 50;

/**
 * Hands every connection to `take`, until the socket is closed. `open` tells whether it still is.
 */
export async function acceptEach(
  socket: Deno.TcpListener,
  open: () => boolean,
  take: (connection: TcpConnection) => void,
  clock: Clock = systemClock,
): Promise<void> {
  while (open()) {
    try {
      take(new TcpConnection(await socket.accept()));
    } catch {
      if (!open()) return;
      // A connection that broke before it was accepted, or too many open files: the next one may do
      // better.
      await sleep(clock, ACCEPT_RETRY_MS);
    }
  }
}

/**
 * The addresses that others can use, the likeliest first. Loopback, which serves this machine only,
 * comes last.
 */
export function reachableAddresses(host: string | undefined, port: number): Address[] {
  if (host !== undefined && !isUnspecified(host)) return [{ host, port }];
  const ipv4Only = host === "0.0.0.0";
  const found = networkInterfaces()
    .filter((each) => !(ipv4Only && each.family === "IPv6") && !isLinkLocal(each.address))
    .sort((a, b) => rank(a) - rank(b));
  return found.map((each) => ({ host: each.address, port }));
}

/** Link-local addresses need a zone that only the other machine knows. */
function isLinkLocal(ip: string): boolean {
  return /^(fe[89ab]|169\.254\.)/i.test(ip);
}

/** IPv4 is what people can type; loopback serves this machine only. */
function rank(each: Deno.NetworkInterfaceInfo): number {
  const loopback = each.address === "::1" || each.address.startsWith("127.");
  return (loopback ? 2 : 0) + (each.family === "IPv6" ? 1 : 0);
}
