/**
 * Who is a member of the chat (README.md, section 8):
 *
 *     offset  size
 *     0       8     instance: milliseconds since 1970 (6 bytes), then 2 random
 *     8       32    the Ed25519 key with which it signs its lines
 *     40      1     length n of the name
 *     41      n     name
 *     …       1     number of addresses; then each: length (1 byte), text "host:port"
 *     …       1     length of the relay's address, 0 for none; then "host:port"
 */
import { type Address, formatAddress, parseAddress } from "./address.ts";
import { type ByteReader, type ByteWriter, compareBytes, encodeText } from "./bytes.ts";
import { ProtocolError, UsageError } from "./errors.ts";
import { MAX_MEMBER_ADDRESSES } from "./limits.ts";
import { checkName } from "./name.ts";

/** Bytes in a member's static key, and in its signing key. */
export const KEY_BYTES = 32;
/** Bytes in an instance. */
export const INSTANCE_BYTES = 8;

/** What a member tells of itself. */
export interface MemberRecord {
  /** 8 bytes: which run of the program this is. */
  readonly instance: Uint8Array;
  /** 32 bytes: the Ed25519 key with which it signs its lines. */
  readonly signingKey: Uint8Array;
  readonly name: string;
  /** Where it can be dialled; at most 8 are told. */
  readonly addresses: Address[];
  /** The relay at which it is registered under its name: "host:port". */
  readonly relay: string | undefined;
}

/** A member as others tell of it: with its static key. */
export interface KeyedMember extends MemberRecord {
  /** 32 bytes. */
  readonly key: Uint8Array;
}

/** What tells a member from all others. */
export type MemberIdentity = Pick<KeyedMember, "key" | "instance">;

/**
 * The instance of a program that begins now: later ones compare greater.
 * @param nowMs milliseconds since 1970
 * @param random at least 2 bytes
 */
export function newInstance(nowMs: number, random: Uint8Array): Uint8Array<ArrayBuffer> {
  const instance = new Uint8Array(INSTANCE_BYTES);
  const view = new DataView(instance.buffer);
  view.setUint16(0, Math.floor(nowMs / 2 ** 32));
  view.setUint32(2, nowMs % 2 ** 32);
  instance.set(random.subarray(0, 2), 6);
  return instance;
}

/** Orders members by (instance, key), as bytes: negative if `a` comes first, 0 if it is the same. */
export function compareMembers(a: MemberIdentity, b: MemberIdentity): number {
  return compareBytes(a.instance, b.instance) || compareBytes(a.key, b.key);
}

/** A member's key and instance as a Map's key: hexadecimal. */
export function memberId({ key, instance }: MemberIdentity): string {
  return `${key.toHex()}/${instance.toHex()}`;
}

/** Appends a record; of the addresses the first 8. */
export function encodeMember(member: MemberRecord, into: ByteWriter): void {
  into.bytes(member.instance).bytes(member.signingKey);
  encodeShort(member.name, into);
  const addresses = member.addresses.slice(0, MAX_MEMBER_ADDRESSES);
  into.u8(addresses.length);
  for (const address of addresses) encodeShort(formatAddress(address), into);
  encodeShort(member.relay ?? "", into);
}

/**
 * Reads a record.
 * @throws {ProtocolError} if it is cut off, or tells a name or an address that is none
 */
export function decodeMember(from: ByteReader): MemberRecord {
  const instance = from.bytes(INSTANCE_BYTES).slice();
  const signingKey = from.bytes(KEY_BYTES).slice();
  const name = decodeName(from.text(from.u8()));
  const count = from.u8();
  if (count > MAX_MEMBER_ADDRESSES) {
    throw new ProtocolError(`Member not accepted: it tells ${count} addresses`);
  }
  const addresses = Array.from({ length: count }, () => decodeAddress(from.text(from.u8())));
  const relay = from.text(from.u8());
  if (relay !== "") decodeAddress(relay);
  return { instance, signingKey, name, addresses, relay: relay === "" ? undefined : relay };
}

/**
 * A name that somebody goes by, in NFC.
 * @throws {ProtocolError} if it is one that none may have
 */
export function decodeName(text: string): string {
  const { name, problem } = checkName(text);
  if (name === undefined) throw new ProtocolError(`Name not accepted: ${problem}`);
  return name;
}

function decodeAddress(text: string): Address {
  try {
    return parseAddress(text);
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    throw new ProtocolError("Member not accepted: it tells an address that is none", { cause });
  }
}

function encodeShort(text: string, into: ByteWriter): void {
  const bytes = encodeText(text);
  into.u8(bytes.length).bytes(bytes);
}
