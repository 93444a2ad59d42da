/** Whom a command is for: an address, or a name at a relay or on our own networks. */
import {
  type Address,
  formatAddress,
  looksLikeAddress,
  parseAddress,
} from "../protocol/address.ts";
import { UsageError } from "../protocol/errors.ts";
import { checkName } from "../protocol/name.ts";
import { systemClock } from "./clock.ts";
import type { Host } from "./host.ts";
import { EitherRoute } from "./either_route.ts";
import type { OwnRelay } from "./member_route.ts";
import { NameRoute } from "./name_route.ts";
import { NearbyRoute } from "./nearby_route.ts";
import type { Relay } from "./relay_address.ts";
import { AddressRoute, type Route } from "./route.ts";
import { systemStraight } from "./straight.ts";

export type Target =
  | { readonly address: Address }
  | { readonly name: string; readonly relay: Relay | undefined };

/**
 * Reads the operand of `connect`: an address, or a name.
 * @param findRelay finds the relay, if there is one; an address does not need it
 * @throws {UsageError} if it is neither
 */
export async function parseTarget(
  text: string,
  findRelay: () => Promise<Relay | undefined>,
): Promise<Target> {
  if (looksLikeAddress(text)) return { address: parseAddress(text) };
  const relay = await findRelay();
  const isName = checkName(text).problem === undefined && !text.includes("/");
  return relay || isName ? namedTarget(text, relay) : { address: parseAddress(text) };
}

/**
 * Somebody by name.
 * @throws {UsageError} if nobody can be called that
 */
export function namedTarget(text: string, relay: Relay | undefined): Target {
  const { name, problem } = checkName(text);
  if (name === undefined) {
    throw new UsageError(`Nobody is called ${JSON.stringify(text)}: ${problem}`, {
      hint: "It is the name that the other side goes by at the relay, or announces.",
    });
  }
  return { name, relay };
}

function nowhereToLook(name: string): UsageError {
  return new UsageError(`No relay to find ${name} at, and P2P_NO_NEARBY is 1`, {
    hint: "Name a relay with --relay HOST:PORT or P2P_RELAY, or write an address: 1.2.3.4:8080",
  });
}

function noRelayBetween(whom: string): UsageError {
  return new UsageError(`No relay leads to ${whom}: it is dialled straight`, {
    hint: "Leave --relay-only out, or name a relay, and the peer by its name there.",
  });
}

/**
 * The way to a target.
 * @param relayOnly whether all bytes are to go through the relay
 * @throws {UsageError} if there is none
 */
export function routeTo(target: Target, host: Host, relayOnly = false): Route {
  if ("address" in target) {
    if (relayOnly) throw noRelayBetween(formatAddress(target.address));
    return new AddressRoute(target.address, host);
  }
  const { identity, trust, output } = host;
  const { name, relay } = target;
  if (relayOnly && !relay) throw noRelayBetween(name);
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
