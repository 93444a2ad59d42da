/**
 * Messages of a chat stream (README.md, section 8). Names and keys are as long as member.ts says.
 *
 *     NICK, CALLED   a name
 *     MEMBER         a record (member.ts)
 *     MEMBERS        2: how many; then of each: 32: its static key; its record
 *     HAVE           1: flags (bit 0: this is all, bit 1: new); then of each log, 46 bytes:
 *                    32: author; 8: instance; 1: channel; 1: flags (bit 0: direct); 4: number
 *     LINE           32: author; 8: instance; 1: channel; 4: number; 4: previous; 6: time;
 *                    64: signature; 1: length of the name; the name; the text
 */
import { ByteReader, ByteWriter, decodeText, encodeText } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import {
  LINE_UNIT_BYTES,
  MAX_CHAT_BYTES,
  MAX_MEMBER_BYTES,
  MAX_MEMBERS,
  MAX_MEMBERS_BYTES,
  MAX_NAME_BYTES,
  MAX_POSITIONS_BYTES,
  MESSAGE_UNIT_BYTES,
} from "./limits.ts";
import { type Channel, type Line, type LogId, type LogPosition, writeTime } from "./line.ts";
import {
  decodeMember,
  decodeName,
  encodeMember,
  INSTANCE_BYTES,
  KEY_BYTES,
  type KeyedMember,
  type MemberRecord,
} from "./member.ts";
import { encodeMessage, type Message } from "./messages.ts";

/** The kind of a chat stream. */
export const CHAT_KIND = "chat/1";

/** Message types. */
export const ChatType = {
  nick: 0x02,
  member: 0x04,
  members: 0x05,
  have: 0x06,
  line: 0x07,
  called: 0x08,
} as const;

/** How far the sender has got with everybody's lines, or with those of some. */
export interface HaveMessage {
  readonly type: "have";
  /** Whether these are all logs that it has anything of. */
  readonly whole: boolean;
  /** Whether the sender has met nobody before: nobody owes it anything. */
  readonly isNew?: boolean;
  readonly logs: readonly LogPosition[];
}

/** A line, and the number of the one before it that was meant for the receiver. */
export interface LineMessage {
  readonly type: "line";
  readonly line: Line;
  readonly previous: number;
}

/** What one side says. */
export type ChatMessage =
  | { type: "nick" | "called"; name: string }
  | { type: "member"; member: MemberRecord }
  | { type: "members"; members: KeyedMember[] }
  | HaveMessage
  | LineMessage;

/** Bytes of a log in a HAVE. */
const POSITION_BYTES = 46;
const SIGNATURE_BYTES = 64;
/** Bytes of a LINE before its name. */
const LINE_HEADER_BYTES = 120;
const WHOLE = 1;
const IS_NEW = 2;
const DIRECT = 1;

/** Types whose every part is looked at: another's body costs little more than its bytes. */
const COSTLY: ReadonlySet<number> = new Set([
  ChatType.nick,
  ChatType.member,
  ChatType.members,
  ChatType.have,
  ChatType.called,
]);

/** What it costs to take a message, in units; its body has so many bytes. */
export function chatCost(type: number, bytes: number): number {
  return 1 + Math.floor(bytes / (COSTLY.has(type) ? MESSAGE_UNIT_BYTES : LINE_UNIT_BYTES));
}

/** A message with its header. Of MEMBERS, what has no room in one message is left out. */
export function encodeChat(message: ChatMessage): Uint8Array<ArrayBuffer> {
  return encodeMessage(ChatType[message.type], encodeBody(message));
}

function encodeBody(message: ChatMessage): Uint8Array {
  switch (message.type) {
    case "nick":
    case "called":
      return encodeText(message.name);
    case "member":
      return recordOf(message.member);
    case "members":
      return encodeMembers(message.members);
    case "have":
      return encodeHave(message);
    case "line":
      return encodeLine(message);
  }
}

/** Bytes that a body may have. Any type may come: those of later versions are skipped. */
export function chatMessageLimit(type: number): number {
  switch (type) {
    case ChatType.nick:
    case ChatType.called:
      return MAX_NAME_BYTES;
    case ChatType.member:
      return MAX_MEMBER_BYTES;
    case ChatType.members:
      return MAX_MEMBERS_BYTES;
    case ChatType.have:
      return MAX_POSITIONS_BYTES;
    case ChatType.line:
      return LINE_HEADER_BYTES + MAX_NAME_BYTES + MAX_CHAT_BYTES;
    default:
      return MAX_CHAT_BYTES;
  }
}

/**
 * What a message says, or undefined if its type is of a later version. Nothing of it is a view of
 * the message.
 * @throws {ProtocolError} if it is malformed, not UTF-8, or has a name that none may have
 */
