/** IP addresses as bytes. */

const IPV4_BYTES = 4;
const IPV6_BYTES = 16;
/** What stands before an IPv4 address that a socket for both families shows as an IPv6 one. */
const MAPPED_PREFIX = "00000000000000000000ffff";

/**
 * The 4 or 16 bytes of an IP address, without brackets; undefined if it is none. An IPv4 address
 * within an IPv6 one has 4.
 */
export function ipToBytes(host: string): Uint8Array<ArrayBuffer> | undefined {
  if (!host.includes(":")) return ipv4ToBytes(host);
  const bytes = ipv6ToBytes(host.replace(/%.*/, ""));
  return bytes?.toHex().startsWith(MAPPED_PREFIX) ? bytes.slice(-IPV4_BYTES) : bytes;
}

/** The text of an IP address of 4 or 16 bytes, as short as it can be. */
export function ipFromBytes(bytes: Uint8Array): string {
  if (bytes.length === IPV4_BYTES) return bytes.join(".");
  const groups = bytes.toHex().match(/.{4}/g)!;
  // URLs write IPv6 addresses in the one form that RFC 5952 recommends.
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

/** The address of an IPv4 peer that a socket for both families shows as an IPv6 one; any other stays. */
export function withoutMapping(host: string): string {
  return host.replace(/^::ffff:(?=[\d.]+$)/i, "");
}

/** Without leading zeros: some programs take those for octal numbers. */
function ipv4ToBytes(host: string): Uint8Array<ArrayBuffer> | undefined {
  const parts = host.split(".");
  const numbers = parts.map(Number);
  const good = parts.length === IPV4_BYTES &&
    parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part)) && numbers.every((each) => each < 256);
  return good ? Uint8Array.from(numbers) : undefined;
}

function ipv6ToBytes(host: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[0-9a-f:.]+$/i.test(host) || !URL.canParse(`http://[${host}]`)) return undefined;
  const [before, after] = new URL(`http://[${host}]`).hostname.slice(1, -1).split("::");
  const head = groupsOf(before);
  const tail = groupsOf(after);
  const bytes = new Uint8Array(IPV6_BYTES);
  bytes.set(head);
  bytes.set(tail, IPV6_BYTES - tail.length);
  return bytes;
}

/** The bytes of groups of hexadecimal digits, "2001:db8". */
function groupsOf(text = ""): number[] {
  if (text === "") return [];
  return text.split(":").map((group) => parseInt(group, 16)).flatMap((group) => [
    group >> 8,
    group & 0xff,
  ]);
}
