import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { concatBytes, encodeText, joinBytes } from "../../protocol/bytes.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { ReceiveBuffer, writeFrameHeader } from "../../protocol/framing.ts";
import { MAX_FRAME_BYTES } from "../../protocol/limits.ts";

const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);

/** What a buffer yields, as copies, when the bytes come in these pieces. */
function takeAll(
  pieces: Uint8Array[],
  take: (buffer: ReceiveBuffer) => Uint8Array | undefined,
  capacity = 16,
): Uint8Array[] {
  const buffer = new ReceiveBuffer(capacity);
  const taken: Uint8Array[] = [];
  for (const piece of pieces) {
    buffer.push(piece);
    for (let next = take(buffer); next; next = take(buffer)) taken.push(next.slice());
  }
  return taken;
}

function everySplit(bytes: Uint8Array): Uint8Array[][] {
  const splits = [[bytes], [...bytes].map((byte) => Uint8Array.of(byte))];
  for (let at = 1; at < bytes.length; at++) {
    splits.push([bytes.slice(0, at), bytes.slice(at)]);
  }
  return splits;
}

function frame(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + body.length);
  writeFrameHeader(bytes, 0, body.length);
  bytes.set(body, 2);
  return bytes;
}

for (
  const [hex, bodies] of [
    ["0000", [""]],
    ["0001ff", ["ff"]],
    ["0003010203", ["010203"]],
    ["0002aabb00000001cc", ["aabb", "", "cc"]],
    ["0100" + "11".repeat(256), ["11".repeat(256)]],
  ] as [string, string[]][]
) {
  Deno.test(`frames ${hex.slice(0, 18)}: written and read, whole, split and byte by byte`, () => {
    const bytes = Uint8Array.fromHex(hex);
    assertEquals(concatBytes(...bodies.map((body) => frame(Uint8Array.fromHex(body)))), bytes);
    for (const pieces of everySplit(bytes)) {
      const taken = takeAll(pieces, (buffer) => buffer.takeFrame());
      assertEquals(taken.map((each) => each.toHex()), bodies);
    }
  });
}

for (
  const [input, lines] of [
    ["one\n", ["one"]],
    ["one\r\ntwo\n\n\r\nthree", ["one", "two", "", ""]],
    ["a\rb\n", ["a\rb"]],
    ["\n", [""]],
    ["häß\n", ["häß"]],
    ["no end", []],
  ] as [string, string[]][]
) {
  Deno.test(`lines ${JSON.stringify(input)}: read whole, split and byte by byte`, () => {
    for (const pieces of everySplit(encodeText(input))) {
      assertEquals(takeAll(pieces, (buffer) => buffer.takeLine(100)).map(text), lines);
    }
  });
}

Deno.test("ReceiveBuffer.takeFrame() gives back random frames, however they are cut", () => {
  const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 });
  fc.assert(fc.property(bodies, fc.array(fc.integer({ min: 1, max: 500 })), (frames, cuts) => {
    const bytes = joinBytes(frames.map(frame));
    const pieces: Uint8Array[] = [];
    let at = 0;
    for (const cut of cuts) pieces.push(bytes.slice(at, at += cut));
    pieces.push(bytes.slice(at));
    assertEquals(takeAll(pieces, (buffer) => buffer.takeFrame()), frames);
  }));
});

Deno.test("ReceiveBuffer.takeFrame() takes a frame at its limit and refuses one over it by its length alone", () => {
  for (const limit of [0, 1, 255, 256, 4_096, MAX_FRAME_BYTES]) {
    const body = new Uint8Array(limit).fill(7);
    assertEquals(takeAll([frame(body)], (buffer) => buffer.takeFrame(limit)), [body]);
    if (limit === MAX_FRAME_BYTES) continue;
    const buffer = new ReceiveBuffer(8);
    buffer.push(Uint8Array.of((limit + 1) >> 8, (limit + 1) & 0xff));
    assertThrows(() => buffer.takeFrame(limit), ProtocolError);
  }
});

