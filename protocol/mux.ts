/**
 * The stream multiplexer: pure, frames in and frames out. Flow control is per stream (yamux's
 * design); which stream sends next is decided here: urgent ones first, the others in turn.
 *
 *     a stream, seen from one side
 *
 *                 open / OPEN received
 *                          │
 *                        live ── finish ──▶ finishing ── sent FINISH ──▶ half closed ─┐
 *                          │                                                          ├─▶ gone
 *                          └────── FINISH received ─────▶ half closed ────────────────┘
 *                 reset or RESET received: gone at once
 *
 * "Gone" is forgotten: frames that still arrive for it are dropped.
 */
import { decodeText, encodeText } from "./bytes.ts";
import { ResetCode } from "./connection.ts";
import { ProtocolError, StreamResetError } from "./errors.ts";
import { Inbox } from "./inbox.ts";
import {
  INITIAL_WINDOW_BYTES,
  MAX_EXTRA_WINDOW_BYTES,
  MAX_STREAMS,
  MAX_URGENT_WINDOW_BYTES,
  MAX_WINDOW_BYTES,
} from "./limits.ts";
import { Outbox } from "./outbox.ts";
import type { LoggedFrame } from "./send_log.ts";
import {
  decodeReset,
  decodeWindow,
  encodeHeader,
  encodeReset,
  encodeWindow,
  FrameType,
  type SessionFrame,
} from "./session_frame.ts";

/** What a side does with its streams first: "urgent" for what people type, "bulk" for files. */
export type Priority = "urgent" | "bulk";

/** Credit that a sender may hold: grants beyond it are an error, so that the sum stays exact. */
const MAX_CREDIT_BYTES = 2 ** 31;
/**
 * Control frames that may wait to be sent: a peer that provokes more and does not read is cut off.
 */
const MAX_CONTROL_FRAMES = 4_096;

/** Whoever drives the mux is told of these. */
export interface MuxEvents {
  /** The other side opened a stream. */
  opened(stream: MuxStream): void;
  /** Something about the stream changed that its reader or writer may be waiting for. */
  changed(stream: MuxStream): void;
}

/** One stream's state. */
export class MuxStream {
  readonly inbox = new Inbox();
  readonly outbox = new Outbox();
  /** Bytes that we may still send. */
  credit = INITIAL_WINDOW_BYTES;
  /** Bytes that the other side may still send. */
  allowance = INITIAL_WINDOW_BYTES;
  /** What `allowance` is topped up to. */
  window = INITIAL_WINDOW_BYTES;
  /** Bytes read since the last grant. */
  readSinceGrant = 0;
  /** Our direction: FINISH wanted, FINISH sent. */
  finishing = false;
  finished = false;
  /** Called when the other side has acknowledged our FINISH. */
  finishAcknowledged: (() => void) | undefined;
  /** The other side's direction has ended. */
  ended = false;
  /** Why the stream broke, if it did. */
  failure: Error | undefined;

  constructor(readonly id: number, readonly kind: string, readonly priority: Priority) {}

  get sendable(): boolean {
    if (this.finished || this.failure) return false;
    return this.outbox.size > 0 ? this.credit > 0 : this.finishing;
  }
}

export class Mux {
  readonly #events: MuxEvents;
  readonly #streams = new Map<number, MuxStream>();
  readonly #control: LoggedFrame[] = [];
  /** Streams that have something to send, in turn; may name some that no longer have. */
  readonly #ready: Record<Priority, Set<MuxStream>> = { urgent: new Set(), bulk: new Set() };
  readonly #ownParity: number;
  #nextId: number;
  #nextTheirs: number;
  #theirsOpen = 0;
  /** Bytes granted above the initial windows, over all streams. */
  #extraWindow = 0;

  constructor(role: "initiator" | "responder", events: MuxEvents) {
    this.#events = events;
    this.#ownParity = role === "initiator" ? 1 : 0;
    this.#nextId = role === "initiator" ? 1 : 2;
    this.#nextTheirs = role === "initiator" ? 2 : 1;
  }

  /** Streams that are not gone. */
  get streams(): Iterable<MuxStream> {
    return this.#streams.values();
  }

