/** The messages of a stream of kind "files/1" (README.md, section 7), their bodies only. */
import { ByteReader, ByteWriter, encodeText } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import {
  MAX_ENTRIES,
  MAX_ENTRIES_BYTES,
  MAX_FILE_DATA_BYTES,
  MAX_HAVE_BYTES,
  MAX_PATH_BYTES,
  MAX_REASON_BYTES,
  RESUME_BLOCK_BYTES,
} from "./limits.ts";

/** The kind of a stream that carries files. */
export const FILES_KIND = "files/1";

/** Message types. */
export const FileMessage = {
  offer: 0x01,
  entries: 0x02,
  refuse: 0x10,
  accept: 0x11,
  have: 0x12,
  skip: 0x13,
  begin: 0x20,
  data: 0x21,
  end: 0x22,
  fail: 0x23,
  commit: 0x24,
  done: 0x30,
  abort: 0x31,
} as const;

/** What an entry is. */
export const EntryKind = { file: 0, directory: 1, link: 2, stdin: 3 } as const;
export type EntryKind = typeof EntryKind[keyof typeof EntryKind];

/** Codes of REFUSE and ABORT. */
export const RefuseCode = {
  declined: 0,
  nobody: 1,
  unsafeName: 2,
  noSpace: 3,
  exists: 4,
  folder: 5,
  cancelled: 6,
  wrongSort: 7,
  busy: 8,
  malformed: 9,
} as const;
export type RefuseCode = typeof RefuseCode[keyof typeof RefuseCode];

/** Bytes of a SHA-256. */
export const DIGEST_BYTES = 32;
/** Entry numbers that fit one SKIP message. */
export const SKIP_NUMBERS = MAX_HAVE_BYTES / 4;

const UNKNOWN_BYTES = 0xffff_ffff_ffff_ffffn;
const ENTRY_FIXED_BYTES = 23;
const TRANSFER_ID_BYTES = 16;
const EMPTY_BODY_BYTES = 64;

/** The head of an offer: 16: transfer id; 4: number of entries; 8: total bytes. */
export interface OfferHead {
  id: Uint8Array;
  count: number;
  /** Bytes of all files, undefined if unknown. */
  total: number | undefined;
}

/** One file, directory or link of an offer. */
export interface Entry {
  kind: EntryKind;
  /** Permission bits, 0 if unknown. */
  mode: number;
  /** Milliseconds since 1970, whole. */
  mtime: number;
  /** Bytes; undefined if unknown (standard input). */
  size: number | undefined;
  /** Parts joined with '/'. */
  path: string;
  /** Where a link leads, "" for other kinds. */
  target: string;
}

/** Whether an entry has a body: files and standard input do. */
export function hasBody(entry: Entry): boolean {
  return entry.kind === EntryKind.file || entry.kind === EntryKind.stdin;
}

/** What a receiver has of an entry: 4: entry; 8: bytes; 4: first block; then 32 per block. */
export interface Have {
  entry: number;
  bytes: number;
  firstBlock: number;
  digests: Uint8Array;
}

/** A code and text for people. */
export interface Refusal {
  code: RefuseCode;
  text: string;
}

/** Bytes that the body of a sender's message may have; for MessageDecoder. */
export function senderMessageLimit(type: number): number | undefined {
  switch (type) {
    case FileMessage.entries:
      return MAX_ENTRIES_BYTES;
    case FileMessage.data:
      return MAX_FILE_DATA_BYTES;
    case FileMessage.fail:
      return MAX_REASON_BYTES;
    case FileMessage.offer:
    case FileMessage.begin:
    case FileMessage.end:
    case FileMessage.commit:
      return EMPTY_BODY_BYTES;
    default:
      return undefined;
  }
}

/** Bytes that the body of a receiver's message may have; for MessageDecoder. */
export function receiverMessageLimit(type: number): number | undefined {
  switch (type) {
    case FileMessage.have:
    case FileMessage.skip:
      return MAX_HAVE_BYTES;
    case FileMessage.refuse:
    case FileMessage.abort:
      return 1 + MAX_REASON_BYTES;
    case FileMessage.accept:
    case FileMessage.done:
      return EMPTY_BODY_BYTES;
    default:
      return undefined;
  }
}

/** The body of an OFFER. */
export function encodeOffer({ id, count, total }: OfferHead): Uint8Array<ArrayBuffer> {
  return new ByteWriter().bytes(id).u32(count).u64(total ?? UNKNOWN_BYTES).finish();
}

/**
 * What an OFFER says.
 * @throws {ProtocolError} also if there are no or too many entries
 */
export function decodeOffer(body: Uint8Array): OfferHead {
  const reader = new ByteReader(body);
  const id = reader.bytes(TRANSFER_ID_BYTES).slice();
  const count = reader.u32();
  if (count === 0 || count > MAX_ENTRIES) {
    throw new ProtocolError(`Offer not readable: ${count} entries`);
  }
  return { id, count, total: readSize(reader) };
}

/**
 * Bodies for ENTRIES messages, each as full as it may be.
 * @throws {ProtocolError} if a path or link target is too long for its field
 */
export function* encodeEntries(entries: Iterable<Entry>): Generator<Uint8Array<ArrayBuffer>> {
  let writer = new ByteWriter(4_096);
  for (const entry of entries) {
    const path = encodeText(entry.path);
    const target = encodeText(entry.target);
    if (path.length > MAX_PATH_BYTES || target.length > MAX_PATH_BYTES) {
      throw new ProtocolError(`Entry not writable: its path is too long (${entry.path})`);
    }
    if (writer.length + ENTRY_FIXED_BYTES + path.length + target.length > MAX_ENTRIES_BYTES) {
      yield writer.finish();
      writer = new ByteWriter(MAX_ENTRIES_BYTES);
    }
    writer.u8(entry.kind).u16(entry.mode).i64(entry.mtime).u64(entry.size ?? UNKNOWN_BYTES);
    writer.u16(path.length).bytes(path).u16(target.length).bytes(target);
  }
  if (writer.length > 0) yield writer.finish();
}

