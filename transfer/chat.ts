/** Chat over one stream: what members of a mesh tell each other, both ways. */
import { concatBytes } from "../protocol/bytes.ts";
import {
  chatCost,
  type ChatMessage,
  chatMessageLimit,
  decodeChat,
  encodeChat,
} from "../protocol/chat.ts";
import type { ByteStream } from "../protocol/connection.ts";
import { MESSAGE_HEADER_BYTES } from "../protocol/limits.ts";
import { MessageReader } from "./message_reader.ts";

/** Something that the other side has said. */
export interface Heard {
  /** Undefined if its type is of a later version. */
  readonly message: ChatMessage | undefined;
  /** Units that it costs. */
  readonly cost: number;
}

export class Chat {
  readonly #stream: ByteStream;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /**
   * Sends messages in one piece. Resolves when they are on their way, or queued while the session is
   * away.
   * @returns what they cost the other side, in units
   * @throws as ByteStream.write
   */
  async send(messages: readonly ChatMessage[]): Promise<number> {
    const encoded = messages.map(encodeChat);
    await this.#stream.write(concatBytes(...encoded));
    return encoded.reduce((sum, each) => {
      return sum + chatCost(each[0]!, each.length - MESSAGE_HEADER_BYTES);
    }, 0);
  }

  /** What the other side says, until it has no more to say. */
  async *messages(): AsyncGenerator<Heard> {
    const reader = new MessageReader(this.#stream, chatMessageLimit);
    for (let raw = await reader.read(); raw; raw = await reader.read()) {
      yield { message: decodeChat(raw), cost: chatCost(raw.type, raw.body.length) };
    }
  }

  /** We have no more to say; resolves when the other side has acknowledged all of it. */
  finish(): Promise<void> {
    return this.#stream.finish();
  }
}
