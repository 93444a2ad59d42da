/**
 * Session frames: what travels, encrypted, within a session.
 *
 *     offset  size
 *     0       1     type
 *     1       4     stream, 0 for frames that belong to none
 *     5       2     length n of the payload, at most 65,512
 *     7       n     payload
 */
import { ByteReader, ByteWriter, encodeText, joinBytes } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import {
  MAX_KIND_BYTES,
  MAX_NAME_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_REASON_BYTES,
  SESSION_HEADER_BYTES,
} from "./limits.ts";
import { checkName } from "./name.ts";

/**
 * The types of session frames. Those below HELLO are numbered and sent again after a connection was
 * lost.
 */
export const FrameType = {
  open: 0x01,
  data: 0x02,
  finish: 0x03,
  reset: 0x04,
  window: 0x05,
  hello: 0x10,
  ack: 0x11,
  ping: 0x12,
  pong: 0x13,
  goodbye: 0x14,
} as const;
export type FrameType = typeof FrameType[keyof typeof FrameType];

/** Why a session ends. */
export const GoodbyeCode = {
  done: 0,
  interrupted: 1,
  protocolError: 2,
  unknownSession: 3,
  identityRefused: 4,
  busy: 5,
  sentAway: 6,
  oneTooMany: 7,
} as const;
export type GoodbyeCode = typeof GoodbyeCode[keyof typeof GoodbyeCode];

/** A session frame; `payload` may be a view into what was received. */
export interface SessionFrame {
  type: FrameType;
  stream: number;
  payload: Uint8Array;
}

/** Whether frames of this type are numbered, kept until acknowledged, and sent again. */
export function isNumbered(type: FrameType): boolean {
  return type < FrameType.hello;
}

/** The payload lengths that each type allows: shortest and longest. */
const PAYLOAD_LENGTHS: Record<FrameType, [number, number]> = {
  [FrameType.open]: [1, MAX_KIND_BYTES],
  [FrameType.data]: [1, MAX_PAYLOAD_BYTES],
  [FrameType.finish]: [0, 0],
  [FrameType.reset]: [2, 2],
  [FrameType.window]: [4, 4],
  [FrameType.hello]: [27, MAX_PAYLOAD_BYTES],
  [FrameType.ack]: [8, 8],
  [FrameType.ping]: [8, 8],
  [FrameType.pong]: [8, 8],
  [FrameType.goodbye]: [1, 1 + MAX_REASON_BYTES],
};

/** The header of a frame with a payload of `length` bytes. */
export function encodeHeader(
  type: FrameType,
  stream: number,
  length: number,
): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(SESSION_HEADER_BYTES);
  writeHeader(header, type, stream, length);
  return header;
}

function writeHeader(into: Uint8Array, type: FrameType, stream: number, length: number): void {
  into[0] = type;
  into[1] = stream >>> 24;
  into[2] = stream >>> 16;
  into[3] = stream >>> 8;
  into[4] = stream;
  into[5] = length >>> 8;
  into[6] = length;
}

/** A whole frame as bytes. */
export function encodeFrame(frame: SessionFrame): Uint8Array<ArrayBuffer> {
  const { type, stream, payload } = frame;
  const bytes = new Uint8Array(SESSION_HEADER_BYTES + payload.length);
  writeHeader(bytes, type, stream, payload.length);
  bytes.set(payload, SESSION_HEADER_BYTES);
  return bytes;
}

/** A frame that belongs to no stream, as bytes. */
export function encodeStreamless(type: FrameType, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeFrame({ type, stream: 0, payload });
}

/** Cuts a session's plaintext into frames, however it arrives. */
export class SessionFrameDecoder {
  /**
   * What has arrived and is not yet taken. Joined only when what is needed is there: no byte is
   * copied again and again.
   */
  #pieces: Uint8Array[] = [];
  #pending = 0;
  /** The frame whose payload is awaited. */
  #header: { type: FrameType; stream: number; length: number } | undefined;

