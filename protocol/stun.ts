/**
 * STUN (RFC 8489), as far as it tells somebody the address that they are seen at: Binding requests
 * and their answers, with what RFC 5780 adds to learn how a NAT maps. Pure; who sends them, and how
 * often, is the caller's.
 *
 *     message                              attribute
 *     offset  size                         offset  size
 *     0       2   type                     0       2   type
 *     2       2   length n of what         2       2   length v of the value
 *                 follows the header       4       v   value
 *     4       4   magic cookie 2112a442    4+v     p   0 to 3 bytes up to a multiple of 4
 *     8       12  transaction
 *     20      n   attributes
 *
 *     MAPPED-ADDRESS, OTHER-ADDRESS        XOR-MAPPED-ADDRESS
 *     0       1   0                        0       1   0
 *     1       1   family: 1 IPv4, 2 IPv6   1       1   family
 *     2       2   port                     2       2   port, XOR the message's bytes 4 and 5
 *     4     4, 16 address                  4     4, 16 address, XOR the message's bytes from 4 on
 *
 *     CHANGE-REQUEST
 *     0       4   flags: 4, answer from another address; 2, from another port
 *
 * The programs of RFC 3489 have no cookie: their transaction is the 16 bytes from offset 4 on.
 */
import type { Address } from "./address.ts";
import { ByteReader, ByteWriter, encodeText, equalBytes } from "./bytes.ts";
import { crc32 } from "./crc32.ts";
import { ProtocolError } from "./errors.ts";
import { ipFromBytes, ipToBytes } from "./ip_address.ts";

/** Bytes before a message's attributes. */
export const STUN_HEADER_BYTES = 20;
/** Bytes of a transaction that a client chooses, at random. */
export const STUN_TRANSACTION_BYTES = 12;

const COOKIE = Uint8Array.fromHex("2112a442");
/** Cookie and transaction: what an answer repeats. */
const ID_BYTES = 16;

const MessageType = { request: 0x0001, success: 0x0101, error: 0x0111 } as const;

const Attribute = {
  mappedAddress: 0x0001,
  changeRequest: 0x0003,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  unknownAttributes: 0x000a,
  xorMappedAddress: 0x0020,
  software: 0x8022,
  fingerprint: 0x8028,
  otherAddress: 0x802c,
} as const;

/**
 * Attributes that must be understood and are: besides our own, those of RFC 8489 for clients with
 * passwords, which nothing depends on here, and PADDING (RFC 5780).
 */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  Attribute.mappedAddress,
  Attribute.changeRequest,
  0x0006, // USERNAME
  Attribute.messageIntegrity,
  Attribute.errorCode,
  Attribute.unknownAttributes,
  0x0014, // REALM
  0x0015, // NONCE
  0x001c, // MESSAGE-INTEGRITY-SHA256
  0x001d, // PASSWORD-ALGORITHM
  0x001e, // USERHASH
  Attribute.xorMappedAddress,
  0x0026, // PADDING
]);
/** SOURCE-ADDRESS and CHANGED-ADDRESS, which servers of RFC 3489 add to every answer. */
const UNDERSTOOD_IN_ANSWERS: ReadonlySet<number> = new Set([...UNDERSTOOD, 0x0004, 0x0005]);
/** The attributes from here on may be ignored. */
const OPTIONAL = 0x8000;

/** The code of an error that lists attributes which were not understood. */
const UNKNOWN_ATTRIBUTE = 420;
/** FINGERPRINT is the CRC-32 of what stands before it, XOR this. */
const FINGERPRINT_XOR = 0x5354554e;
const CHANGE_ADDRESS = 0x00000004;
const CHANGE_PORT = 0x00000002;
/**
 * SOFTWARE, of a length that makes our requests as long as the longest answer that they may get, two
 * IPv6 addresses: a server then has no part in making more of what somebody sends in another's name.
 */
const SOFTWARE = encodeText("p2p".padEnd(44));

/** A Binding request. */
export interface StunRequest {
  /** Cookie and transaction, 16 bytes. */
  readonly id: Uint8Array;
  /** Whether it has no cookie, as RFC 3489 has it. */
  readonly classic: boolean;
  /** Attributes that must be understood and are not. */
  readonly unknown: readonly number[];
  /** Whether the answer is to come from another IP address. */
  readonly changeAddress: boolean;
  /** Whether the answer is to come from another port. */
  readonly changePort: boolean;
  /** Bytes of the whole request. */
  readonly length: number;
}

/** What an answer says. */
export interface StunAnswer {
  /** The address at which the server saw the request. */
  readonly mapped: Address;
  /** Where else the server answers; its host may be the unspecified address: the same, then. */
  readonly other: Address | undefined;
}

export interface StunRequestOptions {
  /** Asks for the answer to come from the server's other port (RFC 5780, 7.2). */
  changePort?: boolean;
}

