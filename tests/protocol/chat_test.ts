import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { encodeText } from "../../protocol/bytes.ts";
import {
  chatCost,
  type ChatMessage,
  chatMessageLimit,
  ChatType,
  decodeChat,
  encodeChat,
  type LineMessage,
} from "../../protocol/chat.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import {
  MAX_CHAT_BYTES,
  MAX_MEMBER_ADDRESSES,
  MAX_MEMBERS,
  MAX_MEMBERS_BYTES,
  MAX_NAME_BYTES,
} from "../../protocol/limits.ts";
import type { Channel } from "../../protocol/line.ts";
import type { KeyedMember, MemberRecord } from "../../protocol/member.ts";
import { MessageDecoder } from "../../protocol/messages.ts";

/** Bytes of a LINE before its name. */
const LINE_HEADER_BYTES = 120;

const INSTANCE = Uint8Array.fromHex("0193000000020a0b");
const KEY = new Uint8Array(32).fill(0xaa);
const SIGNING_KEY = new Uint8Array(32).fill(0xbb);
const SIGNATURE = new Uint8Array(64).fill(0xcc);

const BOB: MemberRecord = {
  instance: INSTANCE,
  signingKey: SIGNING_KEY,
  name: "bob",
  addresses: [],
  relay: undefined,
};
const BOB_HEX = `0193000000020a0b ${"bb".repeat(32)} 03 626f62`;

const REACHABLE_BOB: MemberRecord = {
  ...BOB,
  addresses: [{ host: "1.2.3.4", port: 80 }, { host: "::1", port: 81 }],
  relay: "relay.org:443",
};
const REACHABLE_BOB_HEX = `${BOB_HEX} 02 0a 312e322e332e343a3830 08 5b3a3a315d3a3831
  0d 72656c61792e6f72673a343433`;

const LINE = {
  author: KEY,
  instance: INSTANCE,
  channel: 0 as Channel,
  number: 0x10203,
  time: 0x0193_0000_0001,
  name: "bob",
  text: "hi",
  signature: SIGNATURE,
};

/** A LINE: what stands before its name is the same in all, but for the channel. */
function lineHex(length: string, channel: string, nameAndText: string): string {
  return `07 ${length} ${"aa".repeat(32)} 0193000000020a0b ${channel} 00010203 00000102
    019300000001 ${"cc".repeat(64)} ${nameAndText}`;
}

function line(changes: Partial<typeof LINE>): LineMessage {
  return { type: "line", line: { ...LINE, ...changes }, previous: 0x102 };
}

const TABLE: [name: string, message: ChatMessage, hex: string][] = [
  ["a name", { type: "nick", name: "bob" }, "02 00000003 626f62"],
  ["what somebody is called", { type: "called", name: "bob-2" }, "08 00000005 626f622d32"],
  ["a member", { type: "member", member: BOB }, `04 0000002e ${BOB_HEX} 00 00`],
  [
    "a member that can be reached",
    { type: "member", member: REACHABLE_BOB },
    `04 0000004f ${REACHABLE_BOB_HEX}`,
  ],
  ["no members", { type: "members", members: [] }, "05 00000002 0000"],
  [
    "two members",
    {
      type: "members",
      members: [{ key: KEY, ...BOB }, { key: SIGNING_KEY, ...REACHABLE_BOB }],
    },
    `05 000000bf 0002 ${"aa".repeat(32)} ${BOB_HEX} 00 00 ${"bb".repeat(32)} ${REACHABLE_BOB_HEX}`,
  ],
  ["nothing had", { type: "have", whole: true, logs: [] }, "06 00000001 01"],
  [
    "nothing had, and nobody met",
    { type: "have", whole: true, isNew: true, logs: [] },
    "06 00000001 03",
  ],
  [
    "how far with two logs, of which one is direct",
    {
      type: "have",
      whole: false,
      logs: [
        { author: KEY, instance: INSTANCE, channel: 0, direct: true, number: 0x10203 },
        { author: KEY, instance: INSTANCE, channel: 1, direct: false, number: 0xffffffff },
      ],
    },
    `06 0000005d 00 ${"aa".repeat(32)} 0193000000020a0b 00 01 00010203
      ${"aa".repeat(32)} 0193000000020a0b 01 00 ffffffff`,
  ],
  ["a line", line({}), lineHex("0000007d", "00", "03 626f62 6869")],
  ["a private line", line({ channel: 1 }), lineHex("0000007d", "01", "03 626f62 6869")],
  ["an empty line", line({ text: "" }), lineHex("0000007b", "00", "03 626f62")],
  [
    "a line of several scripts",
    line({ text: "ü日🙂" }),
    lineHex("00000084", "00", "03 626f62 c3bce697a5f09f9982"),
  ],
  [
    "a byte order mark, kept",
    line({ text: "\ufeffa" }),
    lineHex("0000007f", "00", "03 626f62 efbbbf61"),
  ],
];

