/**
 * What one peer of a plain chat is sent, one write after the other. It has a queue of its own: a
 * peer that takes nothing holds nobody else up.
 */
import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import { DEAD_AFTER_MS } from "../protocol/limits.ts";

/** Bytes that wait for a peer before whoever says more waits, too. */
const MAX_QUEUED_BYTES = 4 * 1_048_576;

export class PlainWriter {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #ending = false;
  #over = false;
  /** Resolves when all that was queued is written, or the connection is closed. */
  #writing: Promise<void> | undefined;
  #room = Promise.withResolvers<void>();

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  /**
   * Sends these bytes behind what is queued; they must not change any more. Resolves when more may
   * be sent. What is sent to a connection that has ended is dropped.
   */
  async send(bytes: Uint8Array): Promise<void> {
    if (this.#ending || this.#over) return;
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#writing ??= this.#write();
    while (this.full && !this.#over) await this.#room.promise;
  }

  /** Whether so much waits that whoever says more waits, too. */
  get full(): boolean {
    return this.#queuedBytes > MAX_QUEUED_BYTES;
  }

  /** Whether the connection is closed. */
  get closed(): boolean {
    return this.#over;
  }

  /** Resolves when all that was sent is written, or the connection is closed. */
  async drained(): Promise<void> {
    await this.#writing;
  }

  /** Ends this side's direction when all is written. */
  async end(): Promise<void> {
    this.#ending = true;
    await this.#writing;
    if (!this.#over) await this.#connection.closeWrite().catch(() => this.close());
  }

  /** Closes the connection; nothing more is written. */
  close(): void {
    this.#over = true;
    this.#queue.length = this.#queuedBytes = 0;
    this.#connection.close();
    this.#wake();
  }

  async #write(): Promise<void> {
    for (let next = this.#queue[0]; next; next = this.#queue[0]) {
      const cancel = this.#clock.after(DEAD_AFTER_MS, () => this.close());
      await this.#connection.write(next).catch(() => this.close());
      cancel();
      if (this.#over) break;
      this.#queue.shift();
      this.#queuedBytes -= next.length;
      this.#wake();
    }
    this.#writing = undefined;
  }

  #wake(): void {
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }
}
