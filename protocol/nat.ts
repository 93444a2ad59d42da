/**
 * What peers tell each other of their NATs, and what follows from it: which way through them is
 * worth trying, and which addresses to try (README.md, section 12). Pure.
 */
import { type Address, formatAddress, isDialable, isLocal, isLoopback } from "./address.ts";
import { equalBytes } from "./bytes.ts";
import { ipFromBytes, ipToBytes } from "./ip_address.ts";
import { MAX_CANDIDATES, MAX_SEEN, MAX_SEQUENTIAL_STEP, PREDICTED_PORTS } from "./limits.ts";
import type { Mapping } from "./mapping.ts";

/** What STUN told of one socket. */
export interface Sighting {
  /** The socket's own port; its host may be a wildcard. */
  readonly local: Address;
  /** Where each of the relay's ports saw it, in the order of asking; empty: no answer. */
  readonly seen: readonly Address[];
}

/** What a side tells of itself. */
export interface Reach {
  /** Addresses of its own interfaces, with its socket's port, best first. */
  readonly udp: readonly Address[];
  /** Where STUN saw its sockets, in the order of asking. */
  readonly seen: readonly Address[];
  /** Undefined: it has told none, or one that is not known. */
  readonly mapping: Mapping | undefined;
}

/** What there is to try between two sides. */
export interface PunchPlan {
  /**
   * "probe": probes to what the other side has told; "spray": besides to many ports of its NAT,
   * which takes another for each peer; "spread": besides from many sockets, since ours is such a
   * NAT.
   */
  readonly udp: "none" | "probe" | "spray" | "spread";
  /** Whether a simultaneous open over TCP is worth a try. */
  readonly tcp: boolean;
  /** Why no way over UDP is to be expected: a clause for people. */
  readonly relayedBecause?: string;
}

/** Sightings that make a NAT's step a pattern: two sockets, each seen by two ports. */
const SEQUENCE_LENGTH = 4;

/**
 * How our NAT maps, from what STUN saw of our sockets: the one to punch from first, then the
 * further one, if there is one. Where they were seen over IPv4 and IPv6 it is IPv4 that counts: the
 * other has no NATs.
 * @param ownHosts the IP addresses of our own interfaces
 */
export function mappingOf(sightings: readonly Sighting[], ownHosts: readonly string[]): Mapping {
  const ipv4 = sightings.map(({ local, seen }) => ({ local, seen: seen.filter(isIpv4) }));
  const counted = ipv4.some(({ seen }) => seen.length > 0) ? ipv4 : sightings;
  const seen = counted.flatMap((each) => each.seen);
  const base = counted.find((each) => each.seen.length > 0);
  const first = base?.seen[0];
  if (!base || !first) return "blocked";
  if (base.seen.every((each) => isSame(each, first))) {
    const own = ownHosts.some((host) => isSameHost(host, first.host));
    return own && first.port === base.local.port ? "none" : "independent";
  }
  return seen.length === SEQUENCE_LENGTH && stepOf(seen) !== undefined ? "sequential" : "dependent";
}

/**
 * Whether a further socket is to be asked about: from what the relay's two ports saw of the first
 * one, the NAT may take ports in sequence.
 */
export function mayBeSequential(seen: readonly Address[]): boolean {
  return seen.length === 2 && stepOf(seen) !== undefined;
}

/** What there is to try between us and the other side. */
export function planPunch(own: Reach, peer: Reach): PunchPlan {
  const unknown = whyUnknown(own, peer);
  if (unknown !== undefined) return { udp: "none", tcp: false, relayedBecause: unknown };
  const blocked = whyBlocked(own, peer);
  if (blocked !== undefined) return { udp: "none", tcp: true, relayedBecause: blocked };
  if (isHard(own, peer) || isHard(peer, own)) return planHard(own, peer);
  if (peer.mapping === "dependent") return { udp: "spray", tcp: false };
  return { udp: own.mapping === "dependent" ? "spread" : "probe", tcp: false };
}

/**
 * Where to probe for the other side, best first: what it has told, and the ports that its NAT is to
 * take next if it takes them in sequence. Only addresses of one machine, and each once.
 */
