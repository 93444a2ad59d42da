import { assertEquals } from "@std/assert";
import { type Address, formatAddress, parseAddress } from "../../protocol/address.ts";
import {
  interleaveAddresses,
  ownAddresses,
  usableAddresses,
} from "../../protocol/member_addresses.ts";

function addresses(...texts: string[]): Address[] {
  return texts.map((each) => parseAddress(each));
}

Deno.test("usableAddresses() gives addresses of one machine each, and each once", () => {
  const told = [
    ..."0.0.0.0:1 255.255.255.255:1 224.0.0.1:1 169.254.1.1:1 [::]:1 [ff02::1]:1 [fe80::1]:1".split(
      " ",
    ),
    "localhost:1",
    "[::ffff:7f00:1]:1",
    "[0:0:0:0:0:0:0:1]:1",
    "[::ffff:224.0.0.1]:1",
    "127.1.2.3:1",
    "10.0.0.1:1",
    "10.0.0.1:1",
    "10.0.0.1:2",
    "[2001:DB8:0::1]:1",
    "[2001:db8::1]:1",
  ];
  const usable = (onThisMachine: boolean) =>
    usableAddresses(addresses(...told), onThisMachine).map(formatAddress);
  const far = ["10.0.0.1:1", "10.0.0.1:2", "[2001:db8::1]:1"];
  assertEquals(usable(false), far);
  assertEquals(usable(true), ["127.0.0.1:1", "[::1]:1", "127.1.2.3:1", ...far]);
});

Deno.test("usableAddresses() gives eight at most", () => {
  const told = Array.from({ length: 20 }, (_, at) => ({ host: `10.0.0.${at + 1}`, port: 1 }));
  assertEquals(usableAddresses(told, false), told.slice(0, 8));
});

Deno.test("interleaveAddresses() takes turns, so that no list keeps another out", () => {
  const [a, b, c, d] = addresses("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1");
  assertEquals(interleaveAddresses([[a!, b!], [c!], [a!, d!]]), [a, c, b, d]);
  const junk = Array.from({ length: 8 }, (_, at) => ({ host: `10.0.1.${at}`, port: 1 }));
  assertEquals(interleaveAddresses([junk, [a!]]).includes(a!), true);
  assertEquals(interleaveAddresses([]), []);
});

Deno.test("ownAddresses() tells loopback to those on this machine alone, the likeliest first", () => {
  const listening = addresses(
    "192.168.1.2:8080",
    "10.0.0.2:8080",
    "[2001:db8::2]:8080",
    "127.0.0.1:8080",
  );
  const own = (...args: [boolean, string?]) => ownAddresses(listening, ...args).map(formatAddress);
  const [lan, vpn, ipv6, loopback] = listening.map(formatAddress);
  assertEquals(own(false), [lan, vpn, ipv6]);
  assertEquals(own(true), [loopback, lan, vpn, ipv6]);
  assertEquals(own(false, "203.0.113.5"), [lan, "203.0.113.5:8080", vpn, ipv6]);
  assertEquals(ownAddresses([], true, "203.0.113.5"), []);
  assertEquals(ownAddresses(addresses("127.0.0.1:1"), false), []);
});
