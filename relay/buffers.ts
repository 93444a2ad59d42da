/** Bytes of large buffers that all circuits have together. */
const MAX_BYTES = 64 * 1_048_576;

/**
 * Memory for the larger buffers of circuits: a few have what makes them fast, and a thousand do not
 * fill the machine, but make do with what they began with.
 */
export class Buffers {
  #left: number;

  constructor(bytes: number = MAX_BYTES) {
    this.#left = bytes;
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#left;
  }

  /** Takes so many bytes, if there are as many left. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Gives back what was taken. */
  give(bytes: number): void {
    this.#left += bytes;
  }
}
