import { assertEquals } from "@std/assert";
import { isWithin, parseSubnet } from "../../protocol/subnet.ts";

for (
  const [ip, subnet, within] of [
    ["192.168.1.77", "192.168.1.10/24", true],
    ["192.168.2.77", "192.168.1.10/24", false],
    ["192.168.1.63", "192.168.1.10/26", true],
    ["192.168.1.64", "192.168.1.10/26", false],
    ["10.1.2.3", "10.1.2.3/32", true],
    ["10.1.2.2", "10.1.2.3/32", false],
    ["8.8.8.8", "10.0.0.1/0", true],
    ["fe80::1", "fe80::7047:68ff:fe7c:fc4/64", true],
    ["fe80::1%eth0", "fe80::7047:68ff:fe7c:fc4/64", true],
    ["2001:db8:0:1::1", "2001:db8::1/64", false],
    ["2001:db8::1", "192.168.1.10/24", false],
    ["192.168.1.77", "2001:db8::1/64", false],
    ["::ffff:192.168.1.77", "192.168.1.10/24", true],
    ["anna", "192.168.1.10/24", false],
  ] as const
) {
  Deno.test(`isWithin(): ${ip} is ${within ? "" : "not "}of ${subnet}`, () => {
    assertEquals(isWithin(ip, parseSubnet(subnet)!), within);
  });
}

Deno.test("parseSubnet() takes an address and a number of bits, and nothing else", () => {
  assertEquals(parseSubnet("10.0.0.1/8"), { address: "10.0.0.1", prefix: 8 });
  for (
    const text of ["", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "::1/129", "x/8", "10.0.0.1/-1"]
  ) {
    assertEquals(parseSubnet(text), undefined, text);
  }
});
