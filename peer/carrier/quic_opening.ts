/**
 * The asker's side of QUIC while it is open which of the other side's attempts counts: that dials
 * again when the first packets of an attempt are lost, and keeps the one on which it first hears
 * something. What is said meanwhile is said on each; the first that answers is the one.
 */
import type { Connection, Path } from "../../protocol/connection.ts";
import { formatAddress } from "../../protocol/address.ts";
import { joinBytes } from "../../protocol/bytes.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { QuicConnection } from "./quic_connection.ts";
import { MAX_ATTEMPTS, type QuicPort } from "./quic_port.ts";
import { punchedPath } from "./punched_path.ts";
import { QuicStream } from "./quic_stream.ts";
import { closedError } from "./tcp.ts";

/** Bytes that are kept to be said on further attempts: a preface and a handshake message. */
const MAX_SAID_BYTES = 4_096;
/** Bytes that are read of an attempt before it is the one. */
const FIRST_READ_BYTES = 4_096;

export class QuicOpening implements Connection {
  readonly carrier = "quic";
  readonly path: Path;
  readonly remote: string;
  readonly #port: QuicPort;
  /** The attempts that are alive, and how something is said on each. */
  readonly #attempts = new Map<Deno.QuicConn, (bytes: Uint8Array) => void>();
  readonly #chosen = Promise.withResolvers<QuicConnection>();
  /** An attempt has been heard: nothing more is said on all. */
  #heard = false;
  #connection: QuicConnection | undefined;
  #said: Uint8Array = new Uint8Array(0);
  #closing: Promise<void> | undefined;

  constructor(port: QuicPort) {
    this.#port = port;
    this.path = punchedPath(port.remote);
    this.remote = formatAddress(port.remote);
    this.#chosen.promise.catch(() => {});
  }

  /** Resolves when one of the attempts is the connection, or there is to be none. */
  get settled(): Promise<unknown> {
    return this.#chosen.promise;
  }

  /** Takes an attempt of the other side. */
  add(conn: Deno.QuicConn): void {
    if (this.#heard || this.#closing || this.#attempts.size === MAX_ATTEMPTS) return conn.close();
    this.#attempts.set(conn, () => {});
    this.#port.track(this.#follow(conn));
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    return await (await this.#chosen.promise).read(into);
  }

  /** Before the other side has answered, no more than a few KB are taken: the rest waits. */
  async write(...parts: Uint8Array[]): Promise<void> {
    if (this.#closing) throw closedError();
    if (this.#heard || !this.#say(parts)) await (await this.#chosen.promise).write(...parts);
  }

  async closeWrite(): Promise<void> {
    await (await this.#chosen.promise).closeWrite();
  }

  close(): void {
    this.#connection?.close();
    this.#end(closedError());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#connection?.[Symbol.asyncDispose]();
    await this.#closing;
  }

  /** Says it on all attempts, now and to come; false if it is too much to keep. */
  #say(parts: Uint8Array[]): boolean {
    const bytes = joinBytes(parts);
    if (this.#said.length + bytes.length > MAX_SAID_BYTES) return false;
    this.#said = joinBytes([this.#said, bytes]);
    for (const say of this.#attempts.values()) say(bytes);
    return true;
  }

  /** Follows an attempt until it is heard, or lost. */
  async #follow(conn: Deno.QuicConn): Promise<void> {
    this.#port.track(conn.closed);
    // Asked for, or else the runtime holds the connection, and with it the port, for good.
    this.#port.track(conn.handshake);
    try {
      const stream = new QuicStream(conn, await conn.createBidirectionalStream());
      let saying = stream.write([this.#said]);
      this.#attempts.set(conn, (bytes) => {
        saying = saying.then(() => stream.write([bytes]));
        saying.catch(() => {});
      });
      saying.catch(() => {});
      const received = await stream.read(FIRST_READ_BYTES);
      if (this.#heard) return;
      this.#heard = true;
      await saying;
      this.#choose(stream, received);
    } catch (cause) {
      this.#lose(conn, cause);
    }
  }

  #choose(stream: QuicStream, received: Uint8Array | null): void {
    for (const conn of this.#attempts.keys()) if (conn !== stream.conn) conn.close();
    this.#attempts.clear();
    this.#connection = new QuicConnection(stream, this.#port, received ?? undefined);
    this.#chosen.resolve(this.#connection);
  }

  #lose(conn: Deno.QuicConn, cause: unknown): void {
    conn.close();
    this.#attempts.delete(conn);
    if (this.#attempts.size > 0 || this.#connection) return;
    this.#end(new UnreachableError("Connection lost: the other side did not answer", { cause }));
  }

  /** The end without a connection. */
  #end(why: Error): void {
    if (this.#closing) return;
    this.#chosen.reject(why);
    this.#closing = this.#connection ? Promise.resolve() : this.#port.close();
  }
}
