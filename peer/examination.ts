/** Finds out what `doctor` tells: asks the relay over TCP, and it and other servers over UDP. */
import { type Address, formatAddress } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import { P2pError } from "../protocol/errors.ts";
import { mayBeSequential, type Sighting } from "../protocol/nat.ts";
import { resolveHost } from "./carrier/resolve.ts";
import { dialTcp, RELAY } from "./carrier/tcp.ts";
import type { Filtering, Findings, OwnAddress, Reached, StunFinding } from "./diagnosis.ts";
import type { Identity } from "./identity.ts";
import { networkInterfaces } from "./interfaces.ts";
import { lowerFirst } from "./lower_first.ts";
import { NO_SUCH_HOST } from "./network_error.ts";
import { formatRelay, type Relay } from "./relay_address.ts";
import { RelayClient } from "./relay_client.ts";
import { type StunReply, StunSocket } from "./stun_socket.ts";
import type { Trust } from "./trust.ts";

export interface ExaminationOptions {
  relay: Relay | undefined;
  /** Other servers to ask over UDP. */
  stun: readonly Address[];
  identity: Identity;
  trust: Trust;
  clock: Clock;
  signal: AbortSignal;
}

/** What was found, and why the relay could not be used, if so. */
export interface Examination {
  readonly findings: Findings;
  readonly relayError: P2pError | undefined;
}

interface Server {
  readonly name: string;
  readonly address: Address;
}

/** Takes a few seconds at most. */
export async function examine(options: ExaminationOptions): Promise<Examination> {
  const { relay, clock } = options;
  const [tcp, udp] = await Promise.all([
    relay ? reachRelay(relay, options) : undefined,
    askServers(options, clock),
  ]);
  const findings = {
    interfaces: ownAddresses(),
    relay: relay && tcp && { name: formatRelay(relay), tcp: tcp.reached },
    ...udp,
  };
  return { findings, relayError: tcp?.error };
}

function ownAddresses(): OwnAddress[] {
  return networkInterfaces().map(({ name, address, family }) => ({ name, address, family }));
}

/** Visits the relay as every client does: what refuses us there would refuse them, too. */
async function reachRelay(
  relay: Relay,
  { identity, trust, clock, signal }: ExaminationOptions,
): Promise<{ reached: Reached; error?: P2pError }> {
  let roundTripMs: number | undefined;
  const dial = async (address: Address, until: AbortSignal) => {
    const started = clock.now();
    const connection = await dialTcp(address, until, RELAY);
    roundTripMs = clock.now() - started;
    return connection;
  };
  try {
    await using client = await RelayClient.connect({ relay, identity, trust, clock, signal, dial });
    await client.welcome;
    return { reached: { roundTripMs } };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof P2pError)) throw error;
    return { reached: { error: whyNot(error) }, error };
  }
}

/** Asks all servers: the first about our NAT. */
async function askServers(
  { relay, stun }: ExaminationOptions,
  clock: Clock,
): Promise<Pick<Findings, "stun" | "sightings" | "filtering">> {
  const wanted = relay ? [relay.address, ...stun] : stun;
  const found = await Promise.all(wanted.map(findServer));
  const servers = found.flatMap((each) => "address" in each ? each : []);
  const lost = found.flatMap((each) => "address" in each ? [] : each);
  const hostname = servers.some(({ address }) => address.host.includes(":")) ? "::" : "0.0.0.0";
  const open = () => new StunSocket(clock, hostname);
  const answered = await askEach(servers, open);
  const sightings = await sight(answered, open);
  const filtering = await filter(answered, open);
  return { stun: [...answered.map(({ finding }) => finding), ...lost], sightings, filtering };
}

async function findServer(address: Address): Promise<Server | StunFinding> {
  const name = formatAddress(address);
  const found = await resolveHost(address, { preferIpv4: true });
  return found ? { name, address: found } : { server: name, error: NO_SUCH_HOST };
}

interface Answered {
  readonly server: Server;
  readonly reply: StunReply | undefined;
  readonly finding: StunFinding;
}

/** Who answers at all. */
async function askEach(servers: readonly Server[], open: () => StunSocket): Promise<Answered[]> {
  if (servers.length === 0) return [];
  using socket = open();
  return await Promise.all(servers.map(async (server) => {
    const reply = await socket.ask(server.address);
    const finding = reply
      ? { server: server.name, seen: formatAddress(reply.seen), roundTripMs: reply.roundTripMs }
      : { server: server.name, error: "no answer over UDP" };
    return { server, reply, finding };
  }));
}

/**
 * Where two ports see a fresh socket, and a further one where that tells more: the first server's
 * two, or those of two servers.
 */
async function sight(answered: Answered[], open: () => StunSocket): Promise<Sighting[]> {
  const there = answered.filter(({ reply }) => reply);
  const [first, second] = there;
  if (!first) return [];
  const other = first.reply!.other ?? second?.server.address;
  const ports = other ? [first.server.address, other] : [first.server.address];
  using socket = open();
  const sighting = await sightFrom(socket, ports);
  if (!mayBeSequential(sighting.seen)) return [sighting];
  using further = open();
  return [sighting, await sightFrom(further, ports)];
}

/** One after the other: the order tells how a NAT takes ports. */
async function sightFrom(socket: StunSocket, ports: readonly Address[]): Promise<Sighting> {
  const seen: Address[] = [];
  for (const port of ports) {
    const reply = await socket.ask(port);
    if (reply) seen.push(reply.seen);
  }
  return { local: socket.local, seen };
}

/** From a socket that has written to one port alone. */
async function filter(answered: Answered[], open: () => StunSocket): Promise<Filtering> {
  const able = answered.find(({ reply }) => reply?.other);
  if (!able) return "unknown";
  using socket = open();
  if (await socket.ask(able.server.address, true)) return "loose";
  // What was lost on the way is no filter's doing.
  return await socket.ask(able.server.address) ? "strict" : "unknown";
}

/** Without the name of whom it is about, which stands before it. */
function whyNot({ message }: P2pError): string {
  return lowerFirst(message.replace(/^Could not reach .*: /, ""));
}
