import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { concatBytes, joinBytes } from "../../protocol/bytes.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import {
  encodeMessage,
  type Message,
  MessageDecoder,
  writeMessageHeader,
} from "../../protocol/messages.ts";

const STREAMED = 0x21;
const LIMIT = 200_000;

function limits(type: number): number | undefined {
  return type === 0xff ? undefined : LIMIT;
}

function decodeAll(chunks: Uint8Array[], streamed = new Set<number>()): Message[] {
  const decoder = new MessageDecoder(limits, { streamed });
  const messages: Message[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let message = decoder.next(); message; message = decoder.next()) messages.push(message);
  }
  decoder.end();
  return messages;
}

/** Joins the pieces of streamed messages, checking what they say of what follows. */
function joined(messages: Message[]): [number, Uint8Array][] {
  const result: [number, Uint8Array][] = [];
  let pieces: Uint8Array[] = [];
  let expected: number | undefined;
  for (const { type, body, remaining } of messages) {
    if (expected !== undefined) assertEquals(body.length + remaining, expected);
    pieces.push(body);
    expected = remaining === 0 ? undefined : remaining;
    if (remaining > 0) continue;
    result.push([type, joinBytes(pieces)]);
    pieces = [];
  }
  return result;
}

function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
  return chunks;
}

const table: { type: number; body: string; hex: string }[] = [
  { type: 0x01, body: "", hex: "0100000000" },
  { type: 0x24, body: "aa", hex: "2400000001aa" },
  { type: 0xfe, body: "00".repeat(258), hex: "fe00000102" + "00".repeat(258) },
];

for (const { type, body, hex } of table) {
  Deno.test(`encodeMessage() and MessageDecoder agree with ${hex.slice(0, 12)}`, () => {
    const bytes = Uint8Array.fromHex(hex);
    assertEquals(encodeMessage(type, Uint8Array.fromHex(body)).toHex(), hex);
    assertEquals(decodeAll([bytes]), [{ type, body: Uint8Array.fromHex(body), remaining: 0 }]);
  });
}

Deno.test("writeMessageHeader() writes lengths of all 32 bits", () => {
  const bytes = new Uint8Array(7);
  writeMessageHeader(bytes, 1, 0x21, 0xfedcba98);
  assertEquals(bytes.toHex(), "0021fedcba9800");
});

Deno.test("MessageDecoder yields the same messages however the bytes are cut", () => {
  const body = fc.oneof(
    { weight: 9, arbitrary: fc.uint8Array({ maxLength: 40 }) },
    { weight: 1, arbitrary: fc.constant(new Uint8Array(LIMIT).fill(7)) },
  );
  const message = fc.tuple(fc.constantFrom(0, 1, STREAMED, 0xfe), body);
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), fc.integer({ min: 1, max: 70_000 }), (
      messages,
      size,
    ) => {
      const bytes = joinBytes(messages.map(([type, body]) => encodeMessage(type, body)));
      const expected = messages.map(([type, body]) => [type, new Uint8Array(body)]);
      for (const chunks of [[bytes], cut(bytes, size)]) {
        assertEquals(joined(decodeAll(chunks, new Set([STREAMED]))), expected);
        assertEquals(joined(decodeAll(chunks)), expected);
      }
    }),
    { numRuns: 40 },
  );
});

Deno.test("MessageDecoder takes messages byte by byte", () => {
  const bytes = concatBytes(
    encodeMessage(1, new Uint8Array([1, 2, 3])),
    encodeMessage(STREAMED, new Uint8Array([4, 5])),
    encodeMessage(STREAMED),
    encodeMessage(2),
  );
  assertEquals(decodeAll(cut(bytes, 1), new Set([STREAMED])), [
    { type: 1, body: new Uint8Array([1, 2, 3]), remaining: 0 },
    { type: STREAMED, body: new Uint8Array([4]), remaining: 1 },
    { type: STREAMED, body: new Uint8Array([5]), remaining: 0 },
    { type: STREAMED, body: new Uint8Array(0), remaining: 0 },
    { type: 2, body: new Uint8Array(0), remaining: 0 },
  ]);
});

Deno.test("MessageDecoder hands on what a streamed body has so far", () => {
  const decoder = new MessageDecoder(limits, { streamed: new Set([STREAMED]) });
  decoder.push(encodeMessage(STREAMED, new Uint8Array(100)).subarray(0, 45));
  assertEquals(decoder.next(), { type: STREAMED, body: new Uint8Array(40), remaining: 60 });
  assertEquals(decoder.next(), undefined);
});

Deno.test("MessageDecoder does not copy a body that is whole in what was pushed", () => {
  const bytes = encodeMessage(1, new Uint8Array(8));
  assertEquals(decodeAll([bytes])[0]!.body.buffer === bytes.buffer, true);
});

Deno.test("MessageDecoder refuses a type that is not allowed", () => {
  assertThrows(() => decodeAll([Uint8Array.fromHex("ff00000000")]), ProtocolError, "type 255");
});

Deno.test("MessageDecoder refuses a length over the limit before the body arrives", () => {
  const header = new Uint8Array(5);
  writeMessageHeader(header, 0, 1, LIMIT + 1);
  assertThrows(() => decodeAll([header]), ProtocolError, "too large");
  writeMessageHeader(header, 0, STREAMED, 0xffffffff);
  assertThrows(() => decodeAll([header], new Set([STREAMED])), ProtocolError, "4294967295");
});

Deno.test("MessageDecoder.end() rejects when the stream ends inside a message", () => {
  const bytes = encodeMessage(1, new Uint8Array(3));
  for (let length = 1; length < bytes.length; length++) {
    assertThrows(() => decodeAll([bytes.subarray(0, length)]), ProtocolError, "ended inside");
  }
});

Deno.test("MessageDecoder.push() rejects when the bytes before were not taken", () => {
  const decoder = new MessageDecoder(limits);
  decoder.push(encodeMessage(1));
  assertThrows(() => decoder.push(encodeMessage(1)), Error, "not taken");
});
