/** `p2p relay`: opens the port, says how to meet there, and serves until it is asked to end. */
import { aborted } from "../protocol/aborted.ts";
import { DEFAULT_PORT, formatAddress, isLoopback } from "../protocol/address.ts";
import { UsageError } from "../protocol/errors.ts";
import { formatRelayKey } from "../protocol/relay_key.ts";
import type { RelayHost, RelayLog, RelayPort } from "./host.ts";
import { serveDatagrams } from "./datagrams.ts";
import { serveHttp } from "./http.ts";
import { DEFAULT_LIMITS, type RelayLimits } from "./limits.ts";
import { RelayServer, type RelayServices } from "./server.ts";

/** The flags of `p2p relay`; times in seconds. */
export interface RelayFlags {
  port: number | undefined;
  "stun-port": number | undefined;
  host: string | undefined;
  "max-connections": number | undefined;
  "max-registrations": number | undefined;
  "max-circuits": number | undefined;
  "connections-per-address": number | undefined;
  "registrations-per-address": number | undefined;
  rate: number | undefined;
  "circuit-rate": number | undefined;
  "max-message": number | undefined;
  idle: number | undefined;
  drain: number | undefined;
}

/**
 * Serves until the host's signal. SIGTERM drains, which is a good end.
 * @throws {InterruptedError} if it was another signal
 * @throws {UsageError} if the flags name one port for two things
 * @throws {P2pError} if a port cannot be opened
 */
export async function relay(host: RelayHost, flags: RelayFlags): Promise<void> {
  const number = flags.port ?? DEFAULT_PORT;
  const stunPort = flags["stun-port"];
  if (stunPort && stunPort === number) throw sameStunPort(number);
  const port = host.open(flags.host, number, stunPort);
  const services: RelayServices = {
    http: serveHttp,
    datagrams: serveDatagrams,
  };
  await using server = new RelayServer({ host, limits: limitsOf(flags), port, services });
  announce(host, port);
  await aborted(host.signal);
  if (!host.terminated()) throw host.signal.reason;
  host.log.event("draining");
  host.log.say("Draining: nobody new is let in; it ends when the last circuit is over");
  await server.drain();
}

/** What holds by default, and what flags say instead. */
export function limitsOf(flags: RelayFlags): RelayLimits {
  const given: { [K in keyof RelayLimits]: number | undefined } = {
    maxConnections: flags["max-connections"],
    maxRegistrations: flags["max-registrations"],
    maxCircuits: flags["max-circuits"],
    connectionsPerAddress: flags["connections-per-address"],
    registrationsPerAddress: flags["registrations-per-address"],
    rate: flags.rate,
    circuitRate: flags["circuit-rate"],
    maxMessageBytes: flags["max-message"],
    idleMs: milliseconds(flags.idle),
    drainMs: milliseconds(flags.drain),
  };
  const limits = { ...DEFAULT_LIMITS };
  for (const name of Object.keys(limits) as (keyof RelayLimits)[]) {
    limits[name] = given[name] ?? limits[name];
  }
  return limits;
}

function milliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}

function sameStunPort(port: number): UsageError {
  return new UsageError(`--stun-port ${port} is the port of the relay itself`, {
    hint: "Name another one, or leave --stun-port out for the next one.",
  });
}

/** Says where it listens, what a firewall must let in, and what to run to meet there. */
function announce(
  { log, identity, password }: RelayHost,
  { addresses, stunPort }: RelayPort,
): void {
  const key = formatRelayKey(identity.publicKey);
  log.say("Relay listening on:");
  for (const each of addresses) {
    const address = formatAddress(each);
    log.say(`  ${address}${isLoopback(each.host) ? "   (on this machine)" : ""}`);
    const stun = formatAddress({ host: each.host, port: stunPort });
    log.event("listening", { address, key, stun });
  }
  const [best] = addresses;
  if (!best) return;
  log.say(`A firewall must let in TCP ${best.port}, UDP ${best.port} and UDP ${stunPort} (STUN).`);
  sayCommands(log, `${formatAddress(best)}#${key}`, password !== undefined);
}

function sayCommands(log: RelayLog, where: string, closed: boolean): void {
  log.say(
    "To be found there by a name, run:",
    `  p2p listen --relay ${where} --name NAME`,
    "and to join whoever has it:",
    `  p2p connect NAME --relay ${where}`,
  );
  if (closed) log.say("Both need the password: --password-file FILE, or P2P_RELAY_PASSWORD.");
}