  /** Opens a stream. The other side hears of it with the next frames. */
  open(kind: string, priority: Priority): MuxStream {
    const stream = new MuxStream(this.#nextId, kind, priority);
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    this.#queueControl(FrameType.open, stream.id, encodeText(kind));
    return stream;
  }

  /** Queues bytes to send. */
  write(stream: MuxStream, bytes: Uint8Array, released?: () => void): void {
    stream.outbox.add(bytes, released);
    this.#offer(stream);
  }

  /** Ends our direction behind what is queued. */
  finish(stream: MuxStream, acknowledged: () => void): void {
    stream.finishing = true;
    stream.finishAcknowledged = acknowledged;
    this.#offer(stream);
  }

  /** Ends both directions. */
  reset(stream: MuxStream, code: ResetCode): void {
    if (!this.#streams.has(stream.id)) return;
    this.#break(stream, new StreamResetError(code));
    this.#queueControl(FrameType.reset, stream.id, encodeReset(code));
  }

  /** The reader took bytes; grants the other side more when it is time to. */
  read(stream: MuxStream): Uint8Array | undefined {
    const bytes = stream.inbox.take();
    if (!bytes) return undefined;
    stream.readSinceGrant += bytes.length;
    const open = !stream.ended && !stream.failure;
    if (open && stream.readSinceGrant >= stream.window / 2) this.#grant(stream);
    if (stream.inbox.empty) this.#forgetIfDone(stream);
    return bytes;
  }

  /** Whether frames wait that tell the other side something about the streams themselves. */
  get controlPending(): boolean {
    return this.#control.length > 0;
  }

  /** Whether nothing waits to be sent, not even for want of credit. */
  get idle(): boolean {
    return !this.controlPending &&
      [...this.#streams.values()].every((stream) =>
        stream.outbox.size === 0 && stream.finishing === stream.finished
      );
  }

  /** The next frame to send, or undefined. Those of bulk streams only when `bulkAllowed`. */
  next(bulkAllowed: boolean): LoggedFrame | undefined {
    const control = this.#control.shift();
    if (control) return control;
    const stream = this.#nextReady(this.#ready.urgent) ??
      (bulkAllowed ? this.#nextReady(this.#ready.bulk) : undefined);
    if (!stream) return undefined;
    const frame = stream.outbox.size > 0 ? this.#takeData(stream) : this.#takeFinish(stream);
    this.#offer(stream);
    this.#events.changed(stream);
    return frame;
  }

  /**
   * Takes in a numbered frame.
   * @throws {ProtocolError} if the other side broke a rule
   */
  receive(frame: SessionFrame): void {
    if (this.#control.length >= MAX_CONTROL_FRAMES) {
      throw new ProtocolError("Session ended: the other side asks and does not read");
    }
    if (frame.type === FrameType.open) return this.#receiveOpen(frame);
    const stream = this.#streams.get(frame.stream);
    if (!stream) return this.#checkWasOpen(frame.stream);
    switch (frame.type) {
      case FrameType.data:
        return this.#receiveData(stream, frame.payload);
      case FrameType.finish:
        return this.#receiveFinish(stream);
      case FrameType.reset:
        return this.#break(stream, new StreamResetError(decodeReset(frame.payload)));
      case FrameType.window:
        return this.#receiveWindow(stream, decodeWindow(frame.payload));
    }
  }

  /** The session is over: breaks every stream. What has arrived can still be read. */
  fail(error: Error): void {
    for (const stream of [...this.#streams.values()]) this.#break(stream, error, true);
    this.#control.length = 0;
  }

  #receiveOpen(frame: SessionFrame): void {
    if (frame.stream !== this.#nextTheirs) {
      throw new ProtocolError(`Stream not accepted: number ${frame.stream} out of turn`);
    }
    this.#nextTheirs += 2;
    const kind = decodeText(frame.payload);
    if (!/^[\x21-\x7e]+$/.test(kind)) {
      throw new ProtocolError("Stream not accepted: unreadable kind");
    }
    if (this.#theirsOpen >= MAX_STREAMS) {
      return this.#queueControl(FrameType.reset, frame.stream, encodeReset(ResetCode.unwanted));
    }
    const stream = new MuxStream(frame.stream, kind, kind.startsWith("chat") ? "urgent" : "bulk");
    this.#streams.set(stream.id, stream);
    this.#theirsOpen++;
    this.#events.opened(stream);
  }

  #receiveData(stream: MuxStream, payload: Uint8Array): void {
    if (stream.ended) throw new ProtocolError("Stream data not accepted: it had finished");
    if (payload.length > stream.allowance) {
      throw new ProtocolError("Stream data not accepted: more than the window allows");
    }
    stream.allowance -= payload.length;
    stream.inbox.add(payload);
    this.#events.changed(stream);
  }

  #receiveFinish(stream: MuxStream): void {
    if (stream.ended) throw new ProtocolError("Stream end not accepted: it had finished");
    stream.ended = true;
    this.#events.changed(stream);
    this.#forgetIfDone(stream);
  }

  #receiveWindow(stream: MuxStream, bytes: number): void {
    stream.credit += bytes;
    if (stream.credit > MAX_CREDIT_BYTES) throw new ProtocolError("Window not accepted: too large");
    this.#offer(stream);
  }

  #checkWasOpen(id: number): void {
    const ours = (id & 1) === this.#ownParity;
    if (id === 0 || id >= (ours ? this.#nextId : this.#nextTheirs)) {
      throw new ProtocolError(`Frame not accepted: stream ${id} was never opened`);
    }
  }

  /**
   * Tops the other side's allowance up. A reader that had emptied the inbox is faster than the
   * window lets the sender be: the window doubles, while the budget for that lasts.
   */
  #grant(stream: MuxStream): void {
    const most = stream.priority === "urgent" ? MAX_URGENT_WINDOW_BYTES : MAX_WINDOW_BYTES;
    const wanted = Math.min(most, stream.window * 2) - stream.window;
    const growth = stream.inbox.empty && this.#extraWindow + wanted <= MAX_EXTRA_WINDOW_BYTES
      ? wanted
      : 0;
    this.#extraWindow += growth;
    stream.window += growth;
    const grant = stream.readSinceGrant + growth;
    stream.readSinceGrant = 0;
    stream.allowance += grant;
    this.#queueControl(FrameType.window, stream.id, encodeWindow(grant));
  }

