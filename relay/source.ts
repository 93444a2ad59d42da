/** Whom limits count for: an IPv4 address, or the /64 network that one IPv6 customer has. */

/** Groups of an IPv6 address that name its network. */
const NETWORK_GROUPS = 4;
const GROUPS = 8;

/**
 * What an IP address counts as. A zone behind it is left out, and an IPv4 address within an IPv6
 * one is the IPv4 address.
 */
export function sourceOf(ip: string): string {
  if (!ip.includes(":")) return ip;
  const groups = expand(ip.replace(/%.*$/, ""));
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (mapped) {
    return [groups[6]! >> 8, groups[6]! & 255, groups[7]! >> 8, groups[7]! & 255].join(".");
  }
  return `${groups.slice(0, NETWORK_GROUPS).map((group) => group.toString(16)).join(":")}::/64`;
}

/** The IP address and port of a connection's other end, without the zone that only this machine knows. */
export function endpointOf(remote: string): { ip: string; address: string } {
  const address = remote.replace(/%[^\]]*/, "");
  return { ip: address.replace(/:\d+$/, "").replace(/^\[|\]$/g, ""), address };
}

/** The eight groups of an IPv6 address. */
function expand(ip: string): number[] {
  const [head = "", tail] = ip.split("::");
  const before = groupsOf(head);
  if (tail === undefined) return before;
  const after = groupsOf(tail);
  return [
    ...before,
    ...Array(Math.max(0, GROUPS - before.length - after.length)).fill(0),
    ...after,
  ];
}

/** Groups joined with ":"; the last one may be an IPv4 address, which stands for two. */
function groupsOf(text: string): number[] {
  return text.split(":").filter(Boolean).flatMap((group) => {
    if (!group.includes(".")) return parseInt(group, 16);
    const [a, b, c, d] = group.split(".").map(Number) as [number, number, number, number];
    return [a << 8 | b, c << 8 | d];
  });
}
