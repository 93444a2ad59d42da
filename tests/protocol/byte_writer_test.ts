import { assertEquals } from "@std/assert";
import { ByteWriter } from "../../protocol/bytes.ts";

Deno.test("ByteWriter keeps every field when it has to grow for it", () => {
  const writer = new ByteWriter(1).u8(1).u16(0x0203).u32(0x04050607).u64(0x08090a0b0c0d0e0fn);
  writer.i64(-2).bytes(new Uint8Array([0xaa, 0xbb])).u8(0xcc);
  assertEquals(writer.finish().toHex(), "0102030405060708090a0b0c0d0e0ffffffffffffffffeaabbcc");
});
