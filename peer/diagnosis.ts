/**
 * What was found out about this machine's network, and what follows from it for people: how its NAT
 * maps and filters (RFC 4787), and what to expect with each kind of peer. Pure.
 */
import { isLocal, isLoopback } from "../protocol/address.ts";
import { type Mapping, MAPPINGS } from "../protocol/mapping.ts";
import { mappingOf, planPunch, type Sighting } from "../protocol/nat.ts";

/** An address of one of this machine's interfaces. */
export interface OwnAddress {
  readonly name: string;
  readonly address: string;
  readonly family: "IPv4" | "IPv6";
}

/** How a server was reached: in so many milliseconds there and back, or why not. */
export interface Reached {
  readonly roundTripMs?: number | undefined;
  readonly error?: string | undefined;
}

/** A server that was asked over UDP. */
export interface StunFinding extends Reached {
  /** As people write it. */
  readonly server: string;
  /** Where it saw us, "203.0.113.7:4000". */
  readonly seen?: string | undefined;
}

/**
 * What a NAT or firewall lets in for a socket that has written to a server's one port: answers from
 * the server's other port as well ("loose": endpoint-independent or address-dependent filtering),
 * or not ("strict": address and port-dependent).
 */
export type Filtering = "loose" | "strict" | "unknown";

/** All that was found. */
export interface Findings {
  readonly interfaces: readonly OwnAddress[];
  /** The relay as people write it, if there is one, and how it was reached over TCP. */
  readonly relay?: { readonly name: string; readonly tcp: Reached } | undefined;
  readonly stun: readonly StunFinding[];
  readonly sightings: readonly Sighting[];
  readonly filtering: Filtering;
}

/**
 * What is to be expected: a straight connection; one after some seconds, most of the time; one over
 * TCP where both sides' routers let it; none.
 */
export type Expectation = "straight" | "likely" | "tcp" | "relayed";

/** What follows. */
export interface Diagnosis {
  /** Undefined: it could not be found out. */
  readonly mapping: Mapping | undefined;
  readonly filtering: Filtering;
  /** The IP addresses that others see. */
  readonly publicHosts: readonly string[];
  /** With a peer whose NAT maps so. */
  readonly expect: Readonly<Record<Mapping, Expectation>> | undefined;
}

/** Draws the conclusions. */
export function diagnose(findings: Findings): Diagnosis {
  const mapping = knownMapping(findings);
  const heard = mapping !== undefined && mapping !== "blocked";
  const filtering = heard ? findings.filtering : "unknown";
  const seen = findings.sightings.flatMap((each) => each.seen.map(({ host }) => host));
  const own = findings.interfaces.map(({ address }) => address);
  return {
    mapping,
    filtering,
    publicHosts: [...new Set([...seen, ...own].filter((host) => scopeOf(host) === "global"))],
    expect: mapping && expectations(mapping, filtering),
  };
}

/** Whom an address of an interface is good for. */
export function scopeOf(ip: string): "loopback" | "link-local" | "private" | "global" {
  if (isLoopback(ip)) return "loopback";
  if (/^(169\.254\.|fe[89ab])/i.test(ip)) return "link-local";
  // Of the carrier's own networks (RFC 6598): it has a NAT of its own.
  const shared = /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(ip);
  return shared || isLocal(ip) ? "private" : "global";
}

/**
 * Undefined where it cannot be known: one server's port alone tells whether there is a NAT, and not
 * how it maps; one in this network does not even tell that; and where nothing answers at all, it may
 * be the servers that are away.
 */
function knownMapping(findings: Findings): Mapping | undefined {
  const { interfaces, sightings, relay } = findings;
  const mapping = mappingOf(sightings, interfaces.map(({ address }) => address));
  if (mapping === "blocked") return relay && !relay.tcp.error ? mapping : undefined;
  if (asksInside(findings)) return undefined;
  const once = sightings.every(({ seen }) => seen.length < 2);
  return mapping === "independent" && once ? undefined : mapping;
}

/** Whether we were seen at an address of this network: there was no way through a NAT to there. */
function asksInside({ sightings }: Findings): boolean {
  const seen = sightings.flatMap((each) => each.seen);
  return seen.length > 0 && seen.every(({ host }) => scopeOf(host) !== "global");
}

function expectations(
  mapping: Mapping,
  filtering: Filtering,
): Record<Mapping, Expectation> {
  const own = { udp: [], seen: [], mapping };
  const entries = MAPPINGS.map((peer) => {
    const plan = planPunch(own, { udp: [], seen: [], mapping: peer });
    // Where any port of the peer's address may answer, there is none to be guessed.
    const guesses = plan.udp === "spread" || plan.udp === "spray" && filtering !== "loose";
    if (plan.udp !== "none") return [peer, guesses ? "likely" : "straight"];
    return [peer, mapping === "blocked" || peer === "blocked" ? "tcp" : "relayed"];
  });
  return Object.fromEntries(entries);
}