/** What the pieces decode to, one behind the other. */
function decoded(...pieces: Uint8Array[]): (ChatMessage | undefined)[] {
  const decoder = new MessageDecoder(chatMessageLimit);
  const said: (ChatMessage | undefined)[] = [];
  for (const piece of pieces) {
    decoder.push(piece);
    for (let message = decoder.next(); message; message = decoder.next()) {
      said.push(decodeChat(message));
    }
  }
  decoder.end();
  return said;
}

function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(hex.replaceAll(/\s/g, ""));
}

for (const [name, message, hex] of TABLE) {
  Deno.test(`Chat codec: ${name}, both ways, whole, split and byte by byte`, () => {
    const bytes = fromHex(hex);
    assertEquals(encodeChat(message), bytes);
    assertEquals(decoded(bytes), [message]);
    for (let at = 1; at < bytes.length; at++) {
      assertEquals(decoded(bytes.subarray(0, at), bytes.subarray(at)), [message]);
    }
    assertEquals(decoded(...Array.from(bytes, (byte) => Uint8Array.of(byte))), [message]);
  });
}

Deno.test("decodeChat() gives a name in NFC, and skips types of later versions", () => {
  const nick = { type: ChatType.nick, body: encodeText("a\u0308"), remaining: 0 };
  assertEquals(decodeChat(nick), { type: "nick", name: "\u00e4" });
  for (const type of [0x01, 0x03, 0x7f]) {
    assertEquals(decodeChat({ type, body: Uint8Array.of(0xff), remaining: 0 }), undefined);
  }
});

Deno.test("decodeChat() refuses what is not UTF-8, and names that none may have", () => {
  const notText = Uint8Array.of(0xc3, 0x28);
  for (const type of [ChatType.nick, ChatType.called]) {
    assertThrows(() => decodeChat({ type, body: notText, remaining: 0 }), ProtocolError, "UTF-8");
    for (const name of ["", " a", "a\x1b", "host:8080", "x".repeat(65)]) {
      const message = { type, body: encodeText(name), remaining: 0 };
      assertThrows(() => decodeChat(message), ProtocolError, "Name not accepted");
    }
  }
});

/** The body of a message of the table, with other bytes at some place. */
function changed(hex: string, at: number, bytes: string): { type: number; body: Uint8Array } {
  const [type] = fromHex(hex);
  const body = fromHex(hex).subarray(5);
  body.set(fromHex(bytes), at);
  return { type: type!, body };
}

const MEMBER_HEX = `04 00000000 ${REACHABLE_BOB_HEX}`;
const PRIVATE_HEX = lineHex("00000000", "01", "03 626f62 6869");
const REFUSED: [what: string, message: { type: number; body: Uint8Array }, problem: string][] = [
  ["a member whose name is none", changed(MEMBER_HEX, 41, "1b"), "Name not accepted"],
  ["a member whose name is not UTF-8", changed(MEMBER_HEX, 41, "ff"), "UTF-8"],
  ["a member with nine addresses", changed(MEMBER_HEX, 44, "09"), "it tells 9 addresses"],
  ["a member with an address that is none", changed(MEMBER_HEX, 46, "20"), "an address that is"],
  ["a member with a relay that is none", changed(MEMBER_HEX, 75, "20"), "an address that is none"],
  ["a member and more", changed(`${MEMBER_HEX} 00`, 0, ""), "it is too long"],
  ["65 members", changed("05 00000000 0041", 0, ""), "65 members"],
  ["members and more", changed("05 00000000 0000 00", 0, ""), "it is too long"],
  ["a log of channel 2", changed(lineHex("00000000", "02", "03 626f62"), 0, ""), "channel 2"],
  ["a line whose name is not UTF-8", changed(PRIVATE_HEX, 120, "ff"), "UTF-8"],
  ["a line whose name is none", changed(PRIVATE_HEX, 119, "00"), "Name not accepted"],
  ["a line that is not UTF-8", changed(PRIVATE_HEX, 123, "ff"), "UTF-8"],
  ["a line that comes before the one before it", changed(PRIVATE_HEX, 45, "00010203"), "numbered"],
  ["a line without a number", changed(PRIVATE_HEX, 41, "0000000000000000"), "numbered"],
];

for (const [what, message, problem] of REFUSED) {
  Deno.test(`decodeChat() refuses ${what}`, () => {
    assertThrows(() => decodeChat({ ...message, remaining: 0 }), ProtocolError, problem);
  });
}

Deno.test("decodeChat() refuses a line whose name is not as it was signed: not in NFC", () => {
  const said = encodeChat(line({ name: "a\u0308" }));
  assertThrows(() => decoded(said), ProtocolError, "not in NFC");
});