/**
 * The entries of one ENTRIES message. Checks fields, not whether names are safe.
 * @throws {ProtocolError} also for an unknown kind, or a size or target that the kind cannot have
 */
export function decodeEntries(body: Uint8Array): Entry[] {
  const reader = new ByteReader(body);
  const entries: Entry[] = [];
  while (reader.remaining > 0) entries.push(decodeEntry(reader));
  return entries;
}

function decodeEntry(reader: ByteReader): Entry {
  const kind = reader.u8();
  const mode = reader.u16() & 0o777;
  const mtime = reader.i64();
  const size = readSize(reader);
  const path = readPath(reader);
  const target = readPath(reader);
  if (kind > EntryKind.stdin) throw new ProtocolError(`Offer not readable: entry of kind ${kind}`);
  if ((size === undefined) !== (kind === EntryKind.stdin)) {
    throw new ProtocolError("Offer not readable: an entry's size does not fit its kind");
  }
  if (kind !== EntryKind.file && kind !== EntryKind.stdin && size !== 0) {
    throw new ProtocolError("Offer not readable: a directory or link has a size");
  }
  if ((target !== "") !== (kind === EntryKind.link)) {
    throw new ProtocolError("Offer not readable: an entry's link target does not fit its kind");
  }
  return { kind: kind as EntryKind, mode, mtime, size, path, target };
}

/** The body of a REFUSE or ABORT; the text is cut at MAX_REASON_BYTES. */
export function encodeRefusal({ code, text }: Refusal): Uint8Array<ArrayBuffer> {
  return new ByteWriter().u8(code).bytes(shortText(text)).finish();
}

/**
 * What a REFUSE or ABORT says.
 * @throws {ProtocolError} also for a code that is not known
 */
export function decodeRefusal(body: Uint8Array): Refusal {
  const reader = new ByteReader(body);
  const code = reader.u8();
  if (code > RefuseCode.malformed) throw new ProtocolError(`Refusal not readable: code ${code}`);
  return { code: code as RefuseCode, text: reader.text(reader.remaining) };
}

/** The body of a HAVE. */
export function encodeHave(have: Have): Uint8Array<ArrayBuffer> {
  return new ByteWriter(16 + have.digests.length)
    .u32(have.entry).u64(have.bytes).u32(have.firstBlock).bytes(have.digests).finish();
}

/**
 * What a HAVE says.
 * @throws {ProtocolError} also if the digests are more than the bytes have blocks, or not whole
 */
export function decodeHave(body: Uint8Array): Have {
  const reader = new ByteReader(body);
  const [entry, bytes, firstBlock] = [reader.u32(), reader.u64(), reader.u32()];
  const digests = reader.bytes(reader.remaining);
  const count = digests.length / DIGEST_BYTES;
  if (count === 0 || !Number.isInteger(count)) {
    throw new ProtocolError("HAVE not readable: its digests are not whole");
  }
  if (firstBlock + count > Math.ceil(bytes / RESUME_BLOCK_BYTES)) {
    throw new ProtocolError("HAVE not readable: more digests than blocks");
  }
  return { entry, bytes, firstBlock, digests };
}

/** The body of a SKIP: at most SKIP_NUMBERS entries. */
export function encodeSkip(entries: readonly number[]): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(entries.length * 4);
  for (const entry of entries) writer.u32(entry);
  return writer.finish();
}

/**
 * The entries that a SKIP names.
 * @throws {ProtocolError} if the numbers are not whole
 */
export function decodeSkip(body: Uint8Array): number[] {
  const reader = new ByteReader(body);
  const entries: number[] = [];
  while (reader.remaining > 0) entries.push(reader.u32());
  return entries;
}

/** The body of a BEGIN. */
export function encodeBegin(entry: number, offset: number): Uint8Array<ArrayBuffer> {
  return new ByteWriter(12).u32(entry).u64(offset).finish();
}

/**
 * What a BEGIN says.
 * @throws {ProtocolError} if the body is too short
 */
export function decodeBegin(body: Uint8Array): { entry: number; offset: number } {
  const reader = new ByteReader(body);
  return { entry: reader.u32(), offset: reader.u64() };
}

/** The body of a DONE. */
export function encodeDone(files: number, bytes: number): Uint8Array<ArrayBuffer> {
  return new ByteWriter(12).u32(files).u64(bytes).finish();
}

/**
 * What a DONE says.
 * @throws {ProtocolError} if the body is too short
 */
export function decodeDone(body: Uint8Array): { files: number; bytes: number } {
  const reader = new ByteReader(body);
  return { files: reader.u32(), bytes: reader.u64() };
}

/** UTF-8 of a text for people, cut to what a message may carry. */
export function shortText(text: string): Uint8Array<ArrayBuffer> {
  let bytes = encodeText(text);
  while (bytes.length > MAX_REASON_BYTES) {
    text = text.slice(0, -Math.ceil((bytes.length - MAX_REASON_BYTES) / 3)).toWellFormed();
    bytes = encodeText(text);
  }
  return bytes;
}

function readSize(reader: ByteReader): number | undefined {
  const size = reader.bigU64();
  if (size === UNKNOWN_BYTES) return undefined;
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new ProtocolError("Offer not readable: a size is too large");
  }
  return Number(size);
}

function readPath(reader: ByteReader): string {
  const length = reader.u16();
  if (length > MAX_PATH_BYTES) throw new ProtocolError("Offer not readable: a path is too long");
  return reader.text(length);
}
