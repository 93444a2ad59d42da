/** Whom a command is for: an address, or a name at a relay. */
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
import { NameRoute } from "./name_route.ts";
import type { Relay } from "./relay_address.ts";
import { AddressRoute, type Route } from "./route.ts";
import { systemStraight } from "./straight.ts";

export type Target =
  | { readonly address: Address }
  | { readonly name: string; readonly relay: Relay };

/**
 * Reads the operand of `connect`: an address, or where there is a relay a name.
 * @param findRelay finds the relay, if there is one; an address does not need it
 * @throws {UsageError} if it is neither, or a name without a relay
 */
export async function parseTarget(
  text: string,
  findRelay: () => Promise<Relay | undefined>,
): Promise<Target> {
  if (looksLikeAddress(text)) return { address: parseAddress(text) };
  const relay = await findRelay();
  if (relay) return namedTarget(text, relay);
  if (checkName(text).problem === undefined && !text.includes("/")) throw noRelay(text);
  return { address: parseAddress(text) };
}

/**
 * Somebody by name.
 * @throws {UsageError} if nobody can be called that, or there is no relay
 */
export function namedTarget(text: string, relay: Relay | undefined): Target {
  const { name, problem } = checkName(text);
  if (name === undefined) {
    throw new UsageError(`Nobody is called ${JSON.stringify(text)}: ${problem}`, {
      hint: "It is the name that the other side goes by at the relay.",
    });
  }
  if (!relay) throw noRelay(name);
  return { name, relay };
}

function noRelay(name: string): UsageError {
  return new UsageError(`No relay to find ${name} at: a name is known at a relay only`, {
    hint: "Name the relay with --relay HOST:PORT or P2P_RELAY, or write an address: 1.2.3.4:8080",
  });
}

function noRelayBetween(address: string): UsageError {
  return new UsageError(`No relay leads to ${address}: an address is dialled straight`, {
    hint: "Leave --relay-only out, or name the peer by its name at the relay.",
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
  const { identity, trust, name: ownName, output } = host;
  return new NameRoute(target.name, {
    identity,
    trust,
    ownName,
    relay: target.relay,
    say: (line) => output.say(line),
    relayOnly,
    openStraight: systemStraight(systemClock),
  });
}
