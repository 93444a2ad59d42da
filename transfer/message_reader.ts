/** Reads messages from a stream. */
import type { ByteStream } from "../protocol/connection.ts";
import {
  type Message,
  MessageDecoder,
  type MessageDecoderOptions,
  type MessageLimits,
} from "../protocol/messages.ts";

export class MessageReader {
  readonly #stream: ByteStream;
  readonly #decoder: MessageDecoder;

  constructor(stream: ByteStream, limits: MessageLimits, options?: MessageDecoderOptions) {
    this.#stream = stream;
    this.#decoder = new MessageDecoder(limits, options);
  }

  /**
   * The next message, or piece of one, or null after the other side finished.
   * @throws {ProtocolError} if what arrives is not a message that the limits allow
   * @throws as ByteStream.read
   */
  async read(): Promise<Message | null> {
    for (;;) {
      const message = this.#decoder.next();
      if (message) return message;
      const bytes = await this.#stream.read();
      if (!bytes) {
        this.#decoder.end();
        return null;
      }
      this.#decoder.push(bytes);
    }
  }
}
