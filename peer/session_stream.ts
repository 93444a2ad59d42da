/** A session's stream as its users see it: waiting for what the mux only notes. */
import type { ByteStream, ResetCode } from "../protocol/connection.ts";
import type { Mux, MuxStream } from "../protocol/mux.ts";
import type { Session } from "./session.ts";

/** Bytes queued on a stream above which `write` waits. */
const HIGH_WATER_BYTES = 262_144;

export class SessionStream implements ByteStream {
  readonly id: number;
  readonly kind: string;
  readonly #session: Session;
  readonly #mux: Mux;
  readonly #state: MuxStream;
  #change: PromiseWithResolvers<void> | undefined;
  #finishing: Promise<void> | undefined;

  constructor(session: Session, mux: Mux, state: MuxStream) {
    this.#session = session;
    this.#mux = mux;
    this.#state = state;
    this.id = state.id;
    this.kind = state.kind;
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const bytes = this.#mux.read(this.#state);
      if (this.#mux.controlPending) this.#session.wake();
      if (bytes) return bytes;
      if (this.#state.ended) return null;
      this.#throwIfBroken();
      await this.#changed();
    }
  }

  async write(bytes: Uint8Array, released?: () => void): Promise<void> {
    if (this.#state.failure) released?.();
    this.#throwIfBroken();
    if (this.#state.finishing) throw new TypeError("Stream not writable: it was finished");
    this.#mux.write(this.#state, bytes, released);
    this.#session.wake();
    while (this.#state.outbox.size > HIGH_WATER_BYTES) {
      await this.#changed();
      this.#throwIfBroken();
    }
  }

  finish(): Promise<void> {
    return this.#finishing ??= this.#finish();
  }

  /** Whether the stream has broken, so that nobody has any use for it. */
  get broken(): boolean {
    return this.#state.failure !== undefined;
  }

  async #finish(): Promise<void> {
    this.#throwIfBroken();
    let acknowledged = false;
    this.#mux.finish(this.#state, () => {
      acknowledged = !this.#session.over;
      this.changed();
    });
    this.#session.wake();
    while (!acknowledged) {
      this.#throwIfBroken();
      if (this.#session.over) throw this.#session.endError();
      await this.#changed();
    }
  }

  reset(code: ResetCode): void {
    this.#mux.reset(this.#state, code);
    this.#session.wake();
  }

  /** For the session: something that a reader or writer may be waiting for has changed. */
  changed(): void {
    this.#change?.resolve();
    this.#change = undefined;
  }

  #changed(): Promise<void> {
    this.#change ??= Promise.withResolvers();
    return this.#change.promise;
  }

  #throwIfBroken(): void {
    if (this.#state.failure) throw this.#state.failure;
  }
}