Deno.test("ReceiveBuffer.takeLine() takes a line at its limit and refuses one over it before its end is there", () => {
  for (const end of ["\n", "\r\n"]) {
    for (const limit of [2, 3, 256]) {
      const content = "x".repeat(limit - end.length);
      const bytes = encodeText(content + end);
      assertEquals(takeAll([bytes], (buffer) => buffer.takeLine(limit)).map(text), [content]);
      for (const pieces of everySplit(encodeText(`x${content}${end}`))) {
        assertThrows(() => takeAll(pieces, (buffer) => buffer.takeLine(limit)), ProtocolError);
      }
    }
  }
  const buffer = new ReceiveBuffer(16);
  buffer.push(encodeText("x".repeat(255)));
  assertEquals(buffer.takeLine(256), undefined);
  buffer.push(encodeText("x"));
  assertThrows(() => buffer.takeLine(256), ProtocolError);
});

Deno.test("ReceiveBuffer reads lines and frames one behind the other, as a preface and what follows it", () => {
  const bytes = concatBytes(
    encodeText("p2p/1 session\n"),
    frame(encodeText("\n\n")),
    encodeText("rest"),
  );
  for (const pieces of everySplit(bytes)) {
    const buffer = new ReceiveBuffer(4);
    let line: string | undefined;
    let body: string | undefined;
    for (const piece of pieces) {
      buffer.push(piece);
      line ??= text(buffer.takeLine(256));
      if (line !== undefined && buffer.pending >= 2) body ??= text(buffer.takeFrame());
    }
    assertEquals([line, body, text(buffer.takeAll())], ["p2p/1 session", "\n\n", "rest"]);
    assertEquals(buffer.pending, 0);
  }
});

Deno.test("ReceiveBuffer.space() always has room, and keeps what is pending", () => {
  const chunk = fc.integer({ min: 1, max: 200 });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(chunk, fc.boolean())),
      fc.integer({ min: 1, max: 64 }),
      (steps, capacity) => {
        const buffer = new ReceiveBuffer(capacity);
        const expected: number[] = [];
        let next = 0;
        for (const [most, take] of steps) {
          const room = buffer.space();
          assert(room.length > 0);
          const count = Math.min(most, room.length);
          for (let i = 0; i < count; i++) expected.push(room[i] = next++ & 0xff);
          buffer.filled(count);
          assertEquals([...buffer.peek()], expected);
          assertEquals(buffer.pending, expected.length);
          if (take) assertEquals([...buffer.takeAll()], expected.splice(0));
        }
      },
    ),
  );
});

Deno.test("ReceiveBuffer grows no further than frames of the greatest length need", () => {
  const buffer = new ReceiveBuffer(64);
  const bytes = concatBytes(
    ...Array.from({ length: 8 }, () => frame(new Uint8Array(MAX_FRAME_BYTES))),
  );
  for (let at = 0; at < bytes.length;) {
    const room = buffer.space();
    assert(room.length <= 4 * MAX_FRAME_BYTES, `${room.length} bytes of room`);
    const count = Math.min(room.length, 1_000, bytes.length - at);
    room.set(bytes.subarray(at, at + count));
    buffer.filled(count);
    at += count;
    while (buffer.takeFrame());
  }
  assertEquals(buffer.pending, 0);
});

Deno.test("ReceiveBuffer shrinks again when all is taken, but for what was reserved", () => {
  const buffer = new ReceiveBuffer(16);
  buffer.push(encodeText("x".repeat(100) + "\n"));
  const line = buffer.takeLine(200)!;
  assertEquals(buffer.space().length, 16);
  assertEquals(text(line), "x".repeat(100));
  buffer.push(encodeText("short\n" + "y".repeat(100)));
  assertEquals([text(buffer.takeLine(200)), buffer.pending], ["short", 100]);
  assert(buffer.space().length > 16);
  buffer.takeAll();
  buffer.reserve(64);
  buffer.push(encodeText("z".repeat(100) + "\n"));
  buffer.takeLine(200);
  assertEquals(buffer.space().length, 64);
});

Deno.test("ReceiveBuffer.takeLine() looks at no byte again and again while a long line comes in small pieces", () => {
  const buffer = new ReceiveBuffer(16);
  const piece = encodeText("x".repeat(10));
  const start = performance.now();
  for (let i = 0; i < 200_000; i++) {
    buffer.push(piece);
    assert(buffer.takeLine(4_000_000) === undefined);
  }
  // Quadratic would be 2 * 10^11 steps: minutes.
  assert(performance.now() - start < 5_000);
});
