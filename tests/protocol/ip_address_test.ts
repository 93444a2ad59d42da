import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { ipFromBytes, ipToBytes } from "../../protocol/ip_address.ts";

for (
  const [text, hex] of [
    ["0.0.0.0", "00000000"],
    ["192.0.2.1", "c0000201"],
    ["255.255.255.255", "ffffffff"],
    ["::", "00000000000000000000000000000000"],
    ["::1", "00000000000000000000000000000001"],
    ["fe80::", "fe800000000000000000000000000000"],
    ["2001:db8::ff:0:1", "20010db800000000000000ff00000001"],
    ["2001:db8:1234:5678:11:2233:4455:6677", "20010db8123456780011223344556677"],
  ] as const
) {
  Deno.test(`ipToBytes() and ipFromBytes() agree that ${text} is ${hex}`, () => {
    assertEquals(ipToBytes(text)?.toHex(), hex);
    assertEquals(ipFromBytes(Uint8Array.fromHex(hex)), text);
  });
}

for (
  const [text, hex] of [
    ["::ffff:192.0.2.1", "c0000201"],
    ["::FFFF:C000:0201", "c0000201"],
    ["2001:0DB8::1", "20010db8000000000000000000000001"],
    ["::192.0.2.1", "000000000000000000000000c0000201"],
    ["fe80::1%eth0", "fe800000000000000000000000000001"],
  ] as const
) {
  Deno.test(`ipToBytes() reads ${text} as ${hex}`, () => {
    assertEquals(ipToBytes(text)?.toHex(), hex);
  });
}

for (
  const text of ["", ":", ":::", "1.2.3", "1.2.3.256", "1.2.3.4.5", "::1::", "[::1]", "host", "1:2"]
) {
  Deno.test(`ipToBytes() finds no address in ${JSON.stringify(text)}`, () => {
    assertEquals(ipToBytes(text), undefined);
  });
}

Deno.test("ipToBytes() reads what ipFromBytes() writes", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  fc.assert(fc.property(fc.oneof(bytes(4), bytes(16)), (ip) => {
    const mapped = ip.toHex().startsWith("00000000000000000000ffff") && ip.length === 16;
    assertEquals(ipToBytes(ipFromBytes(ip))?.toHex(), (mapped ? ip.slice(-4) : ip).toHex());
  }));
});
