/**
 * Announcements (README.md, section 13): how somebody who listens tells the network of it, as a
 * service of DNS-SD (RFC 6763), and how one asks for that.
 */
import { encodeText } from "./bytes.ts";
import { decodeKey } from "./decode_key.ts";
import {
  decodeDns,
  type DnsData,
  type DnsMessage,
  type DnsName,
  type DnsQuestion,
  type DnsRecord,
  DnsType,
  encodeDns,
  sameName,
} from "./dns.ts";
import { ANNOUNCEMENT_LIFE_S, MAX_ANNOUNCED_ADDRESSES } from "./limits.ts";
import { checkName } from "./name.ts";

/** Where Multicast DNS is spoken (RFC 6762, section 3). */
export const MULTICAST_PORT = 5_353;
export const MULTICAST_GROUP_IPV4 = "224.0.0.251";
export const MULTICAST_GROUP_IPV6 = "ff02::fb";
/** Routers that a datagram may pass: its receiver sees whether it has passed any (section 11). */
export const MULTICAST_TTL = 255;

/** Random bytes in an announcer's ID. */
export const ANNOUNCER_ID_BYTES = 6;

const DOMAIN = "local";
const SERVICE = ["_p2p-session", "_tcp", DOMAIN] as const;
/** Under which the types of services are listed (RFC 6763, section 9). */
const SERVICES = ["_services", "_dns-sd", "_udp", DOMAIN] as const;
const TEXT_VERSION = "txtvers=1";
const MAX_INSTANCE_NAME_BYTES = 50;
/** Known announcements that a query names: so many fit into MAX_ANNOUNCEMENT_BYTES. */
const MAX_KNOWN = 12;

/** Who takes sessions. */
export interface Announcement {
  /** What tells this announcement from all others: a label. */
  readonly instance: string;
  /** The name that the peer goes by. */
  readonly name: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly port: number;
  /** IP addresses. */
  readonly addresses: readonly string[];
}

/** What a datagram has told. */
export interface Heard {
  readonly announcements: readonly Announcement[];
  /** The instances that are no more. */
  readonly gone: readonly string[];
}

/** An announcer's label: for people, and like nobody else's. */
export function instanceOf(name: string, id: string): string {
  let short = name;
  while (encodeText(short).length > MAX_INSTANCE_NAME_BYTES) {
    short = [...short].slice(0, -1).join("");
  }
  return `${short.trimEnd()} ${id}`;
}

/** The datagram that announces somebody. */
export function encodeAnnouncement(announcement: Announcement): Uint8Array<ArrayBuffer> {
  const { instance, name, key, port, addresses } = announcement;
  const service = [instance, ...SERVICE];
  const host = hostOf(instance);
  return encodeDns({
    answer: true,
    questions: [],
    records: [
      shared(SERVICE, service),
      own(service, { type: DnsType.srv, port, target: host }),
      own(service, {
        type: DnsType.txt,
        texts: [TEXT_VERSION, `name=${name}`, `key=${key.toBase64()}`],
      }),
      ...addresses.slice(0, MAX_ANNOUNCED_ADDRESSES).map((address) =>
        own(host, { type: address.includes(":") ? DnsType.aaaa : DnsType.a, address })
      ),
      shared(SERVICES, SERVICE),
    ],
  });
}

/** The datagram that takes an announcement back. */
export function encodeFarewell(instance: string): Uint8Array<ArrayBuffer> {
  const records = [shared(SERVICE, [instance, ...SERVICE], 0)];
  return encodeDns({ answer: true, questions: [], records });
}

/**
 * The datagram that asks for all announcements.
 * @param known the instances that need not answer; as many as there is room for are named
 */
export function encodeQuery(known: readonly string[]): Uint8Array<ArrayBuffer> {
  const records = known.slice(0, MAX_KNOWN)
    .map((instance) => shared(SERVICE, [instance, ...SERVICE]));
  return encodeDns({
    answer: false,
    questions: [{ name: SERVICE, type: DnsType.ptr }],
    records,
  });
}

/** Whether a query is for this announcement, and does not know it yet. */
export function asksFor(instance: string, { questions, records }: DnsMessage): boolean {
  const service = [instance, ...SERVICE];
  const known = records.some((record) =>
    record.type === DnsType.ptr && sameName(record.target, service) &&
    record.life > ANNOUNCEMENT_LIFE_S / 2
  );
  return !known && questions.some((question) => isFor(service, question));
}

function isFor(service: DnsName, { name, type }: DnsQuestion): boolean {
  const wants = (...types: number[]) => type === DnsType.any || types.includes(type);
  if (sameName(name, SERVICE) || sameName(name, SERVICES)) return wants(DnsType.ptr);
  if (sameName(name, service)) return wants(DnsType.srv, DnsType.txt);
  return sameName(name, hostOf(service[0]!)) && wants(DnsType.a, DnsType.aaaa);
}

/**
 * What a datagram tells; nothing that is not whole in it, and no name that nobody may have.
 * @throws {ProtocolError} if it is malformed
 */
export function readAnnouncements(bytes: Uint8Array): Heard {
  const { answer, records } = decodeDns(bytes);
  const announcements: Announcement[] = [];
  const gone: string[] = [];
  if (!answer) return { announcements, gone };
  for (const record of records) {
    if (record.type !== DnsType.ptr || !sameName(record.name, SERVICE)) continue;
    const [instance, ...service] = record.target;
    if (instance === undefined || !sameName(service, SERVICE)) continue;
    const announcement = record.life > 0 ? gather(instance, records) : undefined;
    if (announcement) announcements.push(announcement);
    else if (record.life === 0) gone.push(instance);
  }
  return { announcements, gone };
}

function gather(instance: string, records: readonly DnsRecord[]): Announcement | undefined {
  const service = [instance, ...SERVICE];
  const of = (name: DnsName) =>
    records.filter((each) => each.life > 0 && sameName(each.name, name));
  const texts = of(service).find((each) => each.type === DnsType.txt)?.texts ?? [];
  const place = of(service).find((each) => each.type === DnsType.srv);
  const { name } = checkName(textOf(texts, "name") ?? "");
  const key = decodeKey(textOf(texts, "key") ?? "");
  if (name === undefined || !key || !place || place.port === 0) return undefined;
  const addresses = of(place.target).flatMap((each) =>
    each.type === DnsType.a || each.type === DnsType.aaaa ? each.address : []
  ).slice(0, MAX_ANNOUNCED_ADDRESSES);
  return { instance, name, key, port: place.port, addresses };
}

/** The first text with this key counts; keys have no case (RFC 6763, section 6.4). */
function textOf(texts: readonly string[], key: string): string | undefined {
  const start = `${key}=`;
  return texts.find((text) => text.toLowerCase().startsWith(start))?.slice(start.length);
}

/** The announcer's host name: of its ID, which ends the label. */
function hostOf(instance: string): DnsName {
  return [`p2p-${instance.slice(-2 * ANNOUNCER_ID_BYTES)}`, DOMAIN];
}

function shared(name: DnsName, target: DnsName, life = ANNOUNCEMENT_LIFE_S): DnsRecord {
  return { name, type: DnsType.ptr, target, life, flush: false };
}

function own(name: DnsName, data: DnsData): DnsRecord {
  return { ...data, name, life: ANNOUNCEMENT_LIFE_S, flush: true };
}
