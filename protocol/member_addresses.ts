/** Which of the addresses that members tell of themselves and each other are worth a dial. */
import { type Address, formatAddress, isDialable, isLoopback } from "./address.ts";
import { ipFromBytes, ipToBytes } from "./ip_address.ts";
import { MAX_MEMBER_ADDRESSES } from "./limits.ts";

/**
 * The addresses that may be dialled, each once, at most 8, in the order in which they were told.
 * Only IP addresses: a host name would be looked up here, and might be anything.
 * @param onThisMachine whether whoever told them is connected over loopback: what is loopback
 *   there, is here
 */
export function usableAddresses(told: readonly Address[], onThisMachine: boolean): Address[] {
  const usable = new Map<string, Address>();
  for (const { host, port } of told) {
    const bytes = ipToBytes(host);
    if (!bytes) continue;
    // As short as it can be: written otherwise it would pass for one that it is not.
    const address = { host: ipFromBytes(bytes), port };
    if (isDialable(address.host, onThisMachine)) usable.set(formatAddress(address), address);
  }
  return [...usable.values()].slice(0, MAX_MEMBER_ADDRESSES);
}

/**
 * The addresses of several lists, each once, at most 8: the first of each list, then the second of
 * each, so that no list keeps another out.
 */
export function interleaveAddresses(lists: readonly (readonly Address[])[]): Address[] {
  const all = new Map<string, Address>();
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  for (let at = 0; at < longest; at++) {
    for (const { [at]: address } of lists) if (address) all.set(formatAddress(address), address);
  }
  return [...all.values()].slice(0, MAX_MEMBER_ADDRESSES);
}

/**
 * What we tell a member of where we take connections: at most 8 addresses.
 * @param listening where others reach our listener, the likeliest first; none if there is none
 * @param onThisMachine whether it is connected over loopback
 * @param seenAs the IP address under which others see us, if that is known: a NAT's, which may let
 *   through what comes to the listener's port
 */
export function ownAddresses(
  listening: readonly Address[],
  onThisMachine: boolean,
  seenAs?: string,
): Address[] {
  // On this machine loopback leads here whatever the network is.
  const [local, others] = [true, false].map((here) =>
    listening.filter(({ host }) => isLoopback(host) === here)
  );
  const outside = seenAs !== undefined && listening[0]
    ? [{ host: seenAs, port: listening[0].port }]
    : [];
  // Before those that are left out where there are many.
  const all = [...local!, ...others!.slice(0, 1), ...outside, ...others!.slice(1)];
  return usableAddresses(all, onThisMachine);
}
