/**
 * The two framings, over one receive buffer: newline-delimited (preface, plain chat) and
 * length-prefixed (all that is encrypted). Incremental; a limit is checked before the bytes it
 * speaks of are buffered.
 *
 *     line                         frame
 *     offset  size                 offset  size
 *     0       n   text             0       2   length n
 *     n       1   0x0a             2       n   body
 */
import { ProtocolError } from "./errors.ts";
import { MAX_FRAME_BYTES } from "./limits.ts";

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Bytes before a frame's body. */
export const FRAME_HEADER_BYTES = 2;

/** Writes a frame's length at `offset` of `into`. */
export function writeFrameHeader(into: Uint8Array, offset: number, length: number): void {
  into[offset] = length >> 8;
  into[offset + 1] = length & 0xff;
}

/**
 * Bytes received and not yet taken. A connection reads into `space()`; whoever understands the
 * bytes takes lines or frames from the front. What is taken is a view, valid until `space()` is
 * next called.
 */
export class ReceiveBuffer {
  #bytes: Uint8Array<ArrayBuffer>;
  /** Bytes that it has while nothing is pending. */
  #capacity: number;
  #start = 0;
  #end = 0;
  /** Where the search for a newline goes on, so that no byte is looked at twice. */
  #searched = 0;

  /**
   * @param capacity bytes to begin with; grows to what the limits of `takeLine` allow, and shrinks
   * again when all is taken
   */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#bytes = new Uint8Array(capacity);
  }

  /** Bytes received and not yet taken. */
  get pending(): number {
    return this.#end - this.#start;
  }

  /**
   * Room for the next bytes, at least one. Moves what is pending to the front when the room behind
   * it is short.
   */
  space(): Uint8Array<ArrayBuffer> {
    if (this.pending === 0) this.#startAnew();
    else if (this.#bytes.length - this.#end < this.#bytes.length / 4) {
      this.#moveToFront();
      if (this.#bytes.length - this.#end < this.#bytes.length / 4) {
        this.#resize(this.#bytes.length * 2);
      }
    }
    return this.#bytes.subarray(this.#end);
  }

  /** Makes the buffer at least so large, for connections that carry much. */
  reserve(capacity: number): void {
    this.#capacity = Math.max(this.#capacity, capacity);
    if (capacity > this.#bytes.length) this.#resize(capacity);
  }

  /** Says how many bytes were placed at the start of `space()`. */
  filled(count: number): void {
    this.#end += count;
  }

  /** Copies bytes in; for callers that have them already. */
  push(bytes: Uint8Array): void {
    for (let offset = 0; offset < bytes.length;) {
      const room = this.space();
      const count = Math.min(room.length, bytes.length - offset);
      room.set(bytes.subarray(offset, offset + count));
      this.filled(count);
      offset += count;
    }
  }

  /** What is pending, without taking it. */
  peek(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Takes all that is pending. */
  takeAll(): Uint8Array<ArrayBuffer> {
    const all = this.peek();
    this.#take(this.#end);
    return all;
  }

  /**
   * The next line without its line end (`\n` or `\r\n`), or undefined while it is incomplete.
   * @throws {ProtocolError} as soon as the line has more than `limit` bytes, its newline included
   */
  takeLine(limit: number): Uint8Array<ArrayBuffer> | undefined {
    const line = this.peekLine(limit);
    if (line) this.#take(this.#searched + 1);
    return line;
  }

  /** As `takeLine`, but leaves the line where it is. */
  peekLine(limit: number): Uint8Array<ArrayBuffer> | undefined {
    const from = Math.max(this.#searched, this.#start);
    const at = this.#bytes.subarray(0, this.#end).indexOf(NEWLINE, from);
    this.#searched = at < 0 ? this.#end : at;
    const length = (at < 0 ? this.#end : at + 1) - this.#start;
    if (length > limit || (at < 0 && length === limit)) {
      throw new ProtocolError(`Line not accepted: longer than ${limit} bytes`);
    }
    if (at < 0) return undefined;
    const end = at > this.#start && this.#bytes[at - 1] === CARRIAGE_RETURN ? at - 1 : at;
    return this.#bytes.subarray(this.#start, end);
  }

  /**
   * The body of the next frame, or undefined while it is incomplete.
   * @throws {ProtocolError} as soon as the length is known to be above `limit`
   */
  takeFrame(limit: number = MAX_FRAME_BYTES): Uint8Array<ArrayBuffer> | undefined {
    if (this.pending < FRAME_HEADER_BYTES) return undefined;
    const length = this.#bytes[this.#start]! << 8 | this.#bytes[this.#start + 1]!;
    if (length > limit) {
      throw new ProtocolError(`Frame not accepted: ${length} bytes where ${limit} are allowed`);
    }
    const body = this.#start + FRAME_HEADER_BYTES;
    if (this.#end < body + length) return undefined;
    this.#take(body + length);
    return this.#bytes.subarray(body, body + length);
  }

  #take(to: number): void {
    this.#start = to;
    this.#searched = to;
  }

  #startAnew(): void {
    this.#start = this.#end = this.#searched = 0;
    if (this.#bytes.length > this.#capacity) this.#bytes = new Uint8Array(this.#capacity);
  }

  #moveToFront(): void {
    this.#bytes.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#searched = Math.max(0, this.#searched - this.#start);
    this.#start = 0;
  }

  #resize(capacity: number): void {
    const larger = new Uint8Array(capacity);
    larger.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = larger;
  }
}
