/** Two connections made one: bytes are copied both ways, and never more of them held than a buffer. */
import type { Budget } from "../protocol/budget.ts";
import { freeBytes } from "../protocol/bytes.ts";
import { type Clock, sleep } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import type { Turns } from "./turns.ts";

/** Bytes read at once to begin with, and where little comes: what an idle direction costs. */
const SMALL_BYTES = 4_096;
/** Bytes read at once where much comes. */
const LARGE_BYTES = 262_144;
/** How much larger a buffer becomes that a read has filled. */
const GROWTH = 4;
/** Reads in a row that fit a small buffer, after which a large one is given back. */
const SMALL_READS = 4;
/** Milliseconds of the rate that may pass at once. */
const BURST_MS = 250;

export interface JoinOptions {
  clock: Clock;
  /** What each end is told before anything else. */
  greeting: Uint8Array;
  /** Bytes per second, each way; Infinity for no limit. */
  rate: number;
  /** Milliseconds without a byte after which both are closed. */
  idleMs: number;
  /** Told of bytes that have been passed on. */
  onBytes: (count: number) => void;
  /** Shared by all that is joined. */
  turns: Turns;
  /** What buffers beyond the smallest are taken from; shared, too. */
  buffers: Budget;
}

/** One end, and what was already read of it. */
export interface End {
  readonly connection: Connection;
  /** Goes to the other end first. */
  readonly received: Uint8Array;
}

/**
 * Copies until both have closed their directions, or one breaks, or nothing passes any more. When
 * one closes its direction, that is passed on. Both are closed at the end.
 */
export async function join(a: End, b: End, options: JoinOptions): Promise<void> {
  const over = new AbortController();
  function end(): void {
    over.abort();
    a.connection.close();
    b.connection.close();
  }
  const idle = new IdleWatch(options.clock, options.idleMs, end);
  const way = (from: End, to: End) =>
    new Way(from, to, { ...options, signal: over.signal, onPassed: () => idle.passed() }).run();
  try {
    await Promise.all([way(a, b), way(b, a)]);
  } catch {
    // One of them broke: then nothing of the other is of use.
  } finally {
    idle.stop();
    end();
  }
}

interface WayOptions extends JoinOptions {
  signal: AbortSignal;
  onPassed: () => void;
}

/** One direction. */
class Way {
  readonly #from: End;
  readonly #to: Connection;
  readonly #options: WayOptions;
  readonly #smallest: number;
  readonly #largest: number;
  #room: Uint8Array<ArrayBuffer>;
  #smallReads = 0;
  /** When the bytes that have passed are paid for, at the rate. */
  #paidAt = 0;

  constructor(from: End, to: End, options: WayOptions) {
    this.#from = from;
    this.#to = to.connection;
    this.#options = options;
    const burst = Math.ceil(options.rate * BURST_MS / 1_000);
    this.#smallest = Math.min(SMALL_BYTES, burst);
    this.#largest = Math.min(LARGE_BYTES, burst);
    this.#room = new Uint8Array(this.#smallest);
  }

  /** @throws {UnreachableError} if one of the connections broke or was closed */
  async run(): Promise<void> {
    try {
      await this.#copy();
    } finally {
      this.#resize(this.#smallest);
    }
  }

  async #copy(): Promise<void> {
    const { connection, received } = this.#from;
    await this.#to.write(this.#options.greeting);
    if (received.length > 0) await this.#pass(received);
    for (;;) {
      const bytes = await connection.read(this.#room);
      if (bytes === null) return await this.#to.closeWrite();
      await this.#pass(bytes);
      this.#adapt(bytes.length);
    }
  }

  async #pass(bytes: Uint8Array): Promise<void> {
    if (this.#options.rate !== Infinity) await this.#pace(bytes.length);
    await this.#to.write(bytes);
    this.#options.onPassed();
    this.#options.onBytes(bytes.length);
    await this.#options.turns.passed(bytes.length);
  }

  /** Waits until so many more bytes keep to the rate. */
  async #pace(count: number): Promise<void> {
    const { clock, rate, signal } = this.#options;
    const now = clock.now();
    this.#paidAt = Math.max(this.#paidAt, now - BURST_MS) + count * 1_000 / rate;
    if (this.#paidAt > now) await sleep(clock, this.#paidAt - now, signal);
  }

  #adapt(count: number): void {
    const size = this.#room.length;
    if (count === size && size < this.#largest) {
      return this.#resize(Math.min(size * GROWTH, this.#largest));
    }
    this.#smallReads = count <= this.#smallest ? this.#smallReads + 1 : 0;
    if (this.#smallReads >= SMALL_READS && size > this.#smallest) this.#resize(this.#smallest);
  }

  /** Not to a larger one while others have all that there is. */
  #resize(size: number): void {
    const { buffers } = this.#options;
    const more = size - this.#room.length;
    if (more > 0 && !buffers.take(more)) return;
    if (more < 0) buffers.give(-more);
    freeBytes(this.#room);
    this.#room = new Uint8Array(size);
    this.#smallReads = 0;
  }
}

/** Calls `end` when nothing has passed for so long; one timer, not one for every byte. */
class IdleWatch {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #end: () => void;
  #passedAt: number;
  #cancel: () => void;

  constructor(clock: Clock, ms: number, end: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#end = end;
    this.#passedAt = clock.now();
    this.#cancel = clock.after(ms, () => this.#check());
  }

  passed(): void {
    this.#passedAt = this.#clock.now();
  }

  stop(): void {
    this.#cancel();
  }

  #check(): void {
    const left = this.#passedAt + this.#ms - this.#clock.now();
    if (left <= 0) this.#end();
    else this.#cancel = this.#clock.after(left, () => this.#check());
  }
}