  /** Takes more bytes, which from then on belong to the decoder. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#pending += bytes.length;
  }

  /**
   * The next frame, or undefined while it is incomplete. A payload that is most of what arrived
   * with it is a view, the only one of its buffer; a smaller one is copied, so that a few bytes do
   * not keep a whole record alive.
   * @throws {ProtocolError} for an unknown type, or a length that the type does not allow, as soon
   *   as the header is there
   */
  next(): SessionFrame | undefined {
    this.#header ??= this.#readHeader();
    if (!this.#header || this.#pending < this.#header.length) return undefined;
    const { type, stream, length } = this.#header;
    this.#header = undefined;
    const view = this.#take(length);
    if (length * 2 < view.buffer.byteLength) return { type, stream, payload: view.slice() };
    const rest = this.#pieces[0];
    if (rest?.buffer === view.buffer) this.#pieces[0] = rest.slice();
    return { type, stream, payload: view };
  }

  #readHeader(): { type: FrameType; stream: number; length: number } | undefined {
    if (this.#pending < SESSION_HEADER_BYTES) return undefined;
    const bytes = this.#take(SESSION_HEADER_BYTES);
    const type = bytes[0] as FrameType;
    const stream = (bytes[1]! << 24 | bytes[2]! << 16 | bytes[3]! << 8 | bytes[4]!) >>> 0;
    const length = bytes[5]! << 8 | bytes[6]!;
    checkLength(type, length);
    return { type, stream, length };
  }

  /** Takes bytes that are pending: a view, if they lie in one piece. */
  #take(length: number): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    if (this.#pieces[0]!.length < length) this.#pieces = [joinBytes(this.#pieces)];
    const piece = this.#pieces[0]!;
    if (piece.length === length) this.#pieces.shift();
    else this.#pieces[0] = piece.subarray(length);
    this.#pending -= length;
    return piece.subarray(0, length);
  }
}

function checkLength(type: FrameType, length: number): void {
  const lengths = PAYLOAD_LENGTHS[type];
  if (!lengths) throw new ProtocolError(`Frame not accepted: unknown type ${type}`);
  if (length < lengths[0] || length > lengths[1]) {
    throw new ProtocolError(`Frame not accepted: ${length} bytes in a frame of type ${type}`);
  }
}

/** Each side's first frame on every connection. */
export interface Hello {
  /** 16 random bytes, chosen by the initiator. */
  sessionId: Uint8Array;
  /** Numbered frames that the sender has received in this session. */
  received: number;
  /** Whether this continues a session. */
  resumes: boolean;
  name: string;
}

/** Bytes in a session id. */
export const SESSION_ID_BYTES = 16;
const HELLO_RESUMES = 1;

/** A HELLO's payload. */
export function encodeHello(hello: Hello): Uint8Array<ArrayBuffer> {
  const name = encodeText(hello.name);
  return new ByteWriter().bytes(hello.sessionId).u64(hello.received)
    .u8(hello.resumes ? HELLO_RESUMES : 0).u8(name.length).bytes(name).finish();
}

/**
 * What a HELLO's payload says; the name in Unicode's NFC form.
 * @throws {ProtocolError} if the payload is not a HELLO's, or the name none
 */
export function decodeHello(payload: Uint8Array): Hello {
  const reader = new ByteReader(payload);
  const sessionId = reader.bytes(SESSION_ID_BYTES).slice();
  const received = reader.u64();
  const resumes = (reader.u8() & HELLO_RESUMES) !== 0;
  const length = reader.u8();
  if (length === 0 || length > MAX_NAME_BYTES) {
    throw new ProtocolError(`Hello not accepted: a name of ${length} bytes`);
  }
  const { name, problem } = checkName(reader.text(length));
  if (name === undefined) throw new ProtocolError(`Hello not accepted: a name, but ${problem}`);
  return { sessionId, received, resumes, name };
}

/** The payload of an ACK, PING or PONG. */
export function encodeCount(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  for (let at = 8, rest = count; rest > 0; rest = Math.floor(rest / 256)) bytes[--at] = rest % 256;
  return bytes;
}

/** The count in an ACK, or the value of a PONG of ours. */
export function decodeCount(payload: Uint8Array): number {
  return new ByteReader(payload).u64();
}

/** The payload of a WINDOW. */
export function encodeWindow(bytes: number): Uint8Array<ArrayBuffer> {
  return new ByteWriter(4).u32(bytes).finish();
}

/** The bytes that a WINDOW grants. */
export function decodeWindow(payload: Uint8Array): number {
  return new ByteReader(payload).u32();
}

/** The payload of a RESET. */
export function encodeReset(code: number): Uint8Array<ArrayBuffer> {
  return new ByteWriter(2).u16(code).finish();
}

/** The code of a RESET, which may be one that this version does not know. */
export function decodeReset(payload: Uint8Array): number {
  return new ByteReader(payload).u16();
}

/** A GOODBYE's content. `code` may be one that this version does not know. */
export interface Goodbye {
  code: number;
  text: string;
}

/** A GOODBYE's payload; the text is cut at MAX_REASON_BYTES. */
export function encodeGoodbye(goodbye: Goodbye): Uint8Array<ArrayBuffer> {
  const text = new Uint8Array(MAX_REASON_BYTES);
  const { written } = new TextEncoder().encodeInto(goodbye.text, text);
  return new ByteWriter().u8(goodbye.code).bytes(text.subarray(0, written)).finish();
}

/**
 * What a GOODBYE says.
 * @throws {ProtocolError} if its text is not UTF-8
 */
export function decodeGoodbye(payload: Uint8Array): Goodbye {
  const reader = new ByteReader(payload);
  return { code: reader.u8(), text: reader.text(reader.remaining) };
}
