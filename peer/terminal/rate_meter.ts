/**
 * Milliseconds over which the past counts for little: long enough to be read, short enough to be
 * true.
 */
const SMOOTHING_MS = 3_000;
/** Milliseconds before the first rate is worth telling. */
const SETTLE_MS = 250;

/** How fast bytes come in, smoothed. */
export class RateMeter {
  readonly #now: () => number;
  readonly #started: number;
  #bytes: number;
  #at: number;
  #rate: number | undefined;

  /**
   * @param now milliseconds on a clock that never goes back
   * @param bytes what is there already
   */
  constructor(now: () => number, bytes = 0) {
    this.#now = now;
    this.#bytes = bytes;
    this.#at = this.#started = now();
  }

  /** undefined in the first moments. */
  get bytesPerSecond(): number | undefined {
    return this.#rate;
  }

  /** @param bytes how many there are by now */
  update(bytes: number): void {
    const now = this.#now();
    const passed = now - this.#at;
    if (passed <= 0 || (this.#rate === undefined && now - this.#started < SETTLE_MS)) return;
    const rate = (bytes - this.#bytes) / passed * 1000;
    const weight = this.#rate === undefined ? 1 : 1 - Math.exp(-passed / SMOOTHING_MS);
    this.#rate = (this.#rate ?? 0) + weight * (rate - (this.#rate ?? 0));
    this.#bytes = bytes;
    this.#at = now;
  }
}
