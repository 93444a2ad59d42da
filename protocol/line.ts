/** Lines of chat, numbered and signed by their authors (README.md, section 8). */
import { ByteWriter, encodeText } from "./bytes.ts";

/** What a signature is for: begins all that is signed. */
const CONTEXT = encodeText("p2p line 1");

/** To all, or to one key alone. */
export type Channel = 0 | 1;

/** The lines of an author on one channel, numbered from 1. */
export interface LogId {
  /** The author's static key, 32 bytes. */
  readonly author: Uint8Array;
  /** The author's instance, 8 bytes. */
  readonly instance: Uint8Array;
  /** 0: to all; 1: to one key alone. */
  readonly channel: Channel;
}

/** What somebody said. */
export interface Line extends LogId {
  /** Whom it is to, on channel 1: not on the wire, so absent from a line that was just decoded. */
  readonly to?: Uint8Array;
  /** From 1. */
  readonly number: number;
  /** When it was said, as its author has it: milliseconds since 1970. */
  readonly time: number;
  /** The name that its author went by. */
  readonly name: string;
  /** Without its line end. */
  readonly text: string;
  /** Ed25519, 64 bytes, of `signedBytes`. */
  readonly signature: Uint8Array;
}

/** A line, and when it was taken in here. */
export interface StoredLine extends Line {
  /** Milliseconds since 1970, by this machine's clock. */
  readonly receivedAt: number;
}

/** How far somebody has got with a log. Of channel 1: with the author's log to it. */
export interface LogPosition extends LogId {
  /** Whether it has a session with the author. */
  readonly direct: boolean;
  /** The last line that it has; 0 for none. */
  readonly number: number;
}

/** What Ed25519 signs of a line. */
export function signedBytes(line: Omit<Line, "signature">): Uint8Array<ArrayBuffer> {
  const name = encodeText(line.name);
  const text = encodeText(line.text);
  const bytes = new ByteWriter(CONTEXT.length + 84 + name.length + text.length);
  bytes.bytes(CONTEXT).bytes(line.author).bytes(line.instance).u8(line.channel);
  if (line.channel === 1) {
    if (!line.to) throw new Error("signedBytes: a line to one key alone, without that key");
    bytes.bytes(line.to);
  }
  bytes.u32(line.number);
  writeTime(line.time, bytes);
  return bytes.u8(name.length).bytes(name).bytes(text).finish();
}

/** Milliseconds since 1970 in 6 bytes. */
export function writeTime(time: number, into: ByteWriter): void {
  into.u16(Math.floor(time / 2 ** 32)).u32(time % 2 ** 32);
}
