/** The ways to somebody by name. A module of its own: an address needs nothing of what these load. */
import { formatAddress } from "../protocol/address.ts";
import { UsageError } from "../protocol/errors.ts";
import { systemClock } from "./clock.ts";
import { EitherRoute } from "./either_route.ts";
import type { Host } from "./host.ts";
import type { OwnRelay } from "./member_route.ts";
import { NameRoute } from "./name_route.ts";
import { NearbyRoute } from "./nearby_route.ts";
import type { Relay } from "./relay_address.ts";
import type { Route } from "./route.ts";
import { systemStraight } from "./straight.ts";

/** Somebody at a relay, or on our own networks. */
export interface NamedTarget {
  readonly name: string;
  readonly relay: Relay | undefined;
}

/**
 * The way to somebody by name.
 * @param relayOnly whether all bytes are to go through the relay
 * @throws {UsageError} if there is nowhere to look
 */
export function routeToName(
  { name, relay }: NamedTarget,
  host: Host,
  relayOnly: boolean,
): Route {
  const { identity, trust, output } = host;
  const say = (line: string) => output.say(line);
  const warn = (line: string) => output.warn(line);
  const quiet = Deno.env.get("P2P_NO_NEARBY") === "1";
  if (quiet && !relay) throw nowhereToLook(name);
  const nearby = new NearbyRoute(name, { identity, trust, say, warn });
  if (!relay) return nearby;
  const relayed = relayRoute(name, host, relay, relayOnly);
  return relayOnly || quiet ? relayed : new EitherRoute(relayed, nearby, trust);
}

/** The relay that we use, for members of a mesh who use it, too. */
export function ownRelay(host: Host, relay: Relay, relayOnly = false): OwnRelay {
  return {
    address: formatAddress(relay.address),
    route: (name) => relayRoute(name, host, relay, relayOnly),
  };
}

function relayRoute(name: string, host: Host, relay: Relay, relayOnly: boolean): NameRoute {
  const { identity, trust, name: ownName, output } = host;
  const say = (line: string) => output.say(line);
  const openStraight = systemStraight(systemClock);
  return new NameRoute(name, { identity, trust, ownName, relay, say, relayOnly, openStraight });
}

function nowhereToLook(name: string): UsageError {
  return new UsageError(`No relay to find ${name} at, and P2P_NO_NEARBY is 1`, {
    hint: "Name a relay with --relay HOST:PORT or P2P_RELAY, or write an address: 1.2.3.4:8080",
  });
}
