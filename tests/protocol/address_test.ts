import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { formatAddress, isLocal, parseAddress, parseIpAddress } from "../../protocol/address.ts";
import { UsageError } from "../../protocol/errors.ts";

for (
  const [text, host, port] of [
    ["1.2.3.4:8080", "1.2.3.4", 8080],
    ["255.255.255.255:65535", "255.255.255.255", 65_535],
    ["[::1]:8080", "::1", 8080],
    ["[2001:db8::1]:1", "2001:db8::1", 1],
    ["[fe80::1%eth0]:80", "fe80::1%eth0", 80],
    ["[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4", 80],
    ["localhost:8080", "localhost", 8080],
    ["host.example:22", "host.example", 22],
    ["my_host-1:22", "my_host-1", 22],
    ["bücher.example:22", "bücher.example", 22],
    ["  1.2.3.4:8080 ", "1.2.3.4", 8080],
  ] as [string, string, number][]
) {
  Deno.test(`parseAddress() reads ${text}, and formatAddress() writes it`, () => {
    assertEquals(parseAddress(text), { host, port });
    assertEquals(formatAddress({ host, port }), text.trim());
  });
}

for (
  const [text, port] of [["1.2.3.4", 8080], ["[::1]", 8080], ["host", 8080], ["host:9", 9]] as const
) {
  Deno.test(`parseAddress() with a default port gives ${text} the port ${port}`, () => {
    assertEquals(parseAddress(text, 8080).port, port);
  });
}

for (
  const text of [
    "",
    " ",
    ":8080",
    "host",
    "host:",
    "host:0",
    "host:65536",
    "host:-1",
    "host:1.5",
    "host:80a",
    "host:8 0",
    "ho st:80",
    "::1",
    "::1:8080",
    "2001:db8::1:8080",
    "[::1",
    "[::1]8080",
    "[]:80",
    "[1.2.3.4]:80",
    "[host]:80",
    "256.1.1.1:80",
    "010.0.0.1:80",
    "1.2.3:80",
    "1.2.3.4.5:80",
    "12345:80",
    "-x:80",
    "http://host:80",
    "host:80/",
    "user@host:80",
    "ho\x1bst:80",
    "a".repeat(300) + ":80",
  ]
) {
  Deno.test(`parseAddress() refuses ${JSON.stringify(text.slice(0, 30))} with words and a hint`, () => {
    const error = assertThrows(() => parseAddress(text), UsageError) as UsageError;
    assertEquals(error.message.startsWith(`Address not understood: ${JSON.stringify(text)}`), true);
    assertEquals(error.hint?.includes("1.2.3.4:8080"), true);
  });
}

Deno.test("parseAddress() reads what formatAddress() wrote, or refuses: it never takes one for another", () => {
  const hosts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
  fc.assert(fc.property(hosts, fc.integer({ min: 1, max: 65_535 }), (host, port) => {
    assertEquals(parseAddress(formatAddress({ host, port })), { host, port });
  }));
  fc.assert(fc.property(fc.string(), (text) => {
    try {
      const address = parseAddress(text);
      assertEquals(parseAddress(formatAddress(address)), address);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
    }
  }));
});

Deno.test("isLocal() tells private, link-local and loopback addresses from public ones", () => {
  const local = "127.0.0.1 127.9.9.9 10.0.0.1 192.168.3.4 172.16.0.1 172.31.255.1 169.254.1.1 ::1" +
    " fe80::1 FE80::1 febf::1 fc00::1 fd12::1";
  const far = "1.2.3.4 172.15.0.1 172.32.0.1 192.169.0.1 11.0.0.1 126.0.0.1 2001:db8::1 ff02::1" +
    " fec0::1 ::2";
  for (const ip of local.split(" ")) assertEquals(isLocal(ip), true, ip);
  for (const ip of far.split(" ")) assertEquals(isLocal(ip), false, ip);
});

for (
  const [text, host, port] of [
    ["1.2.3.4:5678", "1.2.3.4", 5678],
    ["[2001:db8::1]:5678", "2001:db8::1", 5678],
    ["[::]:1", "::", 1],
  ] as const
) {
  Deno.test(`parseIpAddress() reads ${text}`, () => {
    assertEquals(parseIpAddress(text), { host, port });
  });
}

for (
  const text of [
    "",
    "1.2.3.4",
    "1.2.3.4:",
    "1.2.3.4:0",
    "1.2.3.4:65536",
    "1.2.3.4:1e3",
    " 1.2.3.4:5",
    "01.2.3.4:5",
    "1.2.3:4",
    "host:80",
    "::1:80",
    "[::1]",
    "[::1%eth0]:80",
    "[1.2.3.4]:80",
    "[:::]:80",
  ]
) {
  Deno.test(`parseIpAddress() finds no address in ${JSON.stringify(text)}`, () => {
    assertEquals(parseIpAddress(text), undefined);
  });
}