export function decodeChat({ type, body }: Message): ChatMessage | undefined {
  switch (type) {
    case ChatType.nick:
      return { type: "nick", name: decodeName(decodeText(body)) };
    case ChatType.called:
      return { type: "called", name: decodeName(decodeText(body)) };
    case ChatType.member:
      return { type: "member", member: whole(body, decodeMember) };
    case ChatType.members:
      return { type: "members", members: whole(body, decodeMembers) };
    case ChatType.have:
      return whole(body, decodeHave);
    case ChatType.line:
      return decodeLine(new ByteReader(body));
  }
}

function whole<T>(body: Uint8Array, decode: (from: ByteReader) => T): T {
  const reader = new ByteReader(body);
  const decoded = decode(reader);
  if (reader.remaining > 0) throw new ProtocolError("Message not readable: it is too long");
  return decoded;
}

function recordOf(member: MemberRecord): Uint8Array {
  const record = new ByteWriter(256);
  encodeMember(member, record);
  return record.finish();
}

function encodeMembers(members: readonly KeyedMember[]): Uint8Array {
  const records: [Uint8Array, Uint8Array][] = [];
  let room = MAX_MEMBERS_BYTES - 2;
  for (const member of members.slice(0, MAX_MEMBERS)) {
    const record = recordOf(member);
    room -= KEY_BYTES + record.length;
    if (room < 0) break;
    records.push([member.key, record]);
  }
  const body = new ByteWriter(4_096).u16(records.length);
  for (const [key, record] of records) body.bytes(key).bytes(record);
  return body.finish();
}

function decodeMembers(from: ByteReader): KeyedMember[] {
  const count = from.u16();
  if (count > MAX_MEMBERS) throw new ProtocolError(`Message not accepted: ${count} members`);
  return Array.from({ length: count }, () => {
    const key = from.bytes(KEY_BYTES).slice();
    return { key, ...decodeMember(from) };
  });
}

function encodeHave({ whole, isNew, logs }: HaveMessage): Uint8Array {
  const flags = (whole ? WHOLE : 0) | (isNew ? IS_NEW : 0);
  const body = new ByteWriter(1 + POSITION_BYTES * logs.length).u8(flags);
  for (const log of logs) {
    encodeLog(log, body);
    body.u8(log.direct ? DIRECT : 0).u32(log.number);
  }
  return body.finish();
}

function decodeHave(from: ByteReader): HaveMessage {
  const flags = from.u8();
  const logs: LogPosition[] = [];
  while (from.remaining > 0) {
    const log = decodeLog(from);
    const direct = (from.u8() & DIRECT) !== 0;
    logs.push({ ...log, direct, number: from.u32() });
  }
  const isNew = (flags & IS_NEW) !== 0;
  return { type: "have", whole: (flags & WHOLE) !== 0, ...(isNew && { isNew }), logs };
}

function encodeLine({ line, previous }: LineMessage): Uint8Array {
  const name = encodeText(line.name);
  const text = encodeText(line.text);
  const body = new ByteWriter(LINE_HEADER_BYTES + name.length + text.length);
  encodeLog(line, body);
  body.u32(line.number).u32(previous);
  writeTime(line.time, body);
  return body.bytes(line.signature).u8(name.length).bytes(name).bytes(text).finish();
}

function decodeLine(from: ByteReader): LineMessage {
  const log = decodeLog(from);
  const number = from.u32();
  const previous = from.u32();
  if (previous >= number) throw new ProtocolError("Line not accepted: wrongly numbered");
  const time = from.u16() * 2 ** 32 + from.u32();
  const signature = from.bytes(SIGNATURE_BYTES).slice();
  const name = decodeSignedName(from.text(from.u8()));
  const text = from.text(from.remaining);
  return { type: "line", line: { ...log, number, time, name, text, signature }, previous };
}

/** A name that is signed: one that had to be changed to NFC would no longer be what was signed. */
function decodeSignedName(text: string): string {
  const name = decodeName(text);
  if (name !== text) throw new ProtocolError("Name not accepted: it is not in NFC");
  return name;
}

function encodeLog(log: LogId, into: ByteWriter): void {
  into.bytes(log.author).bytes(log.instance).u8(log.channel);
}

function decodeLog(from: ByteReader): LogId {
  const author = from.bytes(KEY_BYTES).slice();
  const instance = from.bytes(INSTANCE_BYTES).slice();
  const channel = from.u8();
  if (channel > 1) throw new ProtocolError(`Line not accepted: unknown channel ${channel}`);
  return { author, instance, channel: channel as Channel };
}
