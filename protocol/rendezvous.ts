/**
 * What peers and relays say to each other to meet: JSON in the externally tagged form of serde, over
 * UDP datagrams, the lines of a control session, and WebSocket text messages (README.md, section
 * 10). A message without fields is its bare name; fields that are unknown are ignored.
 *
 *     "RegisterAck"
 *     {"PeerInfo":{"peer":"1.2.3.4:5678","username":"bob"}}
 */
import { parseIpAddress } from "./address.ts";
import { decodeText, encodeText } from "./bytes.ts";
import { decodeKey } from "./decode_key.ts";
import { ProtocolError } from "./errors.ts";
import { MAX_CANDIDATES, MAX_REASON_BYTES, MAX_SEEN, PUNCH_SECRET_BYTES } from "./limits.ts";
import { type Mapping, MAPPINGS } from "./mapping.ts";
import { TOKEN_BYTES } from "./preface.ts";

/** Messages that are nothing but their name. */
export const BARE = [
  "RegisterAck",
  "TargetNotFound",
  "TargetBusy",
  "SessionFinished",
  "Ping",
  "Pong",
  "Goodbye",
] as const;
export type Bare = typeof BARE[number];

/** Why a relay does not do what it was asked for. The values are on the wire. */
export const REFUSALS = [
  "NameTaken",
  "BadName",
  "Password",
  "Full",
  "TooMany",
  "TooFast",
  "Draining",
  "Replaced",
  "Malformed",
] as const;
export type Refusal = typeof REFUSALS[number];

const FINAL: ReadonlySet<string> = new Set<Refusal>([
  "Password",
  "Full",
  "Draining",
  "Replaced",
  "Malformed",
]);

/** Whether the relay closes the control session or WebSocket after this one. */
export function isFinal(code: string): boolean {
  return FINAL.has(code);
}

/** What a peer tells of itself, so that another can send it datagrams through NATs. */
export interface PunchInfo {
  /** IP addresses and ports of its UDP socket on its own interfaces, best first. */
  udp?: string[] | undefined;
  /** Where STUN saw its UDP socket, in the order of asking: at most MAX_SEEN. */
  seen?: string[] | undefined;
  /** How its NAT maps, if it is one of the words that this version knows. */
  mapping?: Mapping | undefined;
}

/** An introduction, or the answer to a look-up. All but the first two are for peers with keys. */
export interface PeerInfo extends PunchInfo {
  /** IP address and port at which the relay sees the peer, or that it registered. */
  peer: string;
  username: string;
  /** The peer's static key, 32 bytes, as it was proven to the relay. */
  key?: Uint8Array | undefined;
  /** IP addresses and ports at which the peer says that it takes TCP connections. */
  candidates?: string[] | undefined;
  /** What both are given to prove their datagrams to each other, 16 bytes. */
  secret?: Uint8Array | undefined;
  /** The token of the receiver's end of a circuit, 16 bytes. */
  circuit?: Uint8Array | undefined;
  /** Whether the receiver is the one who dials. */
  initiator?: boolean | undefined;
}

export type RendezvousMessage =
  | { type: Bare }
  | { type: "Hello"; password?: string | undefined }
  | { type: "Welcome"; address: string }
  | {
    type: "Register";
    username: string;
    /** Only over WebSocket: the address to tell others. */
    address?: string | undefined;
    candidates?: string[] | undefined;
  } & PunchInfo
  | {
    type: "Connect";
    targetUsername: string;
    /** What the asker is called. */
    username?: string | undefined;
    candidates?: string[] | undefined;
    /** False where no circuit is wanted. */
    circuit?: boolean | undefined;
  } & PunchInfo
  | { type: "PeerInfo" } & PeerInfo
  /** `code` is one of REFUSALS, or one that this version does not know. */
  | { type: "Refused"; code: string; text: string }
  | { type: "DirectMessage"; content: string };

type Fields = Record<string, unknown>;

/** The message as JSON, without spaces, as serde writes it. */
export function encodeRendezvous(message: RendezvousMessage): Uint8Array<ArrayBuffer> {
  return encodeText(JSON.stringify(toJson(message)));
}

function toJson(message: RendezvousMessage): unknown {
  switch (message.type) {
    case "Hello":
      return { Hello: { password: message.password } };
    case "Welcome":
      return { Welcome: { address: message.address } };
    case "Register": {
      const { username, address, candidates, udp, seen, mapping } = message;
      return { Register: { username, address, candidates, udp, seen, mapping } };
    }
    case "Connect":
      return { Connect: connectToJson(message) };
    case "PeerInfo":
      return { PeerInfo: peerInfoToJson(message) };
    case "Refused":
      return { Refused: { code: message.code, text: message.text } };
    case "DirectMessage":
      return { DirectMessage: { content: message.content } };
    default:
      return message.type;
  }
}

function connectToJson(message: RendezvousMessage & { type: "Connect" }): Fields {
  const { targetUsername, username, candidates, udp, seen, mapping, circuit } = message;
  return { target_username: targetUsername, username, candidates, udp, seen, mapping, circuit };
}

