/** Host names to addresses, as the system resolves them. */
import { lookup } from "node:dns/promises";
import type { Address } from "../../protocol/address.ts";
import { ipToBytes } from "../../protocol/ip_address.ts";

/**
 * The address that is tried first for a host; undefined if there is none.
 * @param options `preferIpv4` where it is NATs that matter: IPv6 has none
 */
export async function resolveHost(
  { host, port }: Address,
  options: { preferIpv4?: boolean } = {},
): Promise<Address | undefined> {
  if (ipToBytes(host)) return { host, port };
  try {
    const found = await lookup(host, { all: true });
    const ipv4 = options.preferIpv4 ? found.find(({ family }) => family === 4) : undefined;
    return { host: (ipv4 ?? found[0]!).address, port };
  } catch {
    // Who connects to it says what is wrong.
    return undefined;
  }
}
