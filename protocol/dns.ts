/**
 * DNS messages (RFC 1035, section 4), as far as Multicast DNS needs them (RFC 6762). A name is a
 * list of labels, without the root. Integers are big-endian.
 *
 *     message                          record
 *     offset  size                     n      name
 *     0       2   id, 0                2      type
 *     2       2   flags: 0x8400 is     2      class: 1, and 0x8000 where the receiver is to drop
 *                 an answer, 0 a query        what else it has of that name and type
 *     4       2   questions            4      life in seconds
 *     6       2   answers              2      length of the data
 *     8       2   authorities          …      data
 *     10      2   additional records
 *     12      …   questions: name, 2 type, 2 class; then records
 */
import { ByteReader, ByteWriter, concatBytes, encodeText } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { ipFromBytes, ipToBytes } from "./ip_address.ts";
import { MAX_DNS_JUMPS, MAX_DNS_RECORDS, MAX_MULTICAST_BYTES } from "./limits.ts";

/** Types of records, as they are on the wire. */
export const DnsType = { a: 1, ptr: 12, txt: 16, aaaa: 28, srv: 33, any: 255 } as const;

/** A name: its labels, each 1 to 63 bytes, 255 in all. */
export type DnsName = readonly string[];

export interface DnsQuestion {
  readonly name: DnsName;
  readonly type: number;
}

/** What a record says. */
export type DnsData =
  | { readonly type: typeof DnsType.a | typeof DnsType.aaaa; readonly address: string }
  | { readonly type: typeof DnsType.ptr; readonly target: DnsName }
  | { readonly type: typeof DnsType.txt; readonly texts: readonly string[] }
  | { readonly type: typeof DnsType.srv; readonly port: number; readonly target: DnsName };

export type DnsRecord = DnsData & {
  readonly name: DnsName;
  /** Seconds that it is good for; 0 takes it back. */
  readonly life: number;
  /** Whether it is all that there is of its name and type. */
  readonly flush: boolean;
};

export interface DnsMessage {
  /** Whether it answers; else it asks. */
  readonly answer: boolean;
  readonly questions: readonly DnsQuestion[];
  /** Answers and additional records, of the types above. */
  readonly records: readonly DnsRecord[];
}

const ANSWER_FLAGS = 0x8400;
const ANSWER_BIT = 0x8000;
/** Of a class; in questions the same bit asks for an answer by unicast. */
const FLUSH_BIT = 0x8000;
const CLASS_INTERNET = 1;
const CLASS_ANY = 255;
const POINTER_BITS = 0xc0;
const MAX_LABEL_BYTES = 63;
/** Without the root's. */
const MAX_NAME_BYTES = 254;
const HEADER_BYTES = 12;
/** Type, class, life and length. */
const RECORD_HEADER_BYTES = 10;

/** Whether two names are the same: of letters only those of ASCII match their capitals. */
export function sameName(one: DnsName, other: DnsName): boolean {
  return one.length === other.length &&
    one.every((label, index) => folded(label) === folded(other[index]!));
}

