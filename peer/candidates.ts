/** Which of the addresses that a peer has told are worth a packet. */
import { type Address, isDialable, isLoopback, parseIpAddress } from "../protocol/address.ts";
import { MAX_CANDIDATES } from "../protocol/limits.ts";
import type { Reach } from "../protocol/nat.ts";
import type { PeerInfo } from "../protocol/rendezvous.ts";

/**
 * The addresses that can be reached from here, each once, at most 16. This machine's own are the
 * peer's only where the peer is on this machine: when the relay is.
 */
export function usableCandidates(texts: readonly string[], relay: Address): Address[] {
  const onThisMachine = isLoopback(relay.host);
  return [...new Set(texts)].slice(0, MAX_CANDIDATES).flatMap((text) => {
    const address = parseIpAddress(text);
    return address && isDialable(address.host, onThisMachine) ? address : [];
  });
}

/**
 * From where to where the peer is to be opened simultaneously over TCP; undefined if there is no
 * port for it, or the relay names an address that cannot be the peer's.
 */
export function simultaneousOf(
  { peer }: PeerInfo,
  { address, localPort }: { address: Address; localPort: number | undefined },
): { localPort: number; remote: Address } | undefined {
  const [remote] = usableCandidates([peer], address);
  return remote && localPort !== undefined ? { localPort, remote } : undefined;
}

/** What an introduction says of the peer's UDP socket, as far as it is of use here. */
export function reachOf(info: PeerInfo, relay: Address): Reach {
  const udp = usableCandidates(info.udp ?? [], relay);
  const seen = usableCandidates(info.seen ?? [], relay);
  const { mapping } = info;
  // Many packets go to where such a NAT is said to be: only to where the relay sees the peer.
  const doubtful = mapping === "dependent" && !isSeenThere(info, seen[0]);
  return { udp, seen, mapping: doubtful ? "independent" : mapping };
}

/** Whether STUN saw the peer where the relay sees it, if both are of one family. */
function isSeenThere({ peer }: PeerInfo, seen: Address | undefined): boolean {
  const there = parseIpAddress(peer)?.host;
  if (!there || !seen) return false;
  return there === seen.host || there.includes(":") !== seen.host.includes(":");
}
