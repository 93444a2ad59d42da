/** Finds the one who is called so among those who announce themselves on our networks. */
import { formatAddress } from "../protocol/address.ts";
import { equalBytes } from "../protocol/bytes.ts";
import { type Clock, sleep } from "../protocol/clock.ts";
import { P2pError, UnreachableError } from "../protocol/errors.ts";
import { fingerprint } from "../protocol/fingerprint.ts";
import { LOOK_MS, RIVALS_MS } from "../protocol/limits.ts";
import { mergePeers, type NearbyPeer } from "../protocol/nearby.ts";
import type { OpenMulticast } from "./carrier/multicast_socket.ts";
import type { Link } from "./links.ts";
import { NearbySearch } from "./nearby_search.ts";

/** Several announce a name, and nothing tells who is meant. */
export class SeveralError extends P2pError {}

export interface FindOptions {
  clock: Clock;
  signal: AbortSignal;
  /** How the network is spoken to. Default: by sockets. */
  open?: OpenMulticast | undefined;
  /** This machine's interfaces. Default: as the system tells them. */
  links?: (() => Link[]) | undefined;
}

/** Who was found, and those who announced the same name with keys that are not known under it. */
export interface FoundNearby {
  /** Undefined if it is only the others. */
  readonly peer: NearbyPeer | undefined;
  readonly strangers: readonly NearbyPeer[];
}

/**
 * Looks for somebody until one who is known by that name is found, or, where it is a new one, until
 * others have had time to announce it, too.
 * @param keys those that are known under the name: none if it is new
 * @throws {UnreachableError} if nobody announces the name
 * @throws {SeveralError} if several do, and none of them is known
 * @throws as `NearbySearch.begin`
 */
export async function findNearby(
  name: string,
  keys: readonly Uint8Array[],
  { clock, signal, open, links }: FindOptions,
): Promise<FoundNearby> {
  const isKnown = ({ key }: NearbyPeer) => keys.some((each) => equalBytes(each, key));
  const first = new AbortController();
  const onFound = (peer: NearbyPeer) => {
    if (keys.length === 0 || isKnown(peer)) first.abort();
  };
  const options = { whom: { name, keys }, onFound, clock, open, links };
  await using search = await NearbySearch.begin(options);
  await pause(clock, LOOK_MS, signal, first.signal);
  if (keys.length === 0 && first.signal.aborted) await sleep(clock, RIVALS_MS, signal);
  const peers = mergePeers(search.peers);
  if (peers.length === 0) throw nobody(name);
  if (keys.length === 0 && peers.length > 1) throw severalAnnounce(name, peers);
  const peer = keys.length === 0 ? peers[0] : peers.find(isKnown);
  return { peer, strangers: peers.filter((each) => each !== peer) };
}

/** Sleeps, unless what is waited for comes first. */
async function pause(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  first: AbortSignal,
): Promise<void> {
  if (first.aborted) return;
  try {
    await sleep(clock, ms, AbortSignal.any([signal, first]));
  } catch {
    signal.throwIfAborted();
  }
}

function nobody(name: string): UnreachableError {
  const host = name.includes(".") ? ` A host is written with its port: ${name}:8080` : "";
  return new UnreachableError(`Nobody on this network announces the name ${name}`, {
    hint:
      "Have them run p2p listen --announce. From elsewhere it takes a relay, --relay HOST:PORT" +
      ` or P2P_RELAY.${host}`,
  });
}

function severalAnnounce(name: string, peers: readonly NearbyPeer[]): SeveralError {
  const each = peers.map(({ key, addresses }) =>
    `${formatAddress(addresses[0]!)} (key ${fingerprint(key)})`
  );
  return new SeveralError(
    `Not clear who is meant: ${peers.length} on this network announce the name ${name}: ` +
      each.join(", "),
    { hint: "Compare the keys with theirs, and connect to the right one's address." },
  );
}
