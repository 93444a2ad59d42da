/**
 * What is to be sent on a stream: bytes are cut into payloads, small ones joined, large ones sent
 * without a copy.
 */
import { joinBytes } from "./bytes.ts";
import { MAX_PAYLOAD_BYTES } from "./limits.ts";

/** Below this, several writes are joined into one payload; above, a payload is a view. */
const JOIN_BELOW_BYTES = 8_192;

interface Pending {
  bytes: Uint8Array;
  released: (() => void) | undefined;
  /**
   * Whether a part of it was taken already, as a view: then the rest must not be released before
   * it.
   */
  begun: boolean;
}

/** A payload to send, and whom to tell when it has arrived. */
export interface Payload {
  bytes: Uint8Array;
  released: (() => void) | undefined;
}

export class Outbox {
  #queue: Pending[] = [];
  #size = 0;

  /** Bytes queued. */
  get size(): number {
    return this.#size;
  }

  add(bytes: Uint8Array, released?: () => void): void {
    if (bytes.length === 0) return released?.();
    this.#queue.push({ bytes, released, begun: false });
    this.#size += bytes.length;
  }

  /** The next payload of at most `limit` bytes; at least one byte must be queued. */
  take(limit: number): Payload {
    const most = Math.min(limit, MAX_PAYLOAD_BYTES);
    const payload = this.#queue[0]!.begun ? this.#takeFirst(most) : this.#takeJoined(most);
    this.#size -= payload.bytes.length;
    return payload;
  }

  /** Lets go of everything. */
  clear(): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#size = 0;
    for (const each of queue) each.released?.();
  }

  #takeFirst(most: number): Payload {
    const first = this.#queue[0]!;
    if (first.bytes.length <= most) {
      this.#queue.shift();
      return first;
    }
    const bytes = first.bytes.subarray(0, most);
    first.bytes = first.bytes.subarray(most);
    first.begun = true;
    return { bytes, released: undefined };
  }

  /**
   * Joins as many whole small writes as fit, if there are two: a copy, so that they are released at
   * once.
   */
  #takeJoined(most: number): Payload {
    let count = 0;
    for (let size = 0; count < this.#queue.length; count++) {
      const length = this.#queue[count]!.bytes.length;
      if (length >= JOIN_BELOW_BYTES || size + length > most) break;
      size += length;
    }
    if (count < 2) return this.#takeFirst(most);
    const joined = this.#queue.splice(0, count);
    const bytes = joinBytes(joined.map((each) => each.bytes));
    for (const each of joined) each.released?.();
    return { bytes, released: undefined };
  }
}
