/**
 * Whether the answer to what was just sent is to be expected at once, as when a program asks and
 * another answers, thousands of times a second. It pays then to stay awake for it: a processor that
 * has gone to sleep takes longer to wake than such an answer takes to come. The idea is that of
 * adaptive polling in kernels: it is done where it works, and soon given up where it no longer does.
 */

/** An answer that comes within this is a quick one. */
const QUICK_MS = 0.25;
/** What is longer, either way, is no question and no answer. */
const SMALL_BYTES = 1_024;
/** So many quick answers make the next one expected; more than that are counted up to `MOST`. */
const EXPECTED_FROM = 16;
const MOST = 32;
/** So many quick ones make up for one that was late. */
const LATE_COSTS = 4;

export class QuickAnswers {
  #askedAt: number | undefined;
  #score = 0;

  /**
   * So many bytes go out at the time `now`, in milliseconds.
   * @returns whether an answer is to be expected within a quarter of a millisecond
   */
  wrote(bytes: number, now: number): boolean {
    if (bytes > SMALL_BYTES) this.#score = 0;
    this.#askedAt ??= now;
    return this.#score >= EXPECTED_FROM;
  }

  /** So many bytes have come. */
  heard(bytes: number, now: number): void {
    if (this.#askedAt === undefined) return;
    const quick = bytes <= SMALL_BYTES && now - this.#askedAt <= QUICK_MS;
    this.#askedAt = undefined;
    this.#score = quick ? Math.min(this.#score + 1, MOST) : Math.max(this.#score - LATE_COSTS, 0);
  }
}
