/** Whom a command is for: an address, or a name at a relay or on our own networks. */
import {
  type Address,
  formatAddress,
  looksLikeAddress,
  parseAddress,
} from "../protocol/address.ts";
import { UsageError } from "../protocol/errors.ts";
import { checkName } from "../protocol/name.ts";
import type { Host } from "./host.ts";
import type { NamedTarget } from "./named_routes.ts";
import type { Relay } from "./relay_address.ts";
import { AddressRoute, type Route } from "./route.ts";

export type Target = { readonly address: Address } | NamedTarget;

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
export async function routeTo(
  target: Target,
  host: Host,
  relayOnly = false,
): Promise<Route> {
  if ("address" in target) {
    if (relayOnly) throw noRelayBetween(formatAddress(target.address));
    return new AddressRoute(target.address, host);
  }
  const { name, relay } = target;
  if (relayOnly && !relay) throw noRelayBetween(name);
  // Much that an address does without.
  const { routeToName } = await import("./named_routes.ts");
  return routeToName({ name, relay }, host, relayOnly);
}
