/**
 * Encryption as a wrapper: `secure(connection)` runs preface and Noise handshake and returns
 * another Connection, whose bytes are authentic and whose other end's key is known.
 * protocol/README.md, sections 1 to 4.
 */
import { concatBytes, equalBytes, totalLength } from "./bytes.ts";
import type { Connection, Path } from "./connection.ts";
import { ProtocolError, RefusedError, UnreachableError } from "./errors.ts";
import { FRAME_HEADER_BYTES, ReceiveBuffer, writeFrameHeader } from "./framing.ts";
import {
  HANDSHAKE_TIMEOUT_MS,
  MAX_EMPTY_RECORDS,
  MAX_FRAME_BYTES,
  MAX_HANDSHAKE_BYTES,
  MAX_PREFACE_BYTES,
  MAX_RECORD_BYTES,
} from "./limits.ts";
import { type HandshakeResult, HandshakeState, type KeyPair } from "./noise.ts";
import {
  errorPreface,
  parsePreface,
  type Preface,
  SESSION_PREFACE,
  TLS_PREFACE,
} from "./preface.ts";
import { type RecordCipher, UNSEALED } from "./record_cipher.ts";
import type { Clock } from "./clock.ts";
import { readUntil } from "./read_until.ts";

const PROTOCOL = "Noise_XX_25519_ChaChaPoly_SHA256";

/** Records that are sealed before they are written together. */
const RECORDS_PER_WRITE = 2;
const WIRE_BYTES = RECORDS_PER_WRITE * (FRAME_HEADER_BYTES + MAX_FRAME_BYTES);
/** The same, where all that is written at once is small: most sessions only chat, or say nothing. */
const SMALL_WIRE_BYTES = [512, 4_096] as const;
/** Bytes read from the carrier at once, at the most, by a connection that carries much. */
const RECEIVE_BUFFER_BYTES = 8 * 65_536;
const NOTHING = new Uint8Array(0);

export interface SecureOptions {
  /** Our static key. */
  identity: KeyPair;
  /** The line that says what the connection is for, and the prologue. Default: a peer's session. */
  preface?: Uint8Array;
  /**
   * Called with the other side's static key as soon as it is proven; the initiator has not yet
   * shown its own then. What it throws ends the handshake.
   */
  checkKey?: (publicKey: Uint8Array) => void | Promise<void>;
  /**
   * Bytes of plaintext that a record from the other side may have, which bounds what is held of it.
   * Default: as many as a record can.
   */
  maxRecordBytes?: number;
  clock: Clock;
  signal?: AbortSignal;
}

/**
 * Makes the connection that we dialled secure. On one with a binding the prefaces have been said
 * already: the handshake proves who is at its ends, and what keeps its bytes is left to it.
 */
export function secureInitiator(
  connection: Connection,
  options: SecureOptions,
): Promise<SecureConnection> {
  return guarded(connection, options, async (wire) => {
    const { preface = SESSION_PREFACE } = options;
    const noise = new HandshakeState({
      protocolName: PROTOCOL,
      initiator: true,
      prologue: prologueOf(connection, preface),
      staticKey: options.identity,
    });
    const message = framed(noise.writeMessage());
    await connection.write(...connection.binding ? [message] : [preface, message]);
    if (!connection.binding) await wire.readPreface(preface);
    noise.readMessage(await wire.readFrame());
    await options.checkKey?.(noise.remoteStaticKey!);
    await connection.write(framed(noise.writeMessage()));
    return noise.split();
  });
}

/**
 * Makes a connection that was accepted secure. `received` holds what was already read of it, its
 * preface line included.
 */
export function secureResponder(
  connection: Connection,
  received: ReceiveBuffer,
  options: SecureOptions,
): Promise<SecureConnection> {
  return guarded(connection, options, async (wire) => {
    const { preface = SESSION_PREFACE } = options;
    if (!connection.binding) await acceptPreface(connection, await wire.readLine(), preface);
    const noise = new HandshakeState({
      protocolName: PROTOCOL,
      initiator: false,
      prologue: prologueOf(connection, preface),
      staticKey: options.identity,
    });
    noise.readMessage(await wire.readFrame());
    const message = framed(noise.writeMessage());
    await connection.write(...connection.binding ? [message] : [preface, message]);
    noise.readMessage(await wire.readFrame());
    await options.checkKey?.(noise.remoteStaticKey!);
    return noise.split();
  }, received);
}

/** What both sides must have seen alike: nobody in between can give both the same binding. */
function prologueOf({ binding }: Connection, preface: Uint8Array): Uint8Array {
  return binding ? concatBytes(TLS_PREFACE, binding) : preface;
}

async function acceptPreface(
  connection: Connection,
  line: Uint8Array,
  wanted: Uint8Array,
): Promise<void> {
  const preface = parsePreface(line);
  if (equalBytes(line, wanted.subarray(0, -1))) return;
  const reason = REASONS[preface.word] ?? UNKNOWN_KIND;
  await connection.write(errorPreface(reason));
  throw new ProtocolError(`Connection not accepted: ${reason}`);
}

