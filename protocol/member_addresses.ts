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
 * @param seenAs the IP address under which it sees us, if it dialled us there: the port is then the
 *   listener's
 */
export function ownAddresses(
  listening: readonly Address[],
  onThisMachine: boolean,
  seenAs?: string,
): Address[] {
  const [first] = listening;
  const outside = first && seenAs !== undefined ? [{ host: seenAs, port: first.port }] : [];
  // Behind the likeliest, and before those that are left out where there are many. On this machine
  // loopback always leads here: so it is not among those.
  const local = listening.filter(({ host }) => isLoopback(host));
  const others = listening.filter(({ host }) => !isLoopback(host));
  const [likeliest = [], rest = []] = [others.slice(0, 1), others.slice(1)];
  return usableAddresses([...local, ...likeliest, ...outside, ...rest], onThisMachine);
}
