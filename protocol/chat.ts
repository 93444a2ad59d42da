/**
 * Messages of a chat stream (README.md, section 8): type, length, then the line or the name as
 * UTF-8.
 */
import { decodeText, encodeText } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { MAX_CHAT_BYTES, MAX_NAME_BYTES } from "./limits.ts";
import { encodeMessage, type Message } from "./messages.ts";
import { checkName } from "./name.ts";

/** The kind of a chat stream. */
export const CHAT_KIND = "chat/1";

/** Message types. */
export const ChatType = { text: 0x01, nick: 0x02, private: 0x03 } as const;

/** What one side says. */
export type ChatMessage =
  | { type: "text" | "private"; text: string }
  | { type: "nick"; name: string };

/** A line or a new name as a message. */
export function encodeChat(message: ChatMessage): Uint8Array<ArrayBuffer> {
  const text = message.type === "nick" ? message.name : message.text;
  return encodeMessage(ChatType[message.type], encodeText(text));
}

/** Any type may come: those of later versions are skipped, within the limit of a line. */
export function chatMessageLimit(type: number): number {
  return type === ChatType.nick ? MAX_NAME_BYTES : MAX_CHAT_BYTES;
}

/**
 * What a message says, or undefined if its type is of a later version.
 * @throws {ProtocolError} if it is not UTF-8, or a name that none may have
 */
export function decodeChat(message: Message): ChatMessage | undefined {
  const { type, body } = message;
  if (type === ChatType.text) return { type: "text", text: decodeText(body) };
  if (type === ChatType.private) return { type: "private", text: decodeText(body) };
  if (type !== ChatType.nick) return undefined;
  const { name, problem } = checkName(decodeText(body));
  if (name === undefined) throw new ProtocolError(`Name not accepted: ${problem}`);
  return { type: "nick", name };
}
