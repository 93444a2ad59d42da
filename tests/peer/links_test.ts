import { assertEquals } from "@std/assert";
import { type InterfaceAddress, linksOf, placesOf } from "../../peer/links.ts";

function address(name: string, cidr: string, scopeid: number | null = null): InterfaceAddress {
  const [ip] = cidr.split("/") as [string];
  return { name, address: ip, family: ip.includes(":") ? "IPv6" : "IPv4", cidr, scopeid };
}

const LOOPBACK = [address("lo", "127.0.0.1/8"), address("lo", "::1/128", 0)];
const WIRED = [
  address("eth0", "192.168.1.10/24"),
  address("eth0", "10.0.0.10/8"),
  address("eth0", "2001:db8::10/64", 0),
  address("eth0", "fe80::10/64", 2),
];
const WIRELESS = [address("wlan0", "172.16.0.10/12")];
const LINKS = linksOf([...LOOPBACK, ...WIRED, ...WIRELESS], false);

const told = (host?: string, links = LINKS) =>
  placesOf(links, host).map(({ link, addresses }) => [link.name, ...addresses]);

Deno.test("linksOf() has each interface once, loopback last", () => {
  assertEquals(LINKS.map(({ name, ipv4, zone }) => [name, ipv4, zone]), [
    ["eth0", "192.168.1.10", "eth0"],
    ["wlan0", "172.16.0.10", undefined],
    ["lo", "127.0.0.1", "lo"],
  ]);
  assertEquals(LINKS[0]!.subnets.length, 4);
});

Deno.test("linksOf() knows interfaces by their numbers on Windows", () => {
  const zones = linksOf([...LOOPBACK, ...WIRED], true).map(({ zone }) => zone);
  assertEquals(zones, ["2", undefined]);
});

Deno.test("linksOf() takes 16 interfaces", () => {
  const many = Array.from({ length: 99 }, (_, index) => address(`v${index}`, `10.0.${index}.1/24`));
  assertEquals(linksOf(many).length, 16);
});

Deno.test("placesOf() tells each network the addresses that are its own", () => {
  assertEquals(told(), [["eth0", "192.168.1.10", "10.0.0.10", "2001:db8::10"], [
    "wlan0",
    "172.16.0.10",
  ]]);
  assertEquals(told("::"), told());
  assertEquals(told("0.0.0.0"), [["eth0", "192.168.1.10", "10.0.0.10"], ["wlan0", "172.16.0.10"]]);
});

Deno.test("placesOf() tells of one address only who has that", () => {
  assertEquals(told("172.16.0.10"), [["wlan0", "172.16.0.10"]]);
  assertEquals(told("2001:DB8:0::10"), [["eth0", "2001:db8::10"]]);
  assertEquals(told("127.0.0.1"), [["lo", "127.0.0.1"]]);
  assertEquals(told("192.168.9.9"), []);
});

Deno.test("placesOf() has loopback where there is nothing else", () => {
  assertEquals(told(undefined, linksOf(LOOPBACK)), [["lo", "127.0.0.1", "::1"]]);
});
