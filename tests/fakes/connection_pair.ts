/**
 * Two Connections joined in memory, and what can befall a line: chunks of any size, little room,
 * slowness, silence, loss, alteration.
 */
import type { Connection, Path } from "../../protocol/connection.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import type { Clock } from "../../protocol/clock.ts";

/** Milliseconds between two deliveries on a slow line. */
const TICK_MS = 10;

export interface ConnectionPairOptions {
  /** Bytes that fit into each direction before a write waits. */
  bufferBytes?: number;
  /** Cuts what is read: how many of the bytes at hand, at least one, a read gets at the most. */
  chunk?: (atHand: number) => number;
  /** What each is shown of the other. Default: "memory:1" and "memory:2". */
  remotes?: [string, string];
  /** A slow line: how many bytes arrive in each direction per second, on this clock. */
  slow?: { bytesPerSecond: number; clock: Clock };
}

/** Random numbers from 0 to below 1 that a seed repeats (mulberry32). */
export function seededRandom(seed: number): () => number {
  return () => {
    seed = seed + 0x6d2b79f5 | 0;
    let mixed = Math.imul(seed ^ seed >>> 15, 1 | seed);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

/** A pair of joined connections, the first one dialled. */
export function connectionPair(
  options: ConnectionPairOptions = {},
): [MemoryConnection, MemoryConnection] {
  const there = new Pipe(options);
  const back = new Pipe(options);
  const [first, second] = options.remotes ?? ["memory:1", "memory:2"];
  return [new MemoryConnection(there, back, first), new MemoryConnection(back, there, second)];
}

export class MemoryConnection implements Connection {
  readonly carrier = "memory";
  readonly path: Path = "direct";
  readonly #out: Pipe;
  readonly #in: Pipe;
  #closed = false;

  constructor(out: Pipe, incoming: Pipe, readonly remote: string) {
    this.#out = out;
    this.#in = incoming;
  }

  read(into?: Uint8Array): Promise<Uint8Array | null> {
    return this.#in.read(into);
  }

  async write(...parts: Uint8Array[]): Promise<void> {
    for (const part of parts) await this.#out.write(part);
  }

  closeWrite(): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    this.#out.end();
    return Promise.resolve();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#out.writerClosed();
    this.#in.readerClosed();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes that this side has written so far. */
  get sent(): number {
    return this.#out.written;
  }

  /** Bytes that this side has written and the other has not read. */
  get unread(): number {
    return this.#out.size;
  }

  /** The line breaks: both sides lose what is under way and get an error. */
  cut(): void {
    this.#out.fail(lostError());
    this.#in.fail(lostError());
  }

  /** The line breaks as soon as this side has written so many bytes in all. */
  cutAfter(bytes: number): void {
    this.#out.onWritten(bytes, () => this.cut());
  }

  /** Nothing that this side writes arrives any more, and nothing says so. */
  stall(): void {
    this.#out.stalled = true;
  }

  /** What was held up arrives after all. */
  resume(): void {
    this.#out.stalled = false;
    this.#out.changed();
  }

  /** Flips one bit of the byte that this side writes as its `offset`th, counted from 0. */
  corrupt(offset: number): void {
    this.#out.corruptAt = offset;
  }
}

/** One direction. */
class Pipe {
  readonly #options: ConnectionPairOptions;
  readonly #ring: Uint8Array<ArrayBuffer>;
  /** Where in the ring the oldest byte is. */
  #start = 0;
  /** Bytes written and not read; how many of them have arrived. */
  size = 0;
  #arrived = 0;
  written = 0;
  stalled = false;
  corruptAt = -1;
  #ended = false;
  #readFailure: Error | undefined;
  #writeFailure: Error | undefined;
  #change: PromiseWithResolvers<void> | undefined;
  #ticking = false;
  #limit = Infinity;
  #atLimit = () => {};

  constructor(options: ConnectionPairOptions) {
    this.#options = options;
    this.#ring = new Uint8Array(options.bufferBytes ?? 65_536);
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    for (;;) {
      if (this.#readFailure) throw this.#readFailure;
      if (this.#arrived > 0 && !this.stalled) return this.#take(into);
      if (this.#ended && this.size === 0) return null;
      await this.#changed();
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#throwIfUnwritable();
    for (let start = 0; start < bytes.length;) {
      const room = Math.min(this.#ring.length - this.size, this.#limit - this.written);
      if (room > 0) {
        start += this.#put(bytes.subarray(start, start + room));
        if (this.written >= this.#limit) this.#atLimit();
      } else {
        await this.#changed();
      }
      this.#throwIfUnwritable();
    }
  }

  end(): void {
    this.#ended = true;
    this.changed();
  }

  writerClosed(): void {
    this.#writeFailure ??= closedError();
    this.end();
  }

  readerClosed(): void {
    this.#readFailure ??= closedError();
    this.#writeFailure ??= lostError();
    this.size = this.#arrived = 0;
    this.changed();
  }

  fail(error: Error): void {
    this.#readFailure ??= error;
    this.#writeFailure ??= error;
    this.changed();
  }

  onWritten(bytes: number, event: () => void): void {
    this.#limit = bytes;
    this.#atLimit = event;
    if (this.written >= bytes) event();
  }

  changed(): void {
    this.#change?.resolve();
    this.#change = undefined;
  }

  #changed(): Promise<void> {
    this.#change ??= Promise.withResolvers();
    return this.#change.promise;
  }

  #throwIfUnwritable(): void {
    if (this.#writeFailure) throw this.#writeFailure;
    if (this.#ended) throw closedError();
  }

  #put(bytes: Uint8Array): number {
    const end = (this.#start + this.size) % this.#ring.length;
    const piece = bytes.subarray(0, this.#ring.length - end);
    this.#ring.set(piece, end);
    const at = this.corruptAt - this.written;
    if (at >= 0 && at < piece.length) this.#ring[end + at]! ^= 0x10;
    this.size += piece.length;
    this.written += piece.length;
    if (this.#options.slow) this.#tick();
    else this.#arrived = this.size;
    this.changed();
    return piece.length;
  }

  #take(into: Uint8Array | undefined): Uint8Array {
    const contiguous = this.#ring.length - this.#start;
    const atHand = Math.min(contiguous, this.#arrived, into?.length ?? Infinity);
    const count = Math.min(atHand, this.#options.chunk?.(atHand) ?? atHand);
    const taken = this.#ring.subarray(this.#start, this.#start + count);
    this.#start = (this.#start + count) % this.#ring.length;
    this.size -= count;
    this.#arrived -= count;
    this.changed();
    if (!into) return taken.slice();
    into.set(taken);
    return into.subarray(0, count);
  }

  #tick(): void {
    if (this.#ticking || this.#arrived === this.size) return;
    this.#ticking = true;
    const { bytesPerSecond, clock } = this.#options.slow!;
    clock.after(TICK_MS, () => {
      this.#ticking = false;
      this.#arrived = Math.min(this.size, this.#arrived + bytesPerSecond * TICK_MS / 1_000);
      this.changed();
      this.#tick();
    });
  }
}

function closedError(): UnreachableError {
  return new UnreachableError("Connection not usable: it was closed");
}

function lostError(): UnreachableError {
  return new UnreachableError("Connection lost: the line was cut");
}
