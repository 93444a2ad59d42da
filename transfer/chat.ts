/** Chat over one stream: what members of a mesh tell each other, both ways. */
import { concatBytes } from "../protocol/bytes.ts";
import { type ChatMessage, chatMessageLimit, decodeChat, encodeChat } from "../protocol/chat.ts";
import type { ByteStream } from "../protocol/connection.ts";
import { MessageReader } from "./message_reader.ts";

export class Chat {
  readonly #stream: ByteStream;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /**
   * Sends messages in one piece. Resolves when they are on their way, or queued while the session is
   * away.
   * @throws as ByteStream.write
   */
  async send(messages: readonly ChatMessage[]): Promise<void> {
    await this.#stream.write(concatBytes(...messages.map(encodeChat)));
  }

  /** What the other side says, until it has no more to say. */
  async *messages(): AsyncGenerator<ChatMessage> {
    const reader = new MessageReader(this.#stream, chatMessageLimit);
    for (let raw = await reader.read(); raw; raw = await reader.read()) {
      const message = decodeChat(raw);
      if (message) yield message;
    }
  }

  /** We have no more to say; resolves when the other side has acknowledged all of it. */
  finish(): Promise<void> {
    return this.#stream.finish();
  }
}
