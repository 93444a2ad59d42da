/**
 * What has arrived on a stream and is not yet read. Small payloads share an array, so that many of
 * them cost no more than their bytes.
 */
const SMALL_BYTES = 1_024;
const SHARED_BYTES = 16_384;

export class Inbox {
  #chunks: Uint8Array[] = [];
  /** Bytes of the last chunk that are used, if it is one that small payloads share. */
  #sharedUsed = -1;

  get empty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Adds bytes, which from then on belong to the inbox. */
  add(bytes: Uint8Array): void {
    if (bytes.length >= SMALL_BYTES || this.empty) {
      this.#closeShared();
      this.#chunks.push(bytes);
      return;
    }
    if (this.#sharedUsed < 0 || this.#sharedUsed + bytes.length > SHARED_BYTES) {
      this.#closeShared();
      this.#chunks.push(new Uint8Array(SHARED_BYTES));
      this.#sharedUsed = 0;
    }
    this.#chunks.at(-1)!.set(bytes, this.#sharedUsed);
    this.#sharedUsed += bytes.length;
  }

  /** Takes the oldest chunk. */
  take(): Uint8Array | undefined {
    if (this.#chunks.length === 1) this.#closeShared();
    return this.#chunks.shift();
  }

  clear(): void {
    this.#chunks = [];
    this.#sharedUsed = -1;
  }

  /** Ends the sharing; an array that is mostly empty is not kept for the little in it. */
  #closeShared(): void {
    if (this.#sharedUsed >= 0) {
      const used = this.#chunks.at(-1)!.subarray(0, this.#sharedUsed);
      this.#chunks[this.#chunks.length - 1] = used.length * 2 < SHARED_BYTES ? used.slice() : used;
    }
    this.#sharedUsed = -1;
  }
}
