import { lookup } from "node:dns/promises";
import type { Address } from "../protocol/address.ts";
import { UnreachableError } from "../protocol/errors.ts";
import { ipToBytes } from "../protocol/ip_address.ts";
import { NO_SUCH_HOST } from "./network_error.ts";

/**
 * The IP address of a host, as the system finds it; of several an IPv4 one, for it is IPv4 that has
 * NATs.
 * @param what the words for it, to stand behind "Could not reach "
 * @throws {UnreachableError} if there is no such host
 */
export async function resolve({ host, port }: Address, what: string): Promise<Address> {
  if (ipToBytes(host)) return { host, port };
  try {
    const found = await lookup(host, { all: true });
    const best = found.find(({ family }) => family === 4) ?? found[0]!;
    return { host: best.address, port };
  } catch (cause) {
    throw new UnreachableError(`Could not reach ${what}: ${NO_SUCH_HOST}`, {
      hint: "Check the spelling of the host's name.",
      cause,
    });
  }
}
