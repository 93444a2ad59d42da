/** Reads messages from a stream. */
import { freeBytes } from "../protocol/bytes.ts";
import type { ByteStream } from "../protocol/connection.ts";
import { ProtocolError } from "../protocol/errors.ts";
import {
  type Message,
  MessageDecoder,
  type MessageDecoderOptions,
  type MessageLimits,
} from "../protocol/messages.ts";

export class MessageReader {
  readonly #stream: ByteStream;
  readonly #decoder: MessageDecoder;
  readonly #streamed: { has(type: number): boolean };
  /**
   * What was read last, while nothing but pieces was taken of it: whole messages may be kept as
   * views.
   */
  #disposable: Uint8Array | undefined;

  constructor(stream: ByteStream, limits: MessageLimits, options?: MessageDecoderOptions) {
    this.#stream = stream;
    this.#decoder = new MessageDecoder(limits, options);
    this.#streamed = options?.streamed ?? new Set();
  }

  /**
   * The next message, or piece of one, or null after the other side finished. A piece is valid
   * until the next read.
   * @throws {ProtocolError} if what arrives is not a message that the limits allow
   * @throws as ByteStream.read
   */
  async read(): Promise<Message | null> {
    for (;;) {
      const message = this.#decoder.next();
      if (message) {
        if (!this.#streamed.has(message.type)) this.#disposable = undefined;
        return message;
      }
      if (this.#disposable) freeBytes(this.#disposable);
      const bytes = await this.#stream.read();
      if (!bytes) {
        this.#decoder.end();
        return null;
      }
      this.#decoder.push(bytes);
      this.#disposable = bytes;
    }
  }
}

/** A message that must not come where it came. */
export function outOfOrder(message: Message): ProtocolError {
  return new ProtocolError(`Message out of order: type ${message.type}`);
}

/** The stream ended where a message had to come. */
export function endedEarly(): ProtocolError {
  return new ProtocolError("Transfer not complete: the other side ended it without a word");
}
