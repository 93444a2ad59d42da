import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { encodeText } from "../../protocol/bytes.ts";
import {
  type ChatMessage,
  chatMessageLimit,
  ChatType,
  decodeChat,
  encodeChat,
} from "../../protocol/chat.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { MAX_CHAT_BYTES } from "../../protocol/limits.ts";
import { MessageDecoder } from "../../protocol/messages.ts";

const TABLE: [name: string, message: ChatMessage, hex: string][] = [
  ["a line", { type: "text", text: "hi" }, "01 00000002 6869"],
  ["an empty line", { type: "text", text: "" }, "01 00000000"],
  ["a line of several scripts", { type: "text", text: "ü日🙂" }, "01 00000009 c3bce697a5f09f9982"],
  ["a byte order mark, kept", { type: "text", text: "\ufeffa" }, "01 00000004 efbbbf61"],
  ["a private line", { type: "private", text: "hi" }, "03 00000002 6869"],
  ["an empty private line", { type: "private", text: "" }, "03 00000000"],
  ["a name", { type: "nick", name: "bob" }, "02 00000003 626f62"],
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

for (const [name, message, hex] of TABLE) {
  Deno.test(`Chat codec: ${name}, both ways, whole, split and byte by byte`, () => {
    const bytes = Uint8Array.fromHex(hex.replaceAll(" ", ""));
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
  assertEquals(decodeChat({ type: 0x7f, body: Uint8Array.of(0xff), remaining: 0 }), undefined);
});

Deno.test("decodeChat() refuses what is not UTF-8, and names that none may have", () => {
  const notText = Uint8Array.of(0xc3, 0x28);
  for (const type of [ChatType.text, ChatType.nick, ChatType.private]) {
    assertThrows(() => decodeChat({ type, body: notText, remaining: 0 }), ProtocolError, "UTF-8");
  }
  for (const name of ["", " a", "a\x1b", "host:8080", "x".repeat(65)]) {
    const message = { type: ChatType.nick, body: encodeText(name), remaining: 0 };
    assertThrows(() => decodeChat(message), ProtocolError, "Name not accepted");
  }
});

Deno.test("A chat line of 16 MiB is allowed, one byte more is refused by its length alone", () => {
  for (const type of [ChatType.text, ChatType.private]) {
    const header = (length: number) => {
      const bytes = new Uint8Array(5);
      bytes[0] = type;
      new DataView(bytes.buffer).setUint32(1, length);
      return bytes;
    };
    const decoder = new MessageDecoder(chatMessageLimit);
    decoder.push(header(MAX_CHAT_BYTES));
    assertEquals(decoder.next(), undefined);
    assertThrows(() => decoded(header(MAX_CHAT_BYTES + 1)), ProtocolError, "too large");
  }
});

Deno.test("Chat codec: any line arrives as it was said, however it is cut", () => {
  const line = fc.record({
    type: fc.constantFrom("text" as const, "private" as const),
    text: fc.string({ unit: "grapheme" }),
  });
  const lines = fc.array(line, { maxLength: 5 });
  fc.assert(fc.property(lines, fc.integer({ min: 1, max: 9 }), (said, size) => {
    const bytes = said.flatMap((message) => [...encodeChat(message)]);
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      pieces.push(Uint8Array.from(bytes.slice(at, at + size)));
    }
    assertEquals(decoded(...pieces), said);
  }));
});
