/** Chat over one stream: lines both ways. */
import { encodeText } from "../protocol/bytes.ts";
import { type ChatMessage, chatMessageLimit, decodeChat, encodeChat } from "../protocol/chat.ts";
import type { ByteStream } from "../protocol/connection.ts";
import { P2pError } from "../protocol/errors.ts";
import { MAX_CHAT_BYTES } from "../protocol/limits.ts";
import { MessageReader } from "./message_reader.ts";

export class Chat {
  readonly #stream: ByteStream;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /**
   * Sends a line; `type` tells whether it is for this peer alone. Resolves when it is on its way, or
   * queued while the session is away.
   * @throws {P2pError} if the line is too long
   * @throws as ByteStream.write
   */
  async say(text: string, type: "text" | "private" = "text"): Promise<void> {
    if (encodeText(text).length > MAX_CHAT_BYTES) {
      throw new P2pError("Line not sent: longer than 16 MiB", {
        hint: "Send it as a file: /send PATH",
      });
    }
    await this.#stream.write(encodeChat({ type, text }));
  }

  /** Tells the other side our new name. */
  async rename(name: string): Promise<void> {
    await this.#stream.write(encodeChat({ type: "nick", name }));
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