/** The fields of the event. */
export function eventOf(findings: Findings, diagnosis: Diagnosis): Record<string, unknown> {
  const { relay, stun, interfaces } = findings;
  return {
    interfaces: interfaces.map((each) => ({ ...each, scope: scopeOf(each.address) })),
    relay: relay?.name,
    tcp: relay && reachedFields(relay.tcp),
    udp: stun.map(({ server, seen, ...reached }) => ({ server, seen, ...reachedFields(reached) })),
    public: diagnosis.publicHosts,
    mapping: diagnosis.mapping ?? "unknown",
    filtering: diagnosis.filtering,
    expect: diagnosis.expect,
  };
}

function reachedFields({ roundTripMs, error }: Reached): Record<string, unknown> {
  return { reachable: error === undefined, roundTripMs: roundTripMs && tenths(roundTripMs), error };
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

const MAPPING_WORDS: Readonly<Record<Mapping, string>> = {
  none: "none: others see this machine's own address",
  independent: "one public port for everybody: easy to get through",
  sequential: "another public port for each peer, in sequence: can be guessed",
  dependent: "another public port for each peer, at random: hard (symmetric)",
  blocked: "not to be seen: UDP is blocked, here or there",
};
const INSIDE = "not to be seen: what was asked is in this network itself";
const UNKNOWN_MAPPING = "there is one; which kind, a second --stun server would tell";
const FILTERING_WORDS: Readonly<Record<Exclude<Filtering, "unknown">, string>> = {
  loose: "lets in other ports of an address that was written to",
  strict: "lets in answers only, from the very port that was written to",
};
const PEER_WORDS: Readonly<Record<Mapping, string>> = {
  none: "no NAT",
  independent: "an ordinary NAT",
  sequential: "a NAT with ports in sequence",
  dependent: "a NAT with ports at random",
  blocked: "no UDP",
};
const EXPECTATION_WORDS: Readonly<Record<Expectation, string>> = {
  straight: "straight",
  likely: "straight after some seconds, mostly",
  tcp: "straight over TCP, if the routers let it",
  relayed: "through the relay",
};
const SAME_NETWORK = ["the same network as this", "straight"] as const;
const RELAY_HELPS = "Until then, and where that fails, bytes go through the relay.";
const NO_RELAY = "Peers meet at a relay that both reach over TCP: there is none here.";
/** Columns before what is told. */
const LABEL_COLUMNS = 14;

/** The report, line by line. */
export function report(findings: Findings, diagnosis: Diagnosis): string[] {
  return [
    ...listed("Addresses", ownLines(findings, diagnosis)),
    ...listed("Relay", relayLines(findings)),
    ...listed("UDP", findings.stun.map(stunLine)),
    ...listed("NAT", natLines(findings, diagnosis)),
    ...expectationLines(findings, diagnosis),
  ];
}

/** A label before the first of some lines; nothing where there are none. */
function listed(label: string, lines: string[]): string[] {
  return lines.map((line, i) => (i === 0 ? label : "").padEnd(LABEL_COLUMNS) + line);
}

function ownLines({ interfaces }: Findings, { publicHosts }: Diagnosis): string[] {
  const own = interfaces.filter(({ address }) => !isLoopback(address)).map((each) => {
    return `${each.address} (${scopeOf(each.address)}, ${each.name})`;
  });
  const others = publicHosts.filter((host) => !interfaces.some(({ address }) => address === host));
  const seen = others.map((host) => `${host} (as others see it)`);
  return own.length + seen.length === 0 ? ["none but loopback: no network"] : [...own, ...seen];
}

function relayLines({ relay }: Findings): string[] {
  if (!relay) return [];
  return [`${relay.name} over TCP: ${reachedWords(relay.tcp)}`];
}

function stunLine({ server, seen, ...reached }: StunFinding): string {
  return `${server}: ${reachedWords(reached)}${seen === undefined ? "" : `, sees ${seen}`}`;
}

function reachedWords({ roundTripMs, error }: Reached): string {
  return error ?? `reached in ${tenths(roundTripMs ?? 0)} ms`;
}

function natLines(findings: Findings, { mapping, filtering }: Diagnosis): string[] {
  const answered = findings.stun.some(({ error }) => error === undefined);
  if (!answered && mapping === undefined) return [];
  if (asksInside(findings)) return [INSIDE];
  const words = mapping === undefined ? UNKNOWN_MAPPING : MAPPING_WORDS[mapping];
  return filtering === "unknown" ? [words] : [words, FILTERING_WORDS[filtering]];
}

function expectationLines({ relay }: Findings, { expect }: Diagnosis): string[] {
  if (!expect) return [];
  const rows = MAPPINGS.map((peer) => [PEER_WORDS[peer], EXPECTATION_WORDS[expect[peer]]] as const);
  const width = Math.max(...rows.map(([peer]) => peer.length));
  return [
    "",
    "What to expect with a peer that has",
    ...[...rows, SAME_NETWORK].map(([peer, words]) => `  ${peer.padEnd(width)}  ${words}`),
    relay && relay.tcp.error === undefined ? RELAY_HELPS : NO_RELAY,
  ];
}
