import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { concatBytes, encodeText, freeBytes, joinBytes } from "../../protocol/bytes.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { MAX_PAYLOAD_BYTES, MAX_REASON_BYTES } from "../../protocol/limits.ts";
import {
  decodeCount,
  decodeGoodbye,
  decodeHello,
  decodeReset,
  decodeWindow,
  encodeCount,
  encodeFrame,
  encodeGoodbye,
  encodeHello,
  encodeReset,
  encodeWindow,
  FrameType,
  type SessionFrame,
  SessionFrameDecoder,
} from "../../protocol/session_frame.ts";

const ID = Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f");
const hello = { sessionId: ID, received: 258, resumes: true, name: "zoë" };

/** Each frame of the specification: type, stream, payload, and the bytes on the wire. */
const table: [string, number, number, Uint8Array, string][] = [
  ["OPEN", 0x01, 1, encodeText("chat/1"), "01000000010006636861742f31"],
  ["DATA", 0x02, 0x01020304, Uint8Array.of(0xff), "02010203040001ff"],
  ["FINISH", 0x03, 0xffffffff, new Uint8Array(0), "03ffffffff0000"],
  ["RESET", 0x04, 2, encodeReset(2), "040000000200020002"],
  ["WINDOW", 0x05, 3, encodeWindow(0x01020304), "0500000003000401020304"],
  [
    "HELLO",
    0x10,
    0,
    encodeHello(hello),
    `1000000000001e${ID.toHex()}0000000000000102` + "01047a6fc3ab",
  ],
  ["ACK", 0x11, 0, encodeCount(2 ** 40), "110000000000080000010000000000"],
  ["PING", 0x12, 0, encodeCount(1), "120000000000080000000000000001"],
  ["PONG", 0x13, 0, encodeCount(1), "130000000000080000000000000001"],
  ["GOODBYE", 0x14, 0, encodeGoodbye({ code: 5, text: "no" }), "14000000000003056e6f"],
];

function decodeAll(pieces: Uint8Array[]): SessionFrame[] {
  const decoder = new SessionFrameDecoder();
  const frames: SessionFrame[] = [];
  for (const piece of pieces) {
    decoder.push(piece);
    for (let frame = decoder.next(); frame; frame = decoder.next()) frames.push(frame);
  }
  return frames;
}

for (const [name, type, stream, payload, hex] of table) {
  Deno.test(`${name} is written and read as specified: whole, split and byte by byte`, () => {
    const frame = { type: type as FrameType, stream, payload };
    const bytes = Uint8Array.fromHex(hex);
    assertEquals(encodeFrame(frame).toHex(), hex);
    assertEquals(decodeAll([bytes.slice()]), [frame]);
    assertEquals(decodeAll([...bytes].map((byte) => Uint8Array.of(byte))), [frame]);
    for (let at = 1; at < bytes.length; at++) {
      assertEquals(decodeAll([bytes.slice(0, at), bytes.slice(at)]), [frame]);
    }
  });
}

Deno.test("the payloads' fields are read as they were written", () => {
  assertEquals(decodeHello(encodeHello(hello)), hello);
  assertEquals(decodeHello(encodeHello({ ...hello, resumes: false })).resumes, false);
  assertEquals(decodeCount(encodeCount(2 ** 53 - 1)), 2 ** 53 - 1);
  assertEquals(decodeWindow(encodeWindow(2 ** 32 - 1)), 2 ** 32 - 1);
  assertEquals(decodeReset(encodeReset(65_535)), 65_535);
  assertEquals(decodeGoodbye(encodeGoodbye({ code: 255, text: "ä" })), { code: 255, text: "ä" });
});

Deno.test("decodeHello() ignores bytes behind the last field, and flags that it does not know", () => {
  const payload = concatBytes(encodeHello(hello), encodeText("more"));
  payload[24]! |= 0xfe;
  assertEquals(decodeHello(payload), hello);
});

Deno.test("decodeHello() takes the name in NFC", () => {
  assertEquals(decodeHello(encodeHello({ ...hello, name: "zoe\u0308" })).name, "zo\u00eb");
});

for (
  const [what, change] of [
    ["no name", (payload) => payload[25] = 0],
    ["a name longer than the payload", (payload) => payload[25] = 64],
    ["a name over the limit", (payload) => payload[25] = 65],
    ["a name that is no text", (payload) => payload[27] = 0xff],
    ["a name with a control character", (payload) => payload[26] = 0x1b],
    ["a name that begins with a space", (payload) => payload[26] = 0x20],
    ["a count beyond what a number holds", (payload) => payload[16] = 1],
  ] as [string, (payload: Uint8Array) => void][]
) {
  Deno.test(`decodeHello() refuses ${what}`, () => {
    const payload = encodeHello(hello).slice();
    change(payload);
    assertThrows(() => decodeHello(payload), ProtocolError);
  });
}

Deno.test("encodeGoodbye() cuts a long text at the limit, between characters", () => {
  for (const character of ["x", "ä", "€", "😀"]) {
    const payload = encodeGoodbye({ code: 0, text: character.repeat(1_000) });
    assert(payload.length <= 1 + MAX_REASON_BYTES && payload.length > MAX_REASON_BYTES - 3);
    const { text } = decodeGoodbye(payload);
    assertEquals(text, character.repeat(text.length / character.length));
  }
});

