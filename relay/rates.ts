/** How fast each source may act: a bucket of tokens for each, in a table that cannot grow without end. */

/** Seconds of the rate that may come at once. */
const BURST_SECONDS = 4;
/** Sources that are remembered. Beyond it nobody new is let through. */
const MAX_SOURCES = 131_072;
/** Milliseconds between two looks through the whole table. */
const SWEEP_MS = 1_000;

interface Bucket {
  tokens: number;
  /** When the tokens were counted. */
  at: number;
}

export class Rates {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #maxSources: number;
  readonly #buckets = new Map<string, Bucket>();
  #sweptAt = -Infinity;

  /** @param perSecond what each source may do, in the long run */
  constructor(perSecond: number, maxSources: number = MAX_SOURCES) {
    this.#perMs = perSecond / 1_000;
    this.#burst = perSecond * BURST_SECONDS;
    this.#maxSources = maxSources;
  }

  /** Sources that are remembered now. */
  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Takes a token, if the source has one left.
   * @param now milliseconds on the relay's clock
   */
  take(source: string, now: number): boolean {
    const bucket = this.#buckets.get(source) ?? this.#add(source, now);
    if (!bucket) return false;
    bucket.tokens = this.#tokens(bucket, now);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  #add(source: string, now: number): Bucket | undefined {
    if (now - this.#sweptAt >= SWEEP_MS) this.#sweep(now);
    if (this.#buckets.size >= this.#maxSources) return undefined;
    const bucket = { tokens: this.#burst, at: now };
    this.#buckets.set(source, bucket);
    return bucket;
  }

  /** Forgets the full buckets: a new one is the same. */
  #sweep(now: number): void {
    this.#sweptAt = now;
    for (const [source, bucket] of this.#buckets) {
      if (this.#tokens(bucket, now) >= this.#burst) this.#buckets.delete(source);
    }
  }

  #tokens({ tokens, at }: Bucket, now: number): number {
    return Math.min(this.#burst, tokens + (now - at) * this.#perMs);
  }
}