type WrittenAttribute = readonly [type: number, value: Uint8Array];

interface ReadAttribute {
  type: number;
  value: Uint8Array;
  /** Where it stands in the message. */
  offset: number;
}

/**
 * Reads a Binding request.
 * @throws {ProtocolError} if it is not one, or malformed
 */
export function decodeStunRequest(bytes: Uint8Array): StunRequest {
  if (readType(bytes) !== MessageType.request) throw malformed("it is no Binding request");
  const attributes = readAttributes(bytes);
  const change = changeFlags(attributes);
  return {
    id: bytes.slice(4, STUN_HEADER_BYTES),
    classic: !hasCookie(bytes),
    unknown: notUnderstood(attributes, UNDERSTOOD),
    changeAddress: (change & CHANGE_ADDRESS) !== 0,
    changePort: (change & CHANGE_PORT) !== 0,
    length: bytes.length,
  };
}

/** What CHANGE-REQUEST asks for; one of another length is malformed. */
function changeFlags(attributes: readonly ReadAttribute[]): number {
  let flags = 0;
  for (const { type, value } of attributes) {
    if (type === Attribute.changeRequest) flags |= new ByteReader(value).u32();
  }
  return flags;
}

/**
 * The answer to a request: where it came from, or which of its attributes are not understood.
 * Undefined where no answer is due: one that is to come from another IP address cannot come from
 * here. From which port it goes is the caller's.
 * @param other where else the server answers: told to who can read it, if the answer is then no
 * longer than the request
 */
export function encodeStunAnswer(
  request: StunRequest,
  from: Address,
  other?: Address,
): Uint8Array<ArrayBuffer> | undefined {
  if (request.unknown.length > 0) return encodeUnknownAttributes(request);
  const mapped = encodeAddress(from);
  if (request.changeAddress || !mapped) return undefined;
  if (request.classic) {
    return encodeMessage(MessageType.success, request.id, [[Attribute.mappedAddress, mapped]]);
  }
  maskAddress(mapped, request.id);
  const attributes: WrittenAttribute[] = [[Attribute.xorMappedAddress, mapped]];
  const short = encodeMessage(MessageType.success, request.id, attributes);
  const also = other && encodeAddress(other);
  if (!also) return short;
  attributes.push([Attribute.otherAddress, also]);
  const long = encodeMessage(MessageType.success, request.id, attributes);
  return long.length <= request.length ? long : short;
}

/**
 * A Binding request that is at least as long as what it is answered with, but for what the server
 * adds of its own.
 * @param transaction 12 bytes, random
 */
export function encodeStunRequest(
  transaction: Uint8Array,
  { changePort = false }: StunRequestOptions = {},
): Uint8Array<ArrayBuffer> {
  const id = new Uint8Array(ID_BYTES);
  id.set(COOKIE);
  id.set(transaction, COOKIE.length);
  const attributes: WrittenAttribute[] = [[Attribute.software, SOFTWARE]];
  if (changePort) {
    attributes.push([Attribute.changeRequest, new ByteWriter().u32(CHANGE_PORT).finish()]);
  }
  return encodeMessage(MessageType.request, id, attributes);
}

/**
 * Where a server saw the request, and where else it answers; undefined if the bytes are not the
 * answer to this transaction.
 * @throws {ProtocolError} if the answer is malformed, or says that something went wrong
 */
export function decodeStunAnswer(
  bytes: Uint8Array,
  transaction: Uint8Array,
): StunAnswer | undefined {
  if (!answers(bytes, transaction)) return undefined;
  const attributes = readAttributes(bytes);
  if (readType(bytes) === MessageType.error) throw failure(attributes);
  if (notUnderstood(attributes, UNDERSTOOD_IN_ANSWERS).length > 0) {
    throw malformed("it has an attribute that is not known");
  }
  const find = (wanted: number) => attributes.find(({ type }) => type === wanted)?.value;
  const masked = find(Attribute.xorMappedAddress)?.slice();
  if (masked) maskAddress(masked, bytes.subarray(4, STUN_HEADER_BYTES));
  const value = masked ?? find(Attribute.mappedAddress);
  if (!value) throw malformed("it has no address");
  const other = find(Attribute.otherAddress);
  return { mapped: readAddress(value), other: other && readAddress(other) };
}

function answers(bytes: Uint8Array, transaction: Uint8Array): boolean {
  if (bytes.length < STUN_HEADER_BYTES || !hasCookie(bytes)) return false;
  const type = readType(bytes);
  return (type === MessageType.success || type === MessageType.error) &&
    equalBytes(bytes.subarray(8, STUN_HEADER_BYTES), transaction);
}

