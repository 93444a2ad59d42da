/** Bounded reading and writing of big-endian fields. */
import { ProtocolError } from "./errors.ts";

const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** UTF-8 of a string. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/**
 * The string that the bytes encode.
 * @throws {ProtocolError} if they are not UTF-8
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return strictText.decode(bytes);
  } catch (cause) {
    throw new ProtocolError("Message not readable: text is not UTF-8", { cause });
  }
}

/** The bytes of a few arrays, one behind the other. */
export function concatBytes(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return joinBytes(parts);
}

/** The bytes of arrays, one behind the other; there may be more of them than a call takes arguments. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(totalLength(parts));
  placeBytes(parts, joined, 0);
  return joined;
}

/** Places arrays one behind the other into `into`, from `offset` on; returns where they end. */
export function placeBytes(
  parts: readonly Uint8Array[],
  into: Uint8Array,
  offset: number,
): number {
  let end = offset;
  for (const part of parts) {
    into.set(part, end);
    end += part.length;
  }
  return end;
}

/** How many bytes arrays have together. */
export function totalLength(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

/**
 * Reads fields from the front of a message. Every method throws a ProtocolError where the message
 * is too short.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  /**
   * A 64-bit count as a number.
   * @throws {ProtocolError} also above 2^53 - 1
   */
  u64(): number {
    const value = this.u32() * 2 ** 32 + this.u32();
    if (!Number.isSafeInteger(value)) {
      throw new ProtocolError("Message not readable: number too large");
    }
    return value;
  }

  bigU64(): bigint {
    return this.#view.getBigUint64(this.#advance(8));
  }

  /** A signed 64-bit number, as `u64` limited to what a number holds exactly. */
  i64(): number {
    const value = Number(this.#view.getBigInt64(this.#advance(8)));
    if (!Number.isSafeInteger(value)) {
      throw new ProtocolError("Message not readable: number too large");
    }
    return value;
  }

  /** The next `length` bytes: a view, not a copy. */
  bytes(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  text(length: number): string {
    return length === 0 ? "" : decodeText(this.bytes(length));
  }

  #advance(length: number): number {
    if (length > this.remaining) {
      throw new ProtocolError("Message not readable: it ends too early");
    }
    const start = this.#offset;
    this.#offset += length;
    return start;
  }
}

/** Builds a message field by field; grows as needed. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  constructor(capacity = 64) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const start = this.#reserve(1);
    this.#view.setUint8(start, value);
    return this;
  }

  u16(value: number): this {
    const start = this.#reserve(2);
    this.#view.setUint16(start, value);
    return this;
  }

  u32(value: number): this {
    const start = this.#reserve(4);
    this.#view.setUint32(start, value);
    return this;
  }

  u64(value: number | bigint): this {
    const start = this.#reserve(8);
    this.#view.setBigUint64(start, BigInt(value));
    return this;
  }

  i64(value: number): this {
    const start = this.#reserve(8);
    this.#view.setBigInt64(start, BigInt(value));
    return this;
  }

  bytes(value: Uint8Array): this {
    const start = this.#reserve(value.length);
    this.#bytes.set(value, start);
    return this;
  }

  /** What was written: a view into the writer, which must not be written to afterwards. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /**
   * Makes room, which may replace the array and its view: so it comes before they are looked at.
   */
  #reserve(length: number): number {
    const start = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) this.#grow();
    return start;
  }

  #grow(): void {
    const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/**
 * Whether two arrays hold the same bytes. Not for secrets: its time depends on where they differ.
 */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Orders arrays by their bytes, one that begins another first: negative if `a` comes first, 0 if equal. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}

/**
 * Below this, arrays may share a buffer with others (node:buffer's pool), and are not worth the
 * call.
 */
const FREE_FROM_BYTES = 16_384;

/**
 * Gives a large array's memory back at once. Left to the garbage collector, the arrays of a large
 * file cost a quarter of its sender's CPU time and tens of megabytes. The array must be the only
 * view of its buffer that is still used; it is empty afterwards.
 */
export function freeBytes(bytes: Uint8Array): void {
  if (bytes.length >= FREE_FROM_BYTES && bytes.buffer instanceof ArrayBuffer) {
    bytes.buffer.transfer(0);
  }
}
