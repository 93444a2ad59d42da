/** Whom limits count for: an IPv4 address, or the /64 network that one IPv6 customer has. */
import { ipToBytes } from "../protocol/ip_address.ts";

const IPV4_BYTES = 4;
/** Bytes of an IPv6 address that name its network. */
const NETWORK_BYTES = 8;

/**
 * What an IP address counts as. A zone behind it is left out, and an IPv4 address within an IPv6
 * one is the IPv4 address.
 */
export function sourceOf(ip: string): string {
  if (!ip.includes(":")) return ip;
  const bytes = ipToBytes(ip);
  if (!bytes) return ip;
  if (bytes.length === IPV4_BYTES) return bytes.join(".");
  return `${bytes.subarray(0, NETWORK_BYTES).toHex()}/64`;
}

/**
 * The IP address and port of a connection's other end, without the zone that only this machine
 * knows.
 */
export function endpointOf(remote: string): { ip: string; address: string } {
  const address = remote.replace(/%[^\]]*/, "");
  return { ip: address.replace(/:\d+$/, "").replace(/^\[|\]$/g, ""), address };
}
