import { assertEquals } from "@std/assert";
import { endpointOf, sourceOf } from "../../relay/source.ts";

const sources: [ip: string, source: string][] = [
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["::ffff:c000:207", "192.0.2.7"],
  ["2001:db8:1:2:3:4:5:6", "20010db800010002/64"],
  ["2001:0DB8:1:2::9", "20010db800010002/64"],
  ["2001:db8::", "20010db800000000/64"],
  ["::1", "0000000000000000/64"],
  ["fe80::1%eth0", "fe80000000000000/64"],
];

Deno.test("sourceOf() names the IPv4 address or the IPv6 network", () => {
  for (const [ip, source] of sources) assertEquals(sourceOf(ip), source, ip);
});

Deno.test("endpointOf() takes a connection's other end apart, and leaves zones out", () => {
  assertEquals(endpointOf("192.0.2.7:80"), { ip: "192.0.2.7", address: "192.0.2.7:80" });
  assertEquals(endpointOf("[fe80::1%3]:80"), { ip: "fe80::1", address: "[fe80::1]:80" });
});