Deno.test("decodeChat() refuses each message that is cut off", () => {
  for (const [name, message] of TABLE) {
    const [type, , , , , ...body] = encodeChat(message);
    // A name or text may end anywhere; a HAVE between two logs.
    const [from, step] = message.type === "line"
      ? [LINE_HEADER_BYTES + 2, 1]
      : [body.length - 1, 46];
    if (message.type === "nick" || message.type === "called") continue;
    for (let length = 0; length <= from; length++) {
      if (message.type === "have" && length % step === 1) continue;
      const cut = { type: type!, body: Uint8Array.from(body.slice(0, length)), remaining: 0 };
      assertThrows(() => decodeChat(cut), ProtocolError, undefined, `${name}, ${length} bytes`);
    }
  }
});

/** The header of a message of this length. */
function header(type: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(5);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(1, length);
  return bytes;
}

const LIMITS: [type: keyof typeof ChatType, limit: number][] = [
  ["nick", 64],
  ["called", 64],
  ["member", 4_096],
  ["members", 65_536],
  ["have", 65_536],
  ["line", LINE_HEADER_BYTES + MAX_NAME_BYTES + MAX_CHAT_BYTES],
];

for (const [name, limit] of LIMITS) {
  Deno.test(`A ${name} of ${limit} bytes is allowed, one byte more is refused by its length alone`, () => {
    const type = ChatType[name];
    const decoder = new MessageDecoder(chatMessageLimit);
    decoder.push(header(type, limit));
    assertEquals(decoder.next(), undefined);
    assertThrows(() => decoded(header(type, limit + 1)), ProtocolError, "too large");
  });
}

Deno.test("What a member may say of itself has room in a MEMBER, and 64 such in no MEMBERS", () => {
  const longest: KeyedMember = {
    key: KEY,
    ...BOB,
    name: "n".repeat(MAX_NAME_BYTES),
    addresses: Array.from({ length: 9 }, () => ({ host: "h".repeat(200), port: 65_535 })),
    relay: `${"r".repeat(200)}:65535`,
  };
  const addresses = longest.addresses.slice(0, MAX_MEMBER_ADDRESSES);
  const { key: _, ...record } = longest;
  assertEquals(decoded(encodeChat({ type: "member", member: longest })), [
    { type: "member", member: { ...record, addresses } },
  ]);
  const members = Array.from({ length: MAX_MEMBERS + 1 }, () => longest);
  const bytes = encodeChat({ type: "members", members });
  assert(bytes.length <= 5 + MAX_MEMBERS_BYTES);
  const said = decodeChat({ type: ChatType.members, body: bytes.subarray(5), remaining: 0 });
  if (said?.type !== "members") throw new Error("It is no MEMBERS");
  const each = encodeChat({ type: "member", member: longest }).length - 5 + KEY.length;
  assertEquals(said.members.length, Math.floor((MAX_MEMBERS_BYTES - 2) / each));
  assertEquals(said.members[0], { ...longest, addresses });
});

Deno.test("Of more than 64 members the first 64 are told", () => {
  const members = Array.from({ length: MAX_MEMBERS + 1 }, () => ({ key: KEY, ...BOB }));
  assertEquals(decoded(encodeChat({ type: "members", members })), [
    { type: "members", members: members.slice(1) },
  ]);
});

Deno.test("Chat codec: any line arrives as it was said, however it is cut", () => {
  const said = fc.record({
    channel: fc.constantFrom(0 as Channel, 1 as Channel),
    number: fc.integer({ min: 0x103, max: 0xffffffff }),
    time: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
    text: fc.string({ unit: "grapheme" }),
  }).map(line);
  const lines = fc.array(said, { maxLength: 5 });
  fc.assert(fc.property(lines, fc.integer({ min: 1, max: 9 }), (said, size) => {
    const bytes = said.flatMap((message) => [...encodeChat(message)]);
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      pieces.push(Uint8Array.from(bytes.slice(at, at + size)));
    }
    assertEquals(decoded(...pieces), said);
  }));
});

Deno.test("chatCost() counts a message, and its bytes by what they cost to take", () => {
  const { line, have, members, member, nick } = ChatType;
  assertEquals([line, have, nick, 0x7f].map((type) => chatCost(type, 0)), [1, 1, 1, 1]);
  assertEquals([4_095, 4_096, MAX_CHAT_BYTES].map((n) => chatCost(line, n)), [1, 2, 4_097]);
  for (const type of [have, members, member]) {
    assertEquals([511, 512, 65_536].map((bytes) => chatCost(type, bytes)), [1, 2, 129]);
  }
  assertEquals(chatCost(0x7f, MAX_CHAT_BYTES), 4_097);
});
