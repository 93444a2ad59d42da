/**
 * Gathers messages into slabs: small ones share a write, the data of a large file is read straight
 * into the slab that is handed to the stream, behind the room for its header. A full slab is a
 * whole number of session frames.
 */
import { freeBytes } from "../protocol/bytes.ts";
import type { ByteStream } from "../protocol/connection.ts";
import { MAX_SLABS, MESSAGE_HEADER_BYTES, SLAB_BYTES } from "../protocol/limits.ts";
import { encodeMessage, writeMessageHeader } from "../protocol/messages.ts";
import { FileMessage } from "../protocol/offer.ts";

/** With less room than this a slab counts as full. */
const LEAST_ROOM_BYTES = 1_024;

export class MessageWriter {
  readonly #stream: ByteStream;
  readonly #onDelivered: (bytes: number) => void;
  #slab: Uint8Array<ArrayBuffer> = new Uint8Array(SLAB_BYTES);
  #used = 0;
  #dataBytes = 0;
  #slabs = 1;
  readonly #free: Uint8Array<ArrayBuffer>[] = [];
  #waiting: PromiseWithResolvers<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failure: { error: unknown } | undefined;

  /** @param onDelivered is told the bytes of file data that the other side has acknowledged */
  constructor(stream: ByteStream, onDelivered: (bytes: number) => void) {
    this.#stream = stream;
    this.#onDelivered = onDelivered;
  }

  /** Appends a message; it goes out with the next flush. */
  async message(type: number, body: Uint8Array = new Uint8Array(0)): Promise<void> {
    const length = MESSAGE_HEADER_BYTES + body.length;
    if (this.#used + length > SLAB_BYTES) await this.flush();
    if (length > SLAB_BYTES) return await this.#writeAlone(encodeMessage(type, body));
    writeMessageHeader(this.#slab, this.#used, type, body.length);
    this.#slab.set(body, this.#used + MESSAGE_HEADER_BYTES);
    this.#used += length;
  }

  /** Room for the next data, which the caller fills from the front. */
  async room(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#used + MESSAGE_HEADER_BYTES + LEAST_ROOM_BYTES > SLAB_BYTES) await this.flush();
    return this.#slab.subarray(this.#used + MESSAGE_HEADER_BYTES);
  }

  /** Says how many bytes were put into `room()`: makes a DATA message of them. */
  data(count: number): void {
    writeMessageHeader(this.#slab, this.#used, FileMessage.data, count);
    this.#used += MESSAGE_HEADER_BYTES + count;
    this.#dataBytes += count;
  }

  /**
   * Hands on what there is; resolves when the next slab can be filled, while this one is still
   * being written.
   */
  async flush(): Promise<void> {
    if (this.#used === 0) return;
    await this.#writing;
    if (this.#failure) throw this.#failure.error;
    if (this.#used < SLAB_BYTES / 4) return this.#writeCopy();
    const slab = this.#slab;
    this.#write(slab.subarray(0, this.#used), () => this.#recycle(slab));
    await this.#nextSlab();
  }

  /** Hands on all there is; resolves when the stream has taken it. */
  async drain(): Promise<void> {
    await this.flush();
    await this.#writing;
    if (this.#failure) throw this.#failure.error;
  }

  /** Ends waits for a slab: the stream will not give one back. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#waiting?.resolve();
  }

  /** A message that no slab holds goes out by itself, behind those before it. */
  async #writeAlone(message: Uint8Array): Promise<void> {
    await this.#writing;
    if (this.#failure) throw this.#failure.error;
    this.#write(message, () => {});
  }

  /** Little data must not keep a whole slab until it is acknowledged. */
  #writeCopy(): void {
    const copy = this.#slab.slice(0, this.#used);
    this.#write(copy, () => freeBytes(copy));
  }

  #write(bytes: Uint8Array, release: () => void): void {
    const dataBytes = this.#dataBytes;
    this.#used = 0;
    this.#dataBytes = 0;
    this.#writing = this.#stream.write(bytes, () => {
      release();
      if (!this.#failure && dataBytes > 0) this.#onDelivered(dataBytes);
    }).catch((error) => this.fail(error));
  }

  async #nextSlab(): Promise<void> {
    while (this.#free.length === 0 && this.#slabs >= MAX_SLABS) {
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
      this.#waiting = undefined;
      if (this.#failure) throw this.#failure.error;
    }
    const free = this.#free.pop();
    if (!free) this.#slabs++;
    this.#slab = free ?? new Uint8Array(SLAB_BYTES);
  }

  #recycle(slab: Uint8Array<ArrayBuffer>): void {
    this.#free.push(slab);
    this.#waiting?.resolve();
  }
}
