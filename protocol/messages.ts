/**
 * Messages in a stream (README.md, section 7):
 *
 *     offset  size
 *     0       1     type
 *     1       4     length n of the body
 *     5       n     body
 */
import { ProtocolError } from "./errors.ts";
import { MESSAGE_HEADER_BYTES } from "./limits.ts";

/** Bytes that are set aside for a body before any of it has arrived. */
const FIRST_BODY_BYTES = 65_536;
const NO_BYTES = new Uint8Array(0);

/** A message, or a piece of one whose type is streamed. */
export interface Message {
  readonly type: number;
  /**
   * The body; of a streamed type, the next piece of it. A view of what was pushed where that is
   * possible.
   */
  readonly body: Uint8Array;
  /** Bytes of the body that follow in later pieces; 0 if the type is not streamed. */
  readonly remaining: number;
}

/** Bytes that a body of this type may have, or undefined for a type that is not allowed. */
export type MessageLimits = (type: number) => number | undefined;

export interface MessageDecoderOptions {
  /** The types whose bodies are handed on in pieces, as they arrive, instead of being assembled. */
  streamed?: { has(type: number): boolean };
}

/** Writes a message's header at `offset` of `into`. */
export function writeMessageHeader(
  into: Uint8Array,
  offset: number,
  type: number,
  length: number,
): void {
  into[offset] = type;
  into[offset + 1] = length >>> 24;
  into[offset + 2] = length >>> 16;
  into[offset + 3] = length >>> 8;
  into[offset + 4] = length;
}

/** One message, header and body. */
export function encodeMessage(type: number, body: Uint8Array = NO_BYTES): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(MESSAGE_HEADER_BYTES + body.length);
  writeMessageHeader(message, 0, type, body.length);
  message.set(body, MESSAGE_HEADER_BYTES);
  return message;
}

/**
 * Cuts a stream of bytes into messages. Push what arrived, then take messages until there are none:
 * a body that is whole in what was pushed is not copied.
 */
export class MessageDecoder {
  readonly #limits: MessageLimits;
  readonly #streamed: { has(type: number): boolean };
  #chunk: Uint8Array = NO_BYTES;
  #offset = 0;
  /** The part of a header that a chunk ended in. */
  readonly #header = new Uint8Array(MESSAGE_HEADER_BYTES);
  #headerLength = 0;
  /** The message under way: its header is complete, its body is not. */
  #current: { type: number; length: number } | undefined;
  /** What is there of the body of the message under way. */
  #body: Uint8Array<ArrayBuffer> | undefined;
  /** Bytes of the current body that were assembled or handed on. */
  #taken = 0;

  /** @param limits is asked before anything of a body is buffered */
  constructor(limits: MessageLimits, options: MessageDecoderOptions = {}) {
    this.#limits = limits;
    this.#streamed = options.streamed ?? new Set();
  }

  /** Gives the next bytes, which must not change until `next` has returned undefined. */
  push(chunk: Uint8Array): void {
    if (this.#offset < this.#chunk.length) {
      throw new Error("MessageDecoder.push: the bytes before these were not taken");
    }
    this.#chunk = chunk;
    this.#offset = 0;
  }

  /**
   * The next message or piece, or undefined when more bytes are needed.
   * @throws {ProtocolError} if a type is not allowed or a body is longer than its type may have
   */
  next(): Message | undefined {
    this.#current ??= this.#readHeader();
    if (!this.#current) return undefined;
    return this.#streamed.has(this.#current.type)
      ? this.#piece(this.#current)
      : this.#whole(this.#current);
  }

  /**
   * Says that the stream has ended.
   * @throws {ProtocolError} if it ended inside a message
   */
  end(): void {
    if (this.#current || this.#headerLength > 0) {
      throw new ProtocolError("Message not readable: the stream ended inside it");
    }
  }

  #readHeader(): { type: number; length: number } | undefined {
    const count = Math.min(
      MESSAGE_HEADER_BYTES - this.#headerLength,
      this.#chunk.length - this.#offset,
    );
    for (let i = 0; i < count; i++) {
      this.#header[this.#headerLength++] = this.#chunk[this.#offset++]!;
    }
    if (this.#headerLength < MESSAGE_HEADER_BYTES) return undefined;
    this.#headerLength = 0;
    this.#taken = 0;
    return this.#checkedHeader();
  }

  #checkedHeader(): { type: number; length: number } {
    const [type, a, b, c, d] = this.#header as unknown as [number, number, number, number, number];
    const length = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    const limit = this.#limits(type);
    if (limit === undefined) {
      throw new ProtocolError(`Message not understood: unknown type ${type}`);
    }
    if (length > limit) {
      throw new ProtocolError(
        `Message too large: type ${type} announces ${length} bytes, ${limit} are allowed`,
      );
    }
    return { type, length };
  }

  #piece({ type, length }: { type: number; length: number }): Message | undefined {
    const body = this.#take(length - this.#taken);
    if (body.length === 0 && length > 0) return undefined;
    this.#taken += body.length;
    if (this.#taken === length) this.#current = undefined;
    return { type, body, remaining: length - this.#taken };
  }

  #whole({ type, length }: { type: number; length: number }): Message | undefined {
    const bytes = this.#take(length - this.#taken);
    let body = bytes;
    if (bytes.length < length) {
      this.#assemble(bytes, length);
      if (this.#taken < length) return undefined;
      body = this.#body!;
    }
    this.#current = undefined;
    this.#body = undefined;
    return { type, body, remaining: 0 };
  }

  /**
   * Appends to the body under way, whose array grows with what arrives and not with what is
   * announced.
   */
  #assemble(bytes: Uint8Array, length: number): void {
    const needed = this.#taken + bytes.length;
    if (needed > (this.#body?.length ?? 0)) {
      const size = Math.max(needed, (this.#body?.length ?? 0) * 2, FIRST_BODY_BYTES);
      const larger = new Uint8Array(Math.min(size, length));
      if (this.#body) larger.set(this.#body.subarray(0, this.#taken));
      this.#body = larger;
    }
    this.#body?.set(bytes, this.#taken);
    this.#taken = needed;
  }

  #take(count: number): Uint8Array {
    const end = Math.min(this.#chunk.length, this.#offset + count);
    const bytes = this.#chunk.subarray(this.#offset, end);
    this.#offset = end;
    return bytes;
  }
}