/** What a peer answers who is taken for a relay. */
export const NOT_A_RELAY = "this is a peer, not a relay";
/** What a peer answers who does not go on inside TLS. */
export const NO_TLS = "this side does not go on inside TLS here";

const UNKNOWN_KIND = "unknown kind of connection: this side takes sessions only";
const REASONS: Partial<Record<Preface["word"], string>> = {
  version: "this side speaks version 1 only: both sides need the same version",
  relay: NOT_A_RELAY,
  circuit: NOT_A_RELAY,
  tls: NO_TLS,
};

/** A handshake under a deadline: whatever goes wrong, or is aborted, closes the connection. */
async function guarded(
  connection: Connection,
  options: SecureOptions,
  handshake: (wire: HandshakeWire) => Promise<HandshakeResult>,
  received = new ReceiveBuffer(MAX_HANDSHAKE_BYTES),
): Promise<SecureConnection> {
  let reason: Error | undefined;
  function giveUp(why: Error): void {
    reason ??= why;
    connection.close();
  }
  const abort = () => giveUp(options.signal!.reason);
  const cancel = options.clock.after(
    HANDSHAKE_TIMEOUT_MS,
    () => giveUp(stalled(connection)),
  );
  options.signal?.addEventListener("abort", abort);
  try {
    options.signal?.throwIfAborted();
    const result = await handshake(new HandshakeWire(connection, received));
    return new SecureConnection(connection, received, result, options.maxRecordBytes);
  } catch (error) {
    connection.close();
    throw reason ?? error;
  } finally {
    cancel();
    options.signal?.removeEventListener("abort", abort);
  }
}

function stalled(connection: Connection): UnreachableError {
  return new UnreachableError(
    `Handshake with ${connection.remote} not complete: nothing sensible came for ${
      HANDSHAKE_TIMEOUT_MS / 1000
    } s`,
    { hint: "Is the program there a p2p of the same version? Check the address and the port." },
  );
}

function framed(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + message.length);
  writeFrameHeader(frame, 0, message.length);
  frame.set(message, FRAME_HEADER_BYTES);
  return frame;
}

/** Reads lines and frames while the handshake runs. */
class HandshakeWire {
  constructor(readonly connection: Connection, readonly received: ReceiveBuffer) {}

  /** The other side's preface: returns if it agrees with ours. */
  async readPreface(ours: Uint8Array): Promise<void> {
    const line = await this.readLine();
    const preface = parsePreface(line);
    if (equalBytes(line, ours.subarray(0, -1))) return;
    if (preface.word === "error") {
      throw new RefusedError(`${this.connection.remote} refused the connection: ${preface.text}`);
    }
    throw new ProtocolError(`${this.connection.remote} answered with an unknown preface`, {
      hint: "Both sides need the same version of p2p.",
    });
  }

  readLine(): Promise<Uint8Array> {
    return this.#take(() => {
      refuseStrangers(this.received.peek());
      return this.received.takeLine(MAX_PREFACE_BYTES)?.slice();
    });
  }

  readFrame(): Promise<Uint8Array> {
    return this.#take(() => this.received.takeFrame(MAX_HANDSHAKE_BYTES)?.slice());
  }

  #take(attempt: () => Uint8Array | undefined): Promise<Uint8Array> {
    const { connection, received } = this;
    const ended = `${connection.remote} closed the connection in the handshake`;
    return readUntil(connection, received, attempt, ended);
  }
}

/**
 * What does not begin as a preface does is no peer of ours: said at once, not when a line would be
 * complete.
 */
function refuseStrangers(bytes: Uint8Array): void {
  const magic = SESSION_PREFACE.subarray(0, 4);
  const length = Math.min(bytes.length, magic.length);
  if (!equalBytes(bytes.subarray(0, length), magic.subarray(0, length))) parsePreface(bytes);
}

/**
 * A Connection whose bytes are encrypted and authenticated, by it or by the one below, with a peer
 * whose key is known.
 */
export class SecureConnection implements Connection {
  readonly carrier: string;
  readonly path: Path;
  readonly remote: string;
  /** The other side's static key: its identity. */
  readonly remoteKey: Uint8Array;
  readonly #inner: Connection;
  readonly #received: ReceiveBuffer;
  readonly #sending: RecordCipher;
  readonly #receiving: RecordCipher;
  readonly #maxFrameBytes: number;
  readonly #mayBeLarge: boolean;
  /** Where records are sealed. As small as what was written so far allows. */
  #wire: Uint8Array = NOTHING;
  /** Plaintext that did not fit the reader's room. */
  #rest: Uint8Array = NOTHING;
  /** Records without plaintext since the last one with some. */
  #emptyRecords = 0;
  #closed = false;

