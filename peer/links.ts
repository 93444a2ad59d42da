/** This machine's interfaces, as far as peers on its networks are concerned. */
import { isLoopback, isUnspecified } from "../protocol/address.ts";
import { ipToBytes } from "../protocol/ip_address.ts";
import { networkInterfaces } from "./interfaces.ts";
import { parseSubnet, type Subnet } from "../protocol/subnet.ts";

/** Interfaces that are asked and told; containers may have hundreds. */
const MAX_LINKS = 16;

/** One interface. */
export interface Link {
  readonly name: string;
  /** One of its IPv4 addresses: what sockets know it by for IPv4. */
  readonly ipv4: string | undefined;
  /** What sockets know it by for IPv6; undefined if it has none. */
  readonly zone: string | undefined;
  /** The networks that it is on, by its own addresses there. */
  readonly subnets: readonly Subnet[];
}

/** What `Deno.networkInterfaces` tells of one address. */
export type InterfaceAddress = Pick<
  Deno.NetworkInterfaceInfo,
  "name" | "address" | "family" | "cidr" | "scopeid"
>;

/** The interfaces of this machine. */
export function ownLinks(): Link[] {
  return linksOf(networkInterfaces());
}

/** Interfaces by their addresses; loopback last, for many programs have others than it alone. */
export function linksOf(
  addresses: readonly InterfaceAddress[],
  windows = Deno.build.os === "windows",
): Link[] {
  const names = [...new Set(addresses.map(({ name }) => name))];
  return names
    .map((name) => linkOf(name, addresses.filter((each) => each.name === name), windows))
    .sort((a, b) => Number(isLoopbackLink(a)) - Number(isLoopbackLink(b)))
    .slice(0, MAX_LINKS);
}

function linkOf(name: string, addresses: readonly InterfaceAddress[], windows: boolean): Link {
  const ipv6 = addresses.filter(({ family }) => family === "IPv6");
  return {
    name,
    ipv4: addresses.find(({ family }) => family === "IPv4")?.address,
    // Windows knows interfaces by their numbers, which link-local addresses show.
    zone: windows ? ipv6.find(({ scopeid }) => scopeid)?.scopeid?.toString() : ipv6[0] && name,
    subnets: addresses.flatMap(({ cidr }) => parseSubnet(cidr) ?? []),
  };
}

/** Whether it serves this machine only. */
function isLoopbackLink({ subnets }: Link): boolean {
  return subnets.some(({ address }) => isLoopback(address));
}

/** The addresses of an interface at which somebody listens, without those that need a zone. */
export interface Place {
  readonly link: Link;
  readonly addresses: readonly string[];
}

/**
 * Where somebody is to be announced who listens on `host`: all of this machine's addresses if it is
 * undefined. Loopback only where there is nothing else: who is on this machine hears the others, too.
 */
export function placesOf(links: readonly Link[], host: string | undefined): Place[] {
  const places = links
    .map((link) => ({ link, addresses: addressesAt(link, host) }))
    .filter(({ addresses }) => addresses.length > 0);
  const outside = places.filter(({ link }) => !isLoopbackLink(link));
  return outside.length > 0 ? outside : places;
}

function addressesAt({ subnets }: Link, host: string | undefined): string[] {
  const all = subnets.map(({ address }) => address).filter((address) =>
    !/^fe[89ab]/i.test(address)
  );
  if (host === undefined || host === "::") return all;
  if (isUnspecified(host)) return all.filter((address) => !address.includes(":"));
  const bytes = ipToBytes(host)?.toHex();
  return all.filter((address) => ipToBytes(address)?.toHex() === bytes);
}