function peerInfoToJson(info: PeerInfo): Fields {
  const { peer, username, candidates, udp, seen, mapping, initiator } = info;
  return {
    peer,
    username,
    key: info.key?.toBase64(),
    candidates,
    udp,
    seen,
    mapping,
    secret: info.secret?.toHex(),
    circuit: info.circuit?.toHex(),
    initiator,
  };
}

/**
 * What the bytes say; undefined for a message that this version does not know.
 * @param bytes one whole message: whoever receives it has checked its length
 * @throws {ProtocolError} if they are no message, or lack a field
 */
export function decodeRendezvous(bytes: Uint8Array): RendezvousMessage | undefined {
  const [name, content] = splitTag(parseJson(decodeText(bytes)));
  if ((BARE as readonly string[]).includes(name)) return { type: name as Bare };
  const read = Object.hasOwn(READERS, name) ? READERS[name] : undefined;
  if (!read) return undefined;
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw malformed(`${name} has no fields`);
  }
  return read(content as Fields);
}

const READERS: Record<string, (fields: Fields) => RendezvousMessage> = {
  Hello: (fields) => ({ type: "Hello", password: optional(fields, "password", text) }),
  Welcome: (fields) => ({ type: "Welcome", address: required(fields, "address", address) }),
  Register: (fields) => ({
    type: "Register",
    username: required(fields, "username", text),
    address: optional(fields, "address", address),
    candidates: optional(fields, "candidates", addresses),
    ...punchInfo(fields),
  }),
  Connect: (fields) => ({
    type: "Connect",
    targetUsername: required(fields, "target_username", text),
    username: optional(fields, "username", text),
    candidates: optional(fields, "candidates", addresses),
    ...punchInfo(fields),
    circuit: optional(fields, "circuit", boolean),
  }),
  PeerInfo: (fields) => ({
    type: "PeerInfo",
    peer: required(fields, "peer", address),
    username: required(fields, "username", text),
    key: optional(fields, "key", key),
    candidates: optional(fields, "candidates", addresses),
    ...punchInfo(fields),
    secret: optional(fields, "secret", secret),
    circuit: optional(fields, "circuit", token),
    initiator: optional(fields, "initiator", boolean),
  }),
  Refused: (fields) => ({
    type: "Refused",
    code: required(fields, "code", text),
    text: required(fields, "text", text).slice(0, MAX_REASON_BYTES),
  }),
  DirectMessage: (fields) => ({
    type: "DirectMessage",
    content: required(fields, "content", text),
  }),
};

function punchInfo(fields: Fields): PunchInfo {
  const word = optional(fields, "mapping", text);
  return {
    udp: optional(fields, "udp", addresses),
    seen: optional(fields, "seen", addresses)?.slice(0, MAX_SEEN),
    // A later version may know more words.
    mapping: MAPPINGS.find((known) => known === word),
  };
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new ProtocolError("Message not accepted: it is not JSON", { cause });
  }
}

/** A bare name, or the only field of an object. */
function splitTag(value: unknown): [name: string, content: unknown] {
  if (typeof value === "string") return [value, undefined];
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const entries = Object.entries(value);
    if (entries.length === 1) return entries[0]!;
  }
  throw malformed("it is neither a name nor an object with one field");
}

/** What a field says, or undefined if it does not say such a thing. */
type FieldReader<T> = (value: unknown) => T | undefined;

function required<T>(fields: Fields, name: string, read: FieldReader<T>): T {
  const value = Object.hasOwn(fields, name) ? read(fields[name]) : undefined;
  if (value === undefined) throw malformed(`its ${name} is missing or not one`);
  return value;
}

/** Undefined if the field is not there, or null, as serde writes nothing. */
function optional<T>(fields: Fields, name: string, read: FieldReader<T>): T | undefined {
  const absent = !Object.hasOwn(fields, name) || fields[name] === null;
  return absent ? undefined : required(fields, name, read);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function boolean(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

function address(value: unknown): string | undefined {
  return typeof value === "string" && parseIpAddress(value) ? value : undefined;
}

/** Those that are addresses: a later version may have candidates of another sort. */
function addresses(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.flatMap((each) => address(each) ?? []).slice(0, MAX_CANDIDATES);
}

function key(value: unknown): Uint8Array | undefined {
  return typeof value === "string" ? decodeKey(value) : undefined;
}

function token(value: unknown): Uint8Array | undefined {
  return hex(value, TOKEN_BYTES);
}

function secret(value: unknown): Uint8Array | undefined {
  return hex(value, PUNCH_SECRET_BYTES);
}

/** Exactly so many bytes, in lower case. */
function hex(value: unknown, length: number): Uint8Array | undefined {
  const good = typeof value === "string" && value.length === 2 * length &&
    /^[0-9a-f]+$/.test(value);
  return good ? Uint8Array.fromHex(value) : undefined;
}

function malformed(what: string): ProtocolError {
  return new ProtocolError(`Message not accepted: ${what}`);
}
