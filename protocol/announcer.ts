/**
 * When an announcement is sent (README.md, section 13): when there is something new to tell, and
 * again a second later; then only for those who ask. Pure: told of datagrams and of the time.
 *
 *              changed              poll                    poll, a second later
 *     idle ──────────────▶ due ──────────────▶ due again ─────────────────────────▶ idle
 *       └──── a query, 20 to 120 ms later ──▶ due ────────────── poll ───────────────▲
 */
import { asksFor } from "./announcement.ts";
import { decodeDns, mayBeQuery } from "./dns.ts";
import { ProtocolError } from "./errors.ts";
import { ANNOUNCEMENT_GAP_MS, MAX_ANSWER_DELAY_MS, MIN_ANSWER_DELAY_MS } from "./limits.ts";

/** Times that what is new is sent: a datagram may get lost. */
const REPEATS = 2;

export class Announcer {
  readonly #instance: string;
  readonly #random: () => number;
  #dueAt = Infinity;
  #sentAt = -Infinity;
  #repeats = 0;

  /** @param random at least 0, below 1 */
  constructor(instance: string, random: () => number) {
    this.#instance = instance;
    this.#random = random;
  }

  /** When to poll next, in milliseconds; Infinity while there is nothing to send. */
  get nextAt(): number {
    return this.#dueAt;
  }

  /** There is something new to tell: the port is open, or the addresses are others. */
  changed(now: number): void {
    this.#repeats = REPEATS;
    this.#dueBy(now);
  }

  /** Takes a datagram, which may be anything. */
  receive(bytes: Uint8Array, now: number): void {
    // Answers are told apart before they are read, and nothing is read while an answer is due
    // anyway: so a flood of either costs little.
    if (this.#dueAt < Infinity || !mayBeQuery(bytes)) return;
    const delay = MIN_ANSWER_DELAY_MS +
      this.#random() * (MAX_ANSWER_DELAY_MS - MIN_ANSWER_DELAY_MS);
    if (this.#isForUs(bytes)) this.#dueBy(now + delay);
  }

  /** Whether the announcement is to be sent now. */
  poll(now: number): boolean {
    if (now < this.#dueAt) return false;
    this.#sentAt = now;
    this.#dueAt = Infinity;
    if (this.#repeats > 0) this.#repeats--;
    if (this.#repeats > 0) this.#dueBy(now);
    return true;
  }

  #dueBy(at: number): void {
    this.#dueAt = Math.min(this.#dueAt, Math.max(at, this.#sentAt + ANNOUNCEMENT_GAP_MS));
  }

  #isForUs(bytes: Uint8Array): boolean {
    try {
      return asksFor(this.#instance, decodeDns(bytes));
    } catch (error) {
      if (error instanceof ProtocolError) return false;
      throw error;
    }
  }
}