export function punchCandidates(peer: Reach, own: Reach): Address[] {
  const told = inOrder(peer, own);
  // Only where we are on the relay's machine the other side may be on this one.
  const onThisMachine = own.seen.some(({ host }) => isLoopback(host));
  const found = new Map<string, Address>();
  for (const address of told) {
    if (isDialable(address.host, onThisMachine)) found.set(formatAddress(address), address);
  }
  return [...found.values()];
}

/** The addresses at which a sequential NAT is to show its next connections; else none. */
function predictedAddresses({ mapping, seen }: Reach): Address[] {
  const last = seen.at(-1);
  const step = stepOf(seen.slice(-2));
  if (mapping !== "sequential" || !last || step === undefined) return [];
  const addresses: Address[] = [];
  for (let count = 1; count <= PREDICTED_PORTS; count++) {
    const port = last.port + count * step;
    if (port >= 1 && port <= 65_535) addresses.push({ host: last.host, port });
  }
  return addresses;
}

/** Whether both sides are seen at one IP address: they may share a NAT, and a network. */
export function isSameNetwork(own: Reach, peer: Reach): boolean {
  return own.seen.some(({ host }) => peer.seen.some((each) => isSameHost(host, each.host)));
}

/** The address in the one form in which two can be compared; undefined if its host is no IP. */
export function canonical({ host, port }: Address): Address | undefined {
  const ip = ipToBytes(host);
  return ip && { host: ipFromBytes(ip), port };
}

function inOrder(peer: Reach, own: Reach): Address[] {
  const udp = canonicals(peer.udp.slice(0, MAX_CANDIDATES));
  const seen = canonicals(peer.seen.slice(0, MAX_SEEN));
  const predicted = canonicals(predictedAddresses(peer));
  if (isSameNetwork(own, peer)) return [...udp, ...seen, ...predicted];
  // Behind a sequential NAT each address takes a port of ours, in the order of the first probes, and
  // the other side expects the next few: at the ports that it predicts for us we are to look first.
  if (own.mapping === "sequential") return [...predicted, ...seen, ...udp];
  const local = udp.filter(({ host }) => isLocal(host));
  const global = udp.filter(({ host }) => !isLocal(host));
  return [...global, ...seen, ...predicted, ...local];
}

function canonicals(addresses: readonly Address[]): Address[] {
  return addresses.flatMap((each) => canonical(each) ?? []);
}

function whyUnknown(own: Reach, peer: Reach): string | undefined {
  if (!own.mapping) return "nothing is known of this side's network";
  return peer.mapping ? undefined : "the other side has told nothing of its network";
}

function whyBlocked(own: Reach, peer: Reach): string | undefined {
  if (own.mapping === "blocked") return "UDP is blocked here";
  return peer.mapping === "blocked" ? "UDP is blocked on the other side" : undefined;
}

/** Whether neither side can know the other's port: guessing both at once takes hours. */
function isHard(one: Reach, other: Reach): boolean {
  return one.mapping === "dependent" &&
    (other.mapping === "dependent" || other.mapping === "sequential");
}

/** Two NATs that no probe crosses; there may be a way around them. */
function planHard(own: Reach, peer: Reach): PunchPlan {
  if (isSameNetwork(own, peer) || [own, peer].every(hasIpv6)) return { udp: "probe", tcp: true };
  const relayedBecause = "both sides are behind NATs that use another port for each peer";
  return { udp: "none", tcp: true, relayedBecause };
}

/** Whether a side has an IPv6 address that others can reach, but for firewalls. */
function hasIpv6({ udp }: Reach): boolean {
  return udp.some(({ host }) => host.includes(":") && !isLocal(host));
}

/** By how much each port differs from the one before, if that is always the same little. */
function stepOf(seen: readonly Address[]): number | undefined {
  const [first, second] = seen;
  if (!first || !second) return undefined;
  const step = second.port - first.port;
  const steady = seen.every((each, index) =>
    isSameHost(each.host, first.host) && each.port === first.port + index * step
  );
  return steady && step !== 0 && Math.abs(step) <= MAX_SEQUENTIAL_STEP ? step : undefined;
}

function isIpv4({ host }: Address): boolean {
  return ipToBytes(host)?.length === 4;
}

function isSame(a: Address, b: Address): boolean {
  return a.port === b.port && isSameHost(a.host, b.host);
}

function isSameHost(a: string, b: string): boolean {
  const [one, other] = [ipToBytes(a), ipToBytes(b)];
  return one !== undefined && other !== undefined && equalBytes(one, other);
}
