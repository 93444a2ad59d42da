/**
 * What a relay may send to addresses that have not paid for it: over UDP anybody can write down
 * another's address as the sender, and a relay that answered with more than it got would be a way to
 * flood that address.
 */

/** Bytes that a source is given in each window. */
const WINDOW_BYTES = 512;
const WINDOW_MS = 60_000;
/** Sources that are remembered. Beyond it newcomers are given nothing. */
const MAX_SOURCES = 65_536;

interface Window {
  readonly since: number;
  spent: number;
}

export class Allowance {
  readonly #maxSources: number;
  /** In the order in which their windows began. */
  readonly #windows = new Map<string, Window>();

  constructor(maxSources: number = MAX_SOURCES) {
    this.#maxSources = maxSources;
  }

  /** Sources that are remembered now. */
  get size(): number {
    return this.#windows.size;
  }

  /**
   * Takes so many bytes of a source's allowance, if it has them left.
   * @param source as `sourceOf` tells it
   * @param now milliseconds on the relay's clock
   */
  take(source: string, bytes: number, now: number): boolean {
    this.#forget(now);
    const window = this.#windows.get(source);
    if ((window?.spent ?? 0) + bytes > WINDOW_BYTES) return false;
    if (window) window.spent += bytes;
    else if (this.#windows.size >= this.#maxSources) return false;
    else this.#windows.set(source, { since: now, spent: bytes });
    return true;
  }

  #forget(now: number): void {
    for (const [source, { since }] of this.#windows) {
      if (now - since < WINDOW_MS) return;
      this.#windows.delete(source);
    }
  }
}
