/** Who announces itself on the network (README.md, section 13), as far as one can believe it. */
import { type Announcement, readAnnouncements } from "./announcement.ts";
import { type Address, isLoopback } from "./address.ts";
import { equalBytes } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import {
  ANNOUNCEMENT_LIFE_S,
  MAX_ANNOUNCED_ADDRESSES,
  MAX_NEARBY,
  MAX_NEARBY_PER_SOURCE,
} from "./limits.ts";
import { isWithin, type Subnet } from "./subnet.ts";

/** Somebody who announces itself. All of it is a claim. */
export interface NearbyPeer {
  readonly name: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** Where it says that it takes sessions: on our own networks, at least one, IPv4 first. */
  readonly addresses: readonly Address[];
}

interface Entry {
  readonly instance: string;
  readonly source: string;
  peer: NearbyPeer;
  heardAt: number;
  /** It has taken its announcement back: kept for its place in the table. */
  gone: boolean;
}

export interface NearbyOptions {
  /** The only name that counts. Default: all do. */
  name?: string;
  /** The keys for which there is room in any case. */
  keys?: readonly Uint8Array[];
}

export class Nearby {
  readonly #name: string | undefined;
  readonly #keys: readonly Uint8Array[];
  readonly #entries = new Map<string, Entry>();
  #full = false;

  constructor({ name, keys = [] }: NearbyOptions = {}) {
    this.#name = name;
    this.#keys = keys;
  }

  /** Whether there were more than are kept. */
  get full(): boolean {
    return this.#full;
  }

  /** Who has been heard, and has not left since. */
  peers(now: number): NearbyPeer[] {
    return this.#live(now).map(({ peer }) => peer);
  }

  /** The instances that need not answer a query, for they were heard a short while ago. */
  fresh(now: number): string[] {
    return this.#live(now)
      .filter(({ heardAt }) => now - heardAt < LIFE_MS / 2)
      .map(({ instance }) => instance);
  }

  /**
   * Takes a datagram, which may be anything.
   * @param source the IP address that it came from
   * @param subnets the networks that this machine is on, by its own addresses there
   * @returns who is new, or has told of further addresses
   */
  take(bytes: Uint8Array, source: string, subnets: readonly Subnet[], now: number): NearbyPeer[] {
    if (!subnets.some((subnet) => isWithin(source, subnet))) return [];
    try {
      const { announcements, gone } = readAnnouncements(bytes);
      this.#forgetOld(now);
      for (const entry of this.#entries.values()) {
        if (gone.includes(entry.instance)) entry.gone = true;
      }
      return announcements.flatMap((each) => this.#add(each, source, subnets, now) ?? []);
    } catch (error) {
      if (error instanceof ProtocolError) return [];
      throw error;
    }
  }

  #add(
    { instance, name, key, port, addresses }: Announcement,
    source: string,
    subnets: readonly Subnet[],
    now: number,
  ): NearbyPeer | undefined {
    if (this.#name !== undefined && name !== this.#name) return undefined;
    const usable = addresses
      .filter((address) => isUsable(address, source, subnets))
      .map((host) => ({ host, port }));
    if (usable.length === 0) return undefined;
    const id = JSON.stringify([instance, name, key.toHex()]);
    const entry = this.#entries.get(id);
    if (!entry && !this.#hasRoom(source) && !this.#makesRoom(key)) return undefined;
    const peer = { name, key: entry?.peer.key ?? key.slice(), addresses: usable };
    if (entry) return this.#renew(entry, peer, now);
    this.#entries.set(id, { instance, source, peer, heardAt: now, gone: false });
    return peer;
  }

  /** The same announcement goes out on every interface, with other addresses. */
  #renew(entry: Entry, { addresses }: NearbyPeer, now: number): NearbyPeer | undefined {
    const added = mergeAddresses(entry.peer.addresses, addresses);
    const isNew = entry.gone || added.length > entry.peer.addresses.length;
    entry.heardAt = now;
    entry.gone = false;
    entry.peer = { ...entry.peer, addresses: added };
    return isNew ? entry.peer : undefined;
  }

  #hasRoom(source: string): boolean {
    const ofSource = [...this.#entries.values()].filter((entry) => entry.source === source).length;
    const room = this.#entries.size < MAX_NEARBY && ofSource < MAX_NEARBY_PER_SOURCE;
    this.#full ||= !room;
    return room;
  }

  /** Whoever floods the table does not keep those out who are looked for. */
  #makesRoom(key: Uint8Array): boolean {
    if (!this.#isPreferred(key)) return false;
    const other = [...this.#entries].find(([, { peer }]) => !this.#isPreferred(peer.key));
    return other !== undefined && this.#entries.delete(other[0]);
  }

  #isPreferred(key: Uint8Array): boolean {
    return this.#keys.some((each) => equalBytes(each, key));
  }

  #live(now: number): Entry[] {
    this.#forgetOld(now);
    return [...this.#entries.values()].filter(({ gone }) => !gone);
  }

  #forgetOld(now: number): void {
    for (const [id, { heardAt }] of this.#entries) {
      if (now - heardAt >= LIFE_MS) this.#entries.delete(id);
    }
  }
}

const LIFE_MS = ANNOUNCEMENT_LIFE_S * 1_000;

/** Both lists, each address once, IPv4 first, no more than there may be. */
export function mergeAddresses(
  some: readonly Address[],
  others: readonly Address[],
): Address[] {
  const all = new Map([...some, ...others].map((each) => [`${each.host} ${each.port}`, each]));
  return [...all.values()]
    .sort((a, b) => Number(a.host.includes(":")) - Number(b.host.includes(":")))
    .slice(0, MAX_ANNOUNCED_ADDRESSES);
}

/** Those who have the same name and key, as one: with the addresses of all. */
export function mergePeers(peers: readonly NearbyPeer[]): NearbyPeer[] {
  const merged: NearbyPeer[] = [];
  for (const peer of peers) {
    const at = merged.findIndex(({ name, key }) => name === peer.name && equalBytes(key, peer.key));
    if (at < 0) merged.push(peer);
    else {
      const addresses = mergeAddresses(merged[at]!.addresses, peer.addresses);
      merged[at] = { ...peer, addresses };
    }
  }
  return merged;
}

/** No announcement leads anywhere but to our own networks, and to this machine only from itself. */
function isUsable(address: string, source: string, subnets: readonly Subnet[]): boolean {
  if (isLinkLocalIpv6(address)) return false;
  if (!subnets.some((subnet) => isWithin(address, subnet))) return false;
  const isOwn = (ip: string) =>
    isLoopback(ip) || subnets.some((subnet) => sameAddress(ip, subnet.address));
  return !isOwn(address) || isOwn(source);
}

function sameAddress(one: string, other: string): boolean {
  return isWithin(one, { address: other, prefix: other.includes(":") ? 128 : 32 });
}

function isLinkLocalIpv6(ip: string): boolean {
  return /^fe[89ab]/i.test(ip);
}