for (
  const [type, lengths, refused] of [
    [FrameType.open, [1, 64], [0, 65]],
    [FrameType.data, [1, MAX_PAYLOAD_BYTES], [0, MAX_PAYLOAD_BYTES + 1, 65_535]],
    [FrameType.finish, [0], [1]],
    [FrameType.reset, [2], [1, 3]],
    [FrameType.window, [4], [3, 5]],
    [FrameType.hello, [27, 90], [0, 26, MAX_PAYLOAD_BYTES + 1]],
    [FrameType.ack, [8], [7, 9]],
    [FrameType.ping, [8], [7, 9]],
    [FrameType.pong, [8], [7, 9]],
    [FrameType.goodbye, [1, 513], [0, 514]],
    [0x00, [], [0, 8]],
    [0x06, [], [0, 8]],
    [0x0f, [], [0]],
    [0x15, [], [0]],
    [0xff, [], [65_535]],
  ] as [number, number[], number[]][]
) {
  Deno.test(`SessionFrameDecoder holds frames of type 0x${type.toString(16)} to their lengths, by the header alone`, () => {
    for (const length of lengths) {
      const frame = { type: type as FrameType, stream: 0, payload: new Uint8Array(length) };
      assertEquals(decodeAll([encodeFrame(frame)]), [frame]);
    }
    for (const length of refused) {
      const header = Uint8Array.of(type, 0, 0, 0, 0, length >> 8, length & 0xff);
      assertThrows(() => decodeAll([header]), ProtocolError);
      assertEquals(decodeAll([header.slice(0, 6)]), []);
    }
  });
}

const frames = fc.array(
  fc.oneof(
    fc.record({
      type: fc.constant(FrameType.data),
      stream: fc.nat(),
      payload: fc.uint8Array({ minLength: 1, maxLength: 400 }),
    }),
    fc.record({
      type: fc.constant(FrameType.finish),
      stream: fc.nat(),
      payload: fc.constant(new Uint8Array(0)),
    }),
    fc.record({
      type: fc.constantFrom(FrameType.ack, FrameType.ping),
      stream: fc.constant(0),
      payload: fc.uint8Array({ minLength: 8, maxLength: 8 }),
    }),
  ),
  { maxLength: 30 },
);

Deno.test("SessionFrameDecoder gives back random frames, however they are cut", () => {
  fc.assert(fc.property(frames, fc.array(fc.integer({ min: 1, max: 700 })), (sent, cuts) => {
    const bytes = joinBytes(sent.map(encodeFrame));
    const pieces: Uint8Array[] = [];
    let at = 0;
    for (const cut of cuts) pieces.push(bytes.slice(at, at += cut));
    pieces.push(bytes.slice(at));
    assertEquals(decodeAll(pieces), sent as SessionFrame[]);
  }));
});

Deno.test("SessionFrameDecoder answers garbage with a ProtocolError or frames, never with anything else", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
    try {
      decodeAll([bytes]);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }));
});

Deno.test("SessionFrameDecoder takes the largest frame byte by byte, in little time", () => {
  const payload = new Uint8Array(MAX_PAYLOAD_BYTES).map((_, index) => index);
  const frame = { type: FrameType.data, stream: 1, payload };
  const start = performance.now();
  for (let round = 0; round < 3; round++) {
    assertEquals(
      decodeAll([...encodeFrame(frame)].map((byte) => Uint8Array.of(byte)))[0]!.payload.length,
      payload.length,
    );
  }
  assert(performance.now() - start < 5_000);
});

Deno.test("SessionFrameDecoder does not keep a whole record alive for a few bytes of it", () => {
  const small = { type: FrameType.data, stream: 1, payload: new Uint8Array(10) };
  const large = { type: FrameType.data, stream: 1, payload: new Uint8Array(60_000) };
  const [first, second] = decodeAll([concatBytes(encodeFrame(small), encodeFrame(large))]);
  assertEquals(first!.payload.buffer.byteLength, 10);
  // A payload that is most of the record is not copied.
  assert(second!.payload.buffer.byteLength > 60_000);
});

Deno.test("SessionFrameDecoder: whoever frees a payload takes nothing from the frames behind it", () => {
  const first = { type: FrameType.data, stream: 1, payload: new Uint8Array(40_000).fill(1) };
  const second = { type: FrameType.data, stream: 1, payload: new Uint8Array(20_000).fill(2) };
  const bytes = concatBytes(encodeFrame(first), encodeFrame(second));
  for (const cut of [40_010, 40_020, 50_000, 60_013]) {
    const decoder = new SessionFrameDecoder();
    decoder.push(bytes.slice(0, cut));
    const { payload } = decoder.next()!;
    assertEquals(decoder.next(), undefined);
    freeBytes(payload);
    decoder.push(bytes.slice(cut));
    assertEquals(decoder.next(), second, `cut at ${cut}`);
  }
});