function folded(label: string): string {
  return label.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Writes a message; names are written once and pointed to afterwards. */
export function encodeDns({ answer, questions, records }: DnsMessage): Uint8Array<ArrayBuffer> {
  const names = new NameWriter();
  const writer = new ByteWriter(512)
    .u16(0).u16(answer ? ANSWER_FLAGS : 0)
    .u16(questions.length).u16(records.length).u16(0).u16(0);
  for (const { name, type } of questions) {
    writer.bytes(names.encode(name, writer.length)).u16(type).u16(CLASS_INTERNET);
  }
  for (const record of records) {
    writer.bytes(names.encode(record.name, writer.length));
    const data = encodeData(record, names, writer.length + RECORD_HEADER_BYTES);
    writer.u16(record.type).u16(CLASS_INTERNET | (record.flush ? FLUSH_BIT : 0))
      .u32(record.life).u16(data.length).bytes(data);
  }
  return writer.finish();
}

function encodeData(data: DnsData, names: NameWriter, at: number): Uint8Array {
  switch (data.type) {
    case DnsType.ptr:
      return names.encode(data.target, at);
    case DnsType.srv: {
      const start = new ByteWriter(6).u16(0).u16(0).u16(data.port).finish();
      return concatBytes(start, names.encode(data.target, at + start.length));
    }
    case DnsType.txt:
      return concatBytes(...data.texts.map(encodeString));
    default:
      return ipToBytes(data.address)!;
  }
}

function encodeString(text: string): Uint8Array {
  const bytes = encodeText(text);
  return concatBytes(Uint8Array.of(bytes.length), bytes);
}

class NameWriter {
  /** Where in the message the ends of names stand that have been written. */
  readonly #known = new Map<string, number>();

  /** @param at where in the message it is going to stand */
  encode(name: DnsName, at: number): Uint8Array<ArrayBuffer> {
    const writer = new ByteWriter();
    for (let index = 0; index < name.length; index++) {
      const rest = JSON.stringify(name.slice(index));
      const known = this.#known.get(rest);
      if (known !== undefined) return writer.u16(POINTER_BITS << 8 | known).finish();
      this.#known.set(rest, at + writer.length);
      writer.bytes(encodeString(name[index]!));
    }
    return writer.u8(0).finish();
  }
}

/**
 * Reads a message. Records of other types and classes are left out.
 * @throws {ProtocolError} if it is malformed, or larger than the limits
 */
export function decodeDns(bytes: Uint8Array): DnsMessage {
  if (bytes.length > MAX_MULTICAST_BYTES) throw malformed("it is too long");
  const reader = new ByteReader(bytes);
  reader.u16();
  const answer = (reader.u16() & ANSWER_BIT) !== 0;
  const questionCount = reader.u16();
  const recordCount = reader.u16() + reader.u16() + reader.u16();
  if (questionCount + recordCount > MAX_DNS_RECORDS) throw malformed("it has too many records");
  const questions: DnsQuestion[] = [];
  for (let index = 0; index < questionCount; index++) {
    const name = readName(bytes, reader);
    const type = reader.u16();
    if (isOurs(reader.u16())) questions.push({ name, type });
  }
  const records: DnsRecord[] = [];
  for (let index = 0; index < recordCount; index++) {
    const record = readRecord(bytes, reader);
    if (record) records.push(record);
  }
  return { answer, questions, records };
}

/** Whether the bytes may be a query: told without reading them, for those who want no answers. */
export function mayBeQuery(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_BYTES && bytes.length <= MAX_MULTICAST_BYTES &&
    (bytes[2]! << 8 & ANSWER_BIT) === 0;
}

function isOurs(dnsClass: number): boolean {
  const plain = dnsClass & ~FLUSH_BIT;
  return plain === CLASS_INTERNET || plain === CLASS_ANY;
}

function readRecord(message: Uint8Array, reader: ByteReader): DnsRecord | undefined {
  const name = readName(message, reader);
  const type = reader.u16();
  const dnsClass = reader.u16();
  const life = reader.u32();
  const length = reader.u16();
  const end = message.length - reader.remaining + length;
  const data = new ByteReader(reader.bytes(length));
  if (!isOurs(dnsClass)) return undefined;
  // Names in the data may point to what stands before it, but do not go on behind it.
  const read = readData(type, message.subarray(0, end), data);
  return read && { ...read, name, life, flush: (dnsClass & FLUSH_BIT) !== 0 };
}

function readData(type: number, message: Uint8Array, data: ByteReader): DnsData | undefined {
  switch (type) {
    case DnsType.a:
    case DnsType.aaaa: {
      const size = type === DnsType.a ? 4 : 16;
      if (data.remaining !== size) throw malformed("an address has another length");
      return { type, address: ipFromBytes(data.bytes(size)) };
    }
    case DnsType.ptr:
      return { type, target: readName(message, data) };
    case DnsType.srv:
      data.u32();
      return { type, port: data.u16(), target: readName(message, data) };
    case DnsType.txt:
      return { type, texts: readTexts(data) };
    default:
      return undefined;
  }
}

function readTexts(data: ByteReader): string[] {
  const texts: string[] = [];
  while (data.remaining > 0) texts.push(data.text(data.u8()));
  return texts;
}

/** @param reader at the name, somewhere in the message, whose end is also its own */
function readName(message: Uint8Array, reader: ByteReader): string[] {
  const labels: string[] = [];
  let from = reader;
  let length = 0;
  let jumps = 0;
  let before = message.length - reader.remaining;
  for (let size = from.u8(); size !== 0; size = from.u8()) {
    if ((size & POINTER_BITS) === POINTER_BITS) {
      const at = (size & ~POINTER_BITS) << 8 | from.u8();
      // Backwards only, and not for ever: so a name has an end.
      if (at >= before || ++jumps > MAX_DNS_JUMPS) throw malformed("a name leads nowhere");
      before = at;
      from = new ByteReader(message.subarray(at));
      continue;
    }
    length += 1 + size;
    if (size > MAX_LABEL_BYTES || length > MAX_NAME_BYTES) throw malformed("a name is too long");
    labels.push(from.text(size));
  }
  return labels;
}

function malformed(what: string): ProtocolError {
  return new ProtocolError(`DNS message not readable: ${what}`);
}
