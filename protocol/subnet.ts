/** Networks that an interface is on. */
import { ipToBytes } from "./ip_address.ts";

/** The addresses whose first `prefix` bits are those of `address`. */
export interface Subnet {
  readonly address: string;
  readonly prefix: number;
}

/** Reads `192.168.1.10/24`; undefined if it is anything else. */
export function parseSubnet(text: string): Subnet | undefined {
  const [address = "", prefix = ""] = text.split("/");
  const bytes = ipToBytes(address);
  if (!bytes || !/^\d{1,3}$/.test(prefix) || Number(prefix) > bytes.length * 8) return undefined;
  return { address, prefix: Number(prefix) };
}

/** Whether an IP address is one of the network's. */
export function isWithin(ip: string, { address, prefix }: Subnet): boolean {
  const [one, other] = [ipToBytes(ip), ipToBytes(address)];
  if (!one || one.length !== other?.length) return false;
  const whole = prefix >> 3;
  const mask = 0xff00 >> (prefix & 7) & 0xff;
  return one.subarray(0, whole).every((byte, index) => byte === other[index]) &&
    (mask === 0 || (one[whole]! & mask) === (other[whole]! & mask));
}