  #takeData(stream: MuxStream): LoggedFrame {
    const payload = stream.outbox.take(stream.credit);
    stream.credit -= payload.bytes.length;
    return {
      header: encodeHeader(FrameType.data, stream.id, payload.bytes.length),
      payload: payload.bytes,
      released: payload.released,
    };
  }

  #takeFinish(stream: MuxStream): LoggedFrame {
    stream.finished = true;
    this.#forgetIfDone(stream);
    return {
      header: encodeHeader(FrameType.finish, stream.id, 0),
      payload: new Uint8Array(0),
      released: stream.finishAcknowledged,
    };
  }

  #queueControl(type: FrameType, id: number, payload: Uint8Array): void {
    const header = encodeHeader(type, id, payload.length);
    this.#control.push({ header, payload, released: undefined });
  }

  #offer(stream: MuxStream): void {
    if (stream.sendable) this.#ready[stream.priority].add(stream);
  }

  #nextReady(ready: Set<MuxStream>): MuxStream | undefined {
    for (const stream of ready) {
      ready.delete(stream);
      if (stream.sendable) return stream;
    }
    return undefined;
  }

  #break(stream: MuxStream, failure: Error, keepInbox = false): void {
    stream.failure = failure;
    stream.outbox.clear();
    if (!keepInbox && !stream.inbox.empty) {
      stream.inbox.clear();
      // What was finished is no longer all there: its reader must not take it for complete.
      stream.ended = false;
    }
    this.#forget(stream);
    this.#events.changed(stream);
  }

  #forgetIfDone(stream: MuxStream): void {
    if (stream.ended && stream.finished && stream.inbox.empty) this.#forget(stream);
  }

  #forget(stream: MuxStream): void {
    if (!this.#streams.delete(stream.id)) return;
    if ((stream.id & 1) !== this.#ownParity) this.#theirsOpen--;
    this.#extraWindow -= stream.window - INITIAL_WINDOW_BYTES;
  }
}
