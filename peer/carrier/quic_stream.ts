/** A QUIC connection and its only stream, as bytes: what the runtime gives, without its streams. */
import { joinParts } from "./join_parts.ts";

/** Bytes read at once, at the most: more saves nothing, and leaves packets waiting meanwhile. */
const READ_BYTES = 131_072;

export class QuicStream {
  readonly conn: Deno.QuicConn;
  readonly #reader: ReadableStreamBYOBReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** Goes to the runtime with each read and comes back: it can fill no array that others hold. */
  #room = new ArrayBuffer(0);

  constructor(conn: Deno.QuicConn, stream: Deno.QuicBidirectionalStream) {
    this.conn = conn;
    this.#reader = stream.readable.getReader({ mode: "byob" });
    this.#writer = stream.writable.getWriter();
  }

  /**
   * The next bytes, at most so many, or null after the other side has finished. They are valid
   * until the next read.
   */
  async read(most = READ_BYTES): Promise<Uint8Array | null> {
    const size = Math.min(most, READ_BYTES);
    const room = this.#room.byteLength >= size ? this.#room : new ArrayBuffer(size);
    const { value, done } = await this.#reader.read(new Uint8Array(room, 0, size));
    if (done) return null;
    this.#room = value.buffer;
    return value;
  }

  /** Sends the parts one behind the other; resolves when the carrier took them. */
  async write(parts: Uint8Array[]): Promise<void> {
    for (const chunk of joinParts(parts)) await this.#writer.write(chunk);
  }

  /** Says that nothing more will be written. */
  async finish(): Promise<void> {
    await this.#writer.close();
  }

  /** Says that nothing more will be read: the other side's writes fail. */
  async refuseMore(): Promise<void> {
    await this.#reader.cancel();
  }
}