/** The type of a message whose header is whole and true. */
function readType(bytes: Uint8Array): number {
  if (bytes.length < STUN_HEADER_BYTES) throw malformed("it is shorter than its header");
  const reader = new ByteReader(bytes);
  const type = reader.u16();
  const length = reader.u16();
  if (length !== bytes.length - STUN_HEADER_BYTES) throw malformed("its length is wrong");
  return type;
}

function hasCookie(bytes: Uint8Array): boolean {
  return equalBytes(bytes.subarray(4, 8), COOKIE);
}

/** The attributes that count: behind MESSAGE-INTEGRITY that is FINGERPRINT alone. */
function readAttributes(bytes: Uint8Array): ReadAttribute[] {
  const attributes: ReadAttribute[] = [];
  let signed = false;
  for (const attribute of eachAttribute(bytes)) {
    if (attribute.type === Attribute.fingerprint) checkFingerprint(bytes, attribute);
    if (!signed || attribute.type === Attribute.fingerprint) attributes.push(attribute);
    signed ||= attribute.type === Attribute.messageIntegrity;
  }
  return attributes;
}

function* eachAttribute(bytes: Uint8Array): Generator<ReadAttribute> {
  const reader = new ByteReader(bytes);
  reader.bytes(STUN_HEADER_BYTES);
  while (reader.remaining > 0) {
    const offset = bytes.length - reader.remaining;
    const type = reader.u16();
    const length = reader.u16();
    const value = reader.bytes(length);
    reader.bytes(padding(length));
    yield { type, value, offset };
  }
}

function checkFingerprint(bytes: Uint8Array, { value, offset }: ReadAttribute): void {
  if (!hasCookie(bytes)) return;
  const computed = (crc32(bytes.subarray(0, offset)) ^ FINGERPRINT_XOR) >>> 0;
  const last = offset + 8 === bytes.length;
  if (!last || new ByteReader(value).u32() !== computed) {
    throw malformed("its fingerprint is wrong");
  }
}

function notUnderstood(
  attributes: readonly ReadAttribute[],
  understood: ReadonlySet<number>,
): number[] {
  const types = new Set(attributes.map(({ type }) => type));
  return [...types].filter((type) => type < OPTIONAL && !understood.has(type));
}

function encodeUnknownAttributes(request: StunRequest): Uint8Array<ArrayBuffer> {
  const types = [...request.unknown];
  // RFC 3489 fills a list of odd length up with one of its members.
  if (request.classic && types.length % 2 === 1) types.push(types[0]!);
  const list = new ByteWriter();
  for (const type of types) list.u16(type);
  // No reason in words, so that the answer stays short.
  const code = new ByteWriter().u16(0).u8(UNKNOWN_ATTRIBUTE / 100 | 0).u8(UNKNOWN_ATTRIBUTE % 100);
  return encodeMessage(MessageType.error, request.id, [
    [Attribute.errorCode, code.finish()],
    [Attribute.unknownAttributes, list.finish()],
  ]);
}

function encodeMessage(
  type: number,
  id: Uint8Array,
  attributes: readonly WrittenAttribute[],
): Uint8Array<ArrayBuffer> {
  const body = new ByteWriter();
  for (const [type, value] of attributes) {
    body.u16(type).u16(value.length).bytes(value).bytes(new Uint8Array(padding(value.length)));
  }
  return new ByteWriter().u16(type).u16(body.length).bytes(id).bytes(body.finish()).finish();
}

/** The value of an attribute; undefined if the host is no IP address. */
function encodeAddress({ host, port }: Address): Uint8Array<ArrayBuffer> | undefined {
  const ip = ipToBytes(host);
  return ip && new ByteWriter().u8(0).u8(ip.length === 4 ? 1 : 2).u16(port).bytes(ip).finish();
}

/** Hides or shows an address, in place: programs on the way rewrite what looks like one. */
function maskAddress(value: Uint8Array, id: Uint8Array): void {
  for (let at = 2; at < value.length; at++) value[at]! ^= id[at < 4 ? at - 2 : at - 4]!;
}

function readAddress(value: Uint8Array): Address {
  const reader = new ByteReader(value);
  reader.u8();
  const family = reader.u8();
  const port = reader.u16();
  const known = family === 1 && reader.remaining === 4 || family === 2 && reader.remaining === 16;
  if (!known) throw malformed("its address is of no known family");
  return { host: ipFromBytes(reader.bytes(reader.remaining)), port };
}

function failure(attributes: readonly ReadAttribute[]): ProtocolError {
  const value = attributes.find(({ type }) => type === Attribute.errorCode)?.value;
  if (!value || value.length < 4) return malformed("it is an error without a code");
  return new ProtocolError(`STUN failed: error ${(value[2]! & 7) * 100 + value[3]!}`);
}

/** Bytes from a value's end to the next multiple of 4. */
function padding(length: number): number {
  return -length & 3;
}

function malformed(what: string): ProtocolError {
  return new ProtocolError(`STUN message not accepted: ${what}`);
}
