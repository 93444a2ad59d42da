import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  ByteReader,
  ByteWriter,
  concatBytes,
  decodeText,
  encodeText,
  equalBytes,
} from "../../protocol/bytes.ts";
import { ProtocolError } from "../../protocol/errors.ts";

Deno.test("ByteWriter writes and ByteReader reads each field, big-endian", () => {
  const bytes = new ByteWriter(1).u8(0xff).u16(0x0102).u32(0x03040506).u64(0x0708090a0b0c)
    .u64(2n ** 64n - 1n).i64(-2).bytes(Uint8Array.of(9, 9)).bytes(encodeText("ä")).finish();
  assertEquals(
    bytes.toHex(),
    "ff" + "0102" + "03040506" + "00000708090a0b0c" + "f".repeat(16) + "fffffffffffffffe" +
      "0909" + "c3a4",
  );
  const reader = new ByteReader(bytes);
  assertEquals([reader.u8(), reader.u16(), reader.u32()], [0xff, 0x0102, 0x03040506]);
  assertEquals([reader.u64(), reader.bigU64()], [0x0708090a0b0c, 2n ** 64n - 1n]);
  assertEquals([reader.i64(), reader.bytes(2), reader.text(2)], [-2, Uint8Array.of(9, 9), "ä"]);
  assertEquals(reader.remaining, 0);
});

Deno.test("ByteReader refuses to read beyond the end, and what no number holds", () => {
  const reads: [number, (reader: ByteReader) => unknown][] = [
    [0, (reader) => reader.u8()],
    [1, (reader) => reader.u16()],
    [3, (reader) => reader.u32()],
    [7, (reader) => reader.u64()],
    [7, (reader) => reader.bigU64()],
    [7, (reader) => reader.i64()],
    [4, (reader) => reader.bytes(5)],
    [4, (reader) => reader.text(5)],
  ];
  for (const [length, read] of reads) {
    assertThrows(() => read(new ByteReader(new Uint8Array(length))), ProtocolError);
  }
  for (const hex of ["0020000000000000", "ffffffffffffffff"]) {
    assertThrows(() => new ByteReader(Uint8Array.fromHex(hex)).u64(), ProtocolError);
  }
  for (const hex of ["0020000000000000", "8000000000000000", "ffe0000000000000"]) {
    assertThrows(() => new ByteReader(Uint8Array.fromHex(hex)).i64(), ProtocolError);
  }
});

Deno.test("ByteReader reads what lies in the middle of a buffer", () => {
  const reader = new ByteReader(Uint8Array.of(1, 2, 3, 4, 5).subarray(1, 4));
  assertEquals([reader.u16(), reader.u8(), reader.remaining], [0x0203, 4, 0]);
});

Deno.test("ByteReader.u64() and i64() give back what was written, up to what a number holds", () => {
  fc.assert(fc.property(fc.maxSafeInteger(), (value) => {
    assertEquals(new ByteReader(new ByteWriter().i64(value).finish()).i64(), value);
    const count = Math.abs(value);
    assertEquals(new ByteReader(new ByteWriter().u64(count).finish()).u64(), count);
  }));
});

Deno.test("ByteWriter grows as needed", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), fc.nat(10), (parts, capacity) => {
      const writer = new ByteWriter(capacity);
      for (const part of parts) writer.bytes(part);
      assertEquals(writer.finish(), concatBytes(...parts));
      assertEquals(writer.length, parts.reduce((sum, part) => sum + part.length, 0));
    }),
  );
});

Deno.test("decodeText() reads what encodeText() wrote, and refuses what is not UTF-8", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    if (text.isWellFormed()) assertEquals(decodeText(encodeText(text)), text);
  }));
  // A byte order mark is text like any other.
  assertEquals(decodeText(Uint8Array.fromHex("efbbbf41")), "\ufeffA");
  for (const hex of ["ff", "c0af", "e282", "eda080", "f4908080", "80"]) {
    assertThrows(() => decodeText(Uint8Array.fromHex(hex)), ProtocolError);
  }
});

Deno.test("equalBytes() compares length and content", () => {
  const a = Uint8Array.of(1, 2);
  assert(equalBytes(a, Uint8Array.of(1, 2)) && equalBytes(new Uint8Array(0), new Uint8Array(0)));
  assert(!equalBytes(a, Uint8Array.of(1, 3)) && !equalBytes(a, Uint8Array.of(1)));
});
