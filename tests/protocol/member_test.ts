import { assert, assertEquals } from "@std/assert";
import { compareMembers, memberId, newInstance } from "../../protocol/member.ts";

function key(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}

Deno.test("newInstance() is the time in 6 bytes, then 2 random ones", () => {
  assertEquals(newInstance(0x0102_0304_0506, Uint8Array.of(7, 8, 9)).toHex(), "0102030405060708");
  assertEquals(newInstance(0, Uint8Array.of(0, 1)).toHex(), "0000000000000001");
});

Deno.test("compareMembers() orders by instance, then by key", () => {
  const early = newInstance(1_700_000_000_000, Uint8Array.of(0xff, 0xff));
  const late = newInstance(1_700_000_000_001, Uint8Array.of(0, 0));
  assert(compareMembers({ instance: early, key: key(9) }, { instance: late, key: key(1) }) < 0);
  assert(compareMembers({ instance: late, key: key(1) }, { instance: early, key: key(9) }) > 0);
  assert(
    compareMembers({ instance: late, key: key(0x7f) }, { instance: late, key: key(0x80) }) < 0,
  );
  assertEquals(compareMembers({ instance: late, key: key(1) }, { instance: late, key: key(1) }), 0);
});

Deno.test("memberId() differs with the key and with the instance", () => {
  const instance = newInstance(5, Uint8Array.of(1, 2));
  const id = memberId({ key: key(0xab), instance });
  assertEquals(id, `${"ab".repeat(32)}/0000000000050102`);
});
