/** Two ByteStreams joined in memory: what one writes the other reads, with a bounded window. */
import type { ByteStream, ResetCode } from "../../protocol/connection.ts";
import { StreamResetError } from "../../protocol/errors.ts";

export interface StreamPairOptions {
  kind?: string;
  /** Bytes under way at the most, each way. */
  windowBytes?: number;
  /** Cuts what is written into reads of at most this many bytes. */
  chunkBytes?: number;
}

/** A pair of joined streams. */
export function streamPair(options: StreamPairOptions = {}): [FakeStream, FakeStream] {
  const kind = options.kind ?? "files/1";
  const windowBytes = options.windowBytes ?? 262_144;
  const chunkBytes = options.chunkBytes ?? 65_512;
  const a = new FakeStream(1, kind, windowBytes, chunkBytes);
  const b = new FakeStream(1, kind, windowBytes, chunkBytes);
  a.peer = b;
  b.peer = a;
  return [a, b];
}

interface Queued {
  bytes: Uint8Array;
  released: (() => void) | undefined;
}

export class FakeStream implements ByteStream {
  peer!: FakeStream;
  #inbox: Queued[] = [];
  #buffered = 0;
  #finished = false;
  #failure: Error | undefined;
  #wake: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(
    readonly id: number,
    readonly kind: string,
    readonly windowBytes: number,
    readonly chunkBytes: number,
  ) {}

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      const next = this.#inbox.shift();
      if (next) {
        this.#buffered -= next.bytes.length;
        const copy = next.bytes.slice();
        next.released?.();
        this.#changed();
        return copy;
      }
      if (this.#finished) return null;
      await this.#wake.promise;
    }
  }

  async write(bytes: Uint8Array, released?: () => void): Promise<void> {
    for (let start = 0; start < bytes.length; start += this.chunkBytes) {
      while (!this.#failure && this.peer.#buffered >= this.windowBytes) {
        await this.peer.#wake.promise;
      }
      if (this.#failure) {
        released?.();
        throw this.#failure;
      }
      const end = Math.min(bytes.length, start + this.chunkBytes);
      this.peer.#inbox.push({
        bytes: bytes.subarray(start, end),
        released: end === bytes.length ? released : undefined,
      });
      this.peer.#buffered += end - start;
      this.peer.#changed();
    }
    if (bytes.length === 0) released?.();
  }

  async finish(): Promise<void> {
    this.peer.#finished = true;
    this.peer.#changed();
    while (!this.#failure && this.peer.#inbox.length > 0) await this.peer.#wake.promise;
  }

  reset(code: ResetCode): void {
    this.fail(new StreamResetError(code));
    this.peer.fail(new StreamResetError(code));
  }

  /** Breaks this end, as a lost session does. */
  fail(error: Error): void {
    this.#failure ??= error;
    for (const queued of this.#inbox.splice(0)) queued.released?.();
    this.#changed();
    this.peer.#changed();
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = Promise.withResolvers();
    wake.resolve();
  }
}
