/**
 * Numbering and keeping of what was sent: the part of a session that lets it outlive its
 * connections.
 *
 *          acknowledged          sent on this connection        to be sent (again)
 *     1 ─────────────────┬──────────────────────────────┬──────────────────────────── sent
 *                    #acked                         #cursor
 *
 * A frame is appended when it is first sent; `rewind` makes everything unacknowledged due again.
 */
import { ProtocolError } from "./errors.ts";

/** A numbered frame as it goes on the wire, and whom to tell when it has arrived. */
export interface LoggedFrame {
  header: Uint8Array;
  payload: Uint8Array;
  /** Called once: when the frame is acknowledged, or the session is over. */
  released: (() => void) | undefined;
}

interface Entry extends LoggedFrame {
  /** When it was last sent, ms, and how much had been acknowledged then: for the pace. */
  sentAt: number;
  ackedBytesThen: number;
}

/** What an acknowledgement showed. */
export interface AckSample {
  /** Milliseconds from sending the newest acknowledged frame to its acknowledgement. */
  roundTrip: number;
  /** Bytes acknowledged in that time. */
  bytes: number;
}

export class SendLog {
  #entries: Entry[] = [];
  /**
   * Index in `#entries` of the first one that is not acknowledged: acknowledged ones are cut off in
   * batches.
   */
  #first = 0;
  /** Index of the next entry to send on the current connection. */
  #cursor = 0;
  #acked = 0;
  #ackedBytes = 0;
  #inFlight = 0;

  /** Numbered frames sent so far in this session. */
  get sent(): number {
    return this.#acked + this.#entries.length - this.#first;
  }

  /** Numbered frames that the other side has acknowledged. */
  get acknowledged(): number {
    return this.#acked;
  }

  /** Frames kept. */
  get kept(): number {
    return this.#entries.length - this.#first;
  }

  /** Bytes sent on the current connection and not acknowledged. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** When the oldest frame was sent that the other side has not acknowledged. */
  get oldestSentAt(): number | undefined {
    return this.#first < this.#cursor ? this.#entries[this.#first]!.sentAt : undefined;
  }

  /** Numbers a new frame. It is due at once: call `next` to send it. */
  append(frame: LoggedFrame): void {
    this.#entries.push({ ...frame, sentAt: 0, ackedBytesThen: 0 });
  }

  /** The next frame to put on the current connection, or undefined. */
  next(now: number): LoggedFrame | undefined {
    const entry = this.#entries[this.#cursor];
    if (!entry) return undefined;
    this.#cursor++;
    entry.sentAt = now;
    entry.ackedBytesThen = this.#ackedBytes;
    this.#inFlight += sizeOf(entry);
    return entry;
  }

  /**
   * The other side has received `count` numbered frames in all.
   * @returns what it shows of the path, or undefined if nothing is newly acknowledged
   * @throws {ProtocolError} if that is fewer than before, or more than were sent
   */
  acknowledge(count: number, now: number): AckSample | undefined {
    if (count < this.#acked || count > this.sent) {
      throw new ProtocolError(
        `Acknowledgement not accepted: ${count} frames, where ${this.#acked} to ${this.sent} are possible`,
      );
    }
    let last: Entry | undefined;
    for (; this.#acked < count; this.#acked++) {
      last = this.#entries[this.#first]!;
      this.#entries[this.#first] = undefined as never;
      if (this.#first < this.#cursor) this.#inFlight -= sizeOf(last);
      this.#first++;
      this.#ackedBytes += sizeOf(last);
      last.released?.();
    }
    this.#cursor = Math.max(this.#cursor, this.#first);
    this.#trim();
    if (!last || last.sentAt === 0) return undefined;
    return { roundTrip: now - last.sentAt, bytes: this.#ackedBytes - last.ackedBytesThen };
  }

  /** A new connection: all that is kept is due again. */
  rewind(): void {
    this.#cursor = this.#first;
    this.#inFlight = 0;
    for (const entry of this.#entries.slice(this.#first)) entry.sentAt = 0;
  }

  /** The session is over: lets go of everything. */
  clear(): void {
    const kept = this.#entries.slice(this.#first);
    this.#entries = [];
    this.#first = this.#cursor = this.#inFlight = 0;
    for (const entry of kept) entry.released?.();
  }

  #trim(): void {
    if (this.#first < 256 && this.#first < this.#entries.length) return;
    this.#entries.splice(0, this.#first);
    this.#cursor -= this.#first;
    this.#first = 0;
  }
}

function sizeOf(frame: LoggedFrame): number {
  return frame.header.length + frame.payload.length;
}
