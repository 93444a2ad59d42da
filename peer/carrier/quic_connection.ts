/** QUIC as a Connection. */
import type { Connection, Path } from "../../protocol/connection.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { formatAddress } from "../../protocol/address.ts";
import { describeNetworkError } from "../network_error.ts";
import { IDLE_MS, type QuicPort } from "./quic_port.ts";
import { punchedPath } from "./punched_path.ts";
import type { QuicStream } from "./quic_stream.ts";
import { closedError } from "./tcp.ts";

/**
 * Milliseconds that the other side has to take what was written before `close`: the end of a QUIC
 * connection drops what is still under way, and what has arrived and was not read.
 */
const LINGER_MS = 1_000;
/** The same, once the other side has ended its direction as well. */
const LAST_LINGER_MS = 50;
/** Bytes that are taken, and dropped, from a side that still writes meanwhile. */
const DRAIN_BYTES = 65_536;

/** A connection over QUIC. The port is its own, and is closed with it. */
export class QuicConnection implements Connection {
  readonly carrier = "quic";
  readonly path: Path;
  readonly remote: string;
  readonly #port: QuicPort;
  readonly #stream: QuicStream;
  /** What was read before it was known that this is the connection. */
  #rest: Uint8Array | undefined;
  /** What the stream was last asked for. */
  #reading: Promise<Uint8Array | null> | undefined;
  /** The other side has ended its direction, and that was read. */
  #finished = false;
  /** We have ended ours: before that, or after it. */
  #ended: "first" | "last" | undefined;
  #writing = false;
  /** Settles when nothing is left of it; undefined while it is open. */
  #closing: Promise<void> | undefined;
  /** Ends what waits. */
  readonly #waiting = new Set<(error: Error) => void>();

  /** @param received what was already read of the stream */
  constructor(stream: QuicStream, port: QuicPort, received?: Uint8Array) {
    this.#stream = stream;
    this.#port = port;
    this.#rest = received;
    port.track(stream.conn.closed);
    this.path = punchedPath(port.remote);
    this.remote = formatAddress(port.remote);
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    this.#throwIfClosed();
    const bytes = this.#takeRest(into?.length) ??
      await this.#unlessClosed(this.#next(into?.length));
    if (bytes === null) return null;
    if (!into) return bytes.slice();
    into.set(bytes);
    return into.subarray(0, bytes.length);
  }

  async write(...parts: Uint8Array[]): Promise<void> {
    this.#throwIfClosed();
    this.#writing = true;
    try {
      await this.#unlessClosed(this.#stream.write(parts));
    } finally {
      this.#writing = false;
    }
  }

  async closeWrite(): Promise<void> {
    this.#throwIfClosed();
    this.#ended = this.#finished ? "last" : "first";
    await this.#unlessClosed(this.#stream.finish());
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = this.#end();
    for (const reject of this.#waiting) reject(closedError());
  }

  /** Resolves when the port is free. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#closing;
  }

  #takeRest(most = Infinity): Uint8Array | undefined {
    const rest = this.#rest;
    if (!rest) return undefined;
    this.#rest = rest.length > most ? rest.subarray(most) : undefined;
    return rest.subarray(0, most);
  }

  async #next(most?: number): Promise<Uint8Array | null> {
    this.#reading = this.#stream.read(most);
    const bytes = await this.#reading;
    this.#finished = bytes === null;
    return bytes;
  }

  /** The same, unless the connection is closed meanwhile. */
  #unlessClosed<T>(action: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.add(reject);
    action
      .catch(async (cause) => {
        throw await lostError(this.#stream.conn, cause);
      })
      .then(resolve, reject)
      .finally(() => this.#waiting.delete(reject));
    return promise;
  }

  #throwIfClosed(): void {
    if (this.#closing) throw closedError();
  }

  /** A write that is cut off leaves nothing to wait for. */
  async #end(): Promise<void> {
    if (!this.#writing) await this.#linger();
    await this.#port.close();
  }

  /**
   * Ends our direction and waits until the other side has ended the connection. Where it has ended
   * its direction after ours it hardly waits for anything, but may do as we do.
   */
  async #linger(): Promise<void> {
    const { clock } = this.#port;
    const over = Promise.withResolvers<void>();
    const end = () => over.resolve();
    const last = this.#finished && this.#ended === "first";
    let cancel = clock.after(last ? LAST_LINGER_MS : LINGER_MS, end);
    let lingering = true;
    function endSoon(): void {
      cancel();
      if (lingering) cancel = clock.after(LAST_LINGER_MS, end);
    }
    this.#stream.conn.closed.then(end, end);
    if (!this.#ended) this.#stream.finish().catch(end);
    if (!this.#finished) this.#port.track(this.#drain(endSoon));
    await over.promise;
    lingering = false;
    cancel();
  }

  /** Reads to the other side's end. One that goes on writing is told that nobody reads. */
  async #drain(ended: () => void): Promise<void> {
    let bytes = await (this.#reading ?? this.#stream.read());
    for (let taken = 0; bytes && taken < DRAIN_BYTES; bytes = await this.#stream.read()) {
      taken += bytes.length;
    }
    if (bytes) await this.#stream.refuseMore();
    else ended();
  }
}

const BROKEN_OFF = "the other side broke off";

/** Streams only say that the connection is gone; the connection knows why. */
async function lostError(conn: Deno.QuicConn, cause: unknown): Promise<UnreachableError> {
  const gone = cause instanceof Deno.errors.NotConnected ||
    cause instanceof Deno.errors.BadResource;
  const why = gone
    ? await conn.closed.then(() => BROKEN_OFF, describeEnd)
    : describeNetworkError(cause);
  return new UnreachableError(`Connection lost: ${why}`, { cause });
}

function describeEnd(error: Error): string {
  if (/timed out/.test(error.message)) return `nothing came for ${IDLE_MS / 1000} s`;
  return BROKEN_OFF;
}