  constructor(
    inner: Connection,
    received: ReceiveBuffer,
    result: HandshakeResult,
    maxRecordBytes: number = MAX_RECORD_BYTES,
  ) {
    this.carrier = `secure ${inner.carrier}`;
    this.path = inner.path;
    this.remote = inner.remote;
    this.remoteKey = result.remoteStaticKey!;
    this.#inner = inner;
    this.#received = received;
    const { send, receive } = inner.binding ? unsealed(result) : result;
    this.#sending = send;
    this.#receiving = receive;
    this.#maxFrameBytes = maxRecordBytes + receive.overhead;
    this.#mayBeLarge = maxRecordBytes === MAX_RECORD_BYTES;
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    this.#throwIfClosed();
    let plaintext = this.#nextPlaintext();
    while (!plaintext) {
      const room = this.#received.space();
      const read = await this.#inner.read(room);
      this.#throwIfClosed();
      if (read === null) return this.#ended();
      this.#received.filled(read.length);
      if (read.length === room.length) this.#expectMuch();
      plaintext = this.#nextPlaintext();
    }
    return into ? this.#copyInto(into, plaintext) : plaintext;
  }

  async write(...parts: Uint8Array[]): Promise<void> {
    let used = 0;
    for (const record of intoRecords(parts)) {
      const needed = FRAME_HEADER_BYTES + totalLength(record) + this.#sending.overhead;
      if (used + needed > this.#wire.length) {
        if (used > 0) await this.#inner.write(this.#wire.subarray(0, used));
        this.#growWire(used + needed);
        used = 0;
      }
      this.#throwIfClosed();
      const sealed = this.#sending.seal(record, this.#wire, used + FRAME_HEADER_BYTES);
      writeFrameHeader(this.#wire, used, sealed);
      used += FRAME_HEADER_BYTES + sealed;
    }
    if (used > 0) await this.#inner.write(this.#wire.subarray(0, used));
    if (this.#wire.length === SMALL_WIRE_BYTES[0]) this.#wire = NOTHING;
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(): void {
    this.#closed = true;
    this.#sending.clear();
    this.#receiving.clear();
    this.#inner.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#inner[Symbol.asyncDispose]();
  }

  #growWire(needed: number): void {
    if (this.#wire.length === WIRE_BYTES) return;
    const size = SMALL_WIRE_BYTES.find((bytes) => bytes >= needed) ?? WIRE_BYTES;
    if (size > this.#wire.length) this.#wire = new Uint8Array(size);
  }

  /** What was left of a record, or else the next record that has anything; not if none is whole. */
  #nextPlaintext(): Uint8Array | undefined {
    if (this.#rest.length > 0) {
      const rest = this.#rest;
      this.#rest = NOTHING;
      return rest;
    }
    for (;;) {
      const record = this.#received.takeFrame(this.#maxFrameBytes);
      if (!record) return undefined;
      const plaintext = this.#receiving.open(record);
      if (plaintext.length === 0) {
        this.#checkEmpty();
        continue;
      }
      this.#emptyRecords = 0;
      return plaintext;
    }
  }

  /** Nobody above hears of empty records, and so can count what they cost. */
  #checkEmpty(): void {
    if (++this.#emptyRecords <= MAX_EMPTY_RECORDS) return;
    throw new ProtocolError(`Record not accepted: ${MAX_EMPTY_RECORDS} empty ones came before it`);
  }

  #copyInto(into: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const count = Math.min(into.length, plaintext.length);
    into.set(plaintext.subarray(0, count));
    this.#rest = plaintext.subarray(count);
    return into.subarray(0, count);
  }

  #ended(): null {
    if (this.#received.pending === 0) return null;
    throw new UnreachableError("Connection lost: it ended in the middle of a record");
  }

  /** Larger reads, where the other side may send much. */
  #expectMuch(): void {
    if (this.#mayBeLarge) this.#received.reserve(RECEIVE_BUFFER_BYTES);
  }

  /**
   * Without it, what is left to do would fail for want of a key, as if the other side had done
   * wrong.
   */
  #throwIfClosed(): void {
    if (this.#closed) throw new UnreachableError("Connection not usable: it was closed");
  }
}

/** Noise has proven who is there; its keys have nothing to seal. */
function unsealed({ send, receive }: HandshakeResult): Record<"send" | "receive", RecordCipher> {
  send.clear();
  receive.clear();
  return { send: UNSEALED, receive: UNSEALED };
}

/**
 * Packs parts into records. A part that a record can hold is not cut: it arrives in one piece, and
 * the other side need not join it.
 */
function intoRecords(parts: Uint8Array[]): Uint8Array[][] {
  const records: Uint8Array[][] = [];
  let record: Uint8Array[] = [];
  let room = MAX_RECORD_BYTES;
  for (let part of parts) {
    while (part.length > 0) {
      if (part.length > room && record.length > 0) {
        records.push(record);
        record = [];
        room = MAX_RECORD_BYTES;
      }
      const piece = part.subarray(0, room);
      record.push(piece);
      room -= piece.length;
      part = part.subarray(piece.length);
    }
  }
  if (record.length > 0) records.push(record);
  return records;
}
