/** Addresses as people write them: `1.2.3.4:8080`, `[::1]:8080`, `host.example:8080`. */
import { UsageError } from "./errors.ts";
import { ipToBytes } from "./ip_address.ts";

/** Where a peer listens. An IPv6 host has no brackets here. */
export interface Address {
  host: string;
  port: number;
}

/** The port of `listen` where none is named. */
export const DEFAULT_PORT = 8080;

const HOST_NAME = /^[\p{L}\p{N}_]([\p{L}\p{N}_.-]{0,252})$/u;
const IPV6 = /^[0-9a-f:.]*:[0-9a-f:.]*(%[\w.-]+)?$/i;

/**
 * Reads an address.
 * @param defaultPort the port if the text names none; without it a port is required
 * @throws {UsageError} that says what is wrong with it
 */
export function parseAddress(text: string, defaultPort?: number): Address {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text.trim());
  if (!match) throw badAddress(text, "IPv6 addresses need brackets");
  const [, ipv6, name, portText] = match;
  const host = ipv6 ?? name!;
  if (ipv6 !== undefined ? !IPV6.test(ipv6) : !isHost(host)) {
    throw badAddress(text, "no host in it");
  }
  if (portText === undefined && defaultPort !== undefined) return { host, port: defaultPort };
  return { host, port: parsePort(text, portText ?? "") };
}

/** Whether a text can only be meant as an address, however wrong it is. */
export function looksLikeAddress(text: string): boolean {
  return /:\d*$|^\d+\.[\d.]*$|^\[/.test(text);
}

/** The text that `parseAddress` reads back. */
export function formatAddress(address: Address): string {
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/**
 * Whether an IP address is of a private, link-local or loopback network: then the peer is on this
 * network.
 */
export function isLocal(ip: string): boolean {
  const address = ip.toLowerCase();
  return /^(127|10)\./.test(address) || /^192\.168\./.test(address) ||
    /^172\.(1[6-9]|2\d|3[01])\./.test(address) || /^169\.254\./.test(address) ||
    address === "::1" || /^f[cd]/.test(address) || /^fe[89ab]/.test(address);
}

/** The address, if the text is an IP address and a port: what peers and relays tell each other. */
export function parseIpAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([\d.]+)):(\d{1,5})$/i.exec(text);
  if (!match) return undefined;
  const [, ipv6, ipv4, portText] = match;
  const port = Number(portText);
  const host = ipv6 ?? ipv4!;
  const good = host.includes(":") === (ipv6 !== undefined) && ipToBytes(host) !== undefined;
  return good && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/** Whether an IP address stands for this machine itself. */
export function isLoopback(ip: string): boolean {
  return ip === "::1" || ip.startsWith("127.");
}

/**
 * Whether an IP address that somebody tells may be sent to: neither any address, nor one for many,
 * nor one that needs a zone of another machine.
 * @param onThisMachine whether whoever told it may be on this machine
 */
export function isDialable(ip: string, onThisMachine: boolean): boolean {
  if (isLoopback(ip)) return onThisMachine;
  return !/^(0\.|22[4-9]\.|2[3-5]\d\.|169\.254\.|::$|::ffff:|ff|fe[89ab])/i.test(ip);
}

/** Whether an IP address stands for all of a machine's. */
export function isUnspecified(ip: string): boolean {
  return ip === "::" || ip === "0.0.0.0";
}

function isHost(host: string): boolean {
  return /^[\d.]+$/.test(host) ? ipToBytes(host) !== undefined : HOST_NAME.test(host);
}

function parsePort(text: string, port: string): number {
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535 || Number(port) === 0) {
    throw badAddress(text, "no port from 1 to 65535 in it");
  }
  return Number(port);
}

function badAddress(text: string, what: string): UsageError {
  return new UsageError(`Address not understood: ${JSON.stringify(text)}: ${what}`, {
    hint: "Write it as 1.2.3.4:8080, [::1]:8080 or host.example:8080.",
  });
}
