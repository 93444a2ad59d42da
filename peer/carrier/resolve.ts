/** Host names to addresses, as the system resolves them. */
import { lookup } from "node:dns/promises";
import type { Address } from "../../protocol/address.ts";
import { ipToBytes } from "../../protocol/ip_address.ts";

/** The address that is tried first for a host; undefined if there is none. */
export async function resolveHost({ host, port }: Address): Promise<Address | undefined> {
  if (ipToBytes(host)) return { host, port };
  try {
    return { host: (await lookup(host)).address, port };
  } catch {
    // Who connects to it says what is wrong.
    return undefined;
  }
}
