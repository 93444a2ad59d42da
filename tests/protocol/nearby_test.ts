import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type Announcement,
  encodeAnnouncement,
  encodeFarewell,
  instanceOf,
} from "../../protocol/announcement.ts";
import { mergePeers, Nearby, type NearbyOptions } from "../../protocol/nearby.ts";
import { parseSubnet } from "../../protocol/subnet.ts";

const SUBNETS = ["192.168.1.10/24", "2001:db8::10/64", "127.0.0.1/8", "fe80::10/64"].map((each) =>
  parseSubnet(each)!
);
const ANNA_AT = "192.168.1.20";
const LIFE_MS = 120_000;

/** An announcement of anna's, but for what is given. */
function announcement(given: Partial<Announcement> & { id?: string; fill?: number } = {}) {
  const { id = "0123456789ab", fill = 7, name = "anna", ...rest } = given;
  const [instance, key] = [instanceOf(name, id), new Uint8Array(32).fill(fill)];
  return { instance, name, key, port: 8080, addresses: [ANNA_AT], ...rest };
}

/** What a machine with two networks has heard. */
class Rig {
  readonly nearby: Nearby;
  now = 0;

  constructor(options?: NearbyOptions) {
    this.nearby = new Nearby(options);
  }

  hear(given: Parameters<typeof announcement>[0] = {}, source = ANNA_AT) {
    return this.take(encodeAnnouncement(announcement(given)), source);
  }

  take(bytes: Uint8Array, source = ANNA_AT) {
    return this.nearby.take(bytes, source, SUBNETS, this.now);
  }

  /** Names and hosts. */
  get peers(): string[] {
    return this.nearby.peers(this.now)
      .map(({ name, addresses }) => `${name} ${addresses.map(({ host }) => host).join(" ")}`);
  }
}

Deno.test("Nearby tells of everybody once, and again of whom there are further addresses", () => {
  const rig = new Rig();
  const { name, key } = announcement();
  const [ipv4, ipv6] = [{ host: ANNA_AT, port: 8080 }, { host: "2001:db8::20", port: 8080 }];
  assertEquals(rig.hear({ addresses: [ipv6.host] }), [{ name, key, addresses: [ipv6] }]);
  assertEquals(rig.hear({ addresses: [ipv6.host] }), []);
  assertEquals(rig.hear(), [{ name, key, addresses: [ipv4, ipv6] }]);
  assertEquals(rig.hear(), []);
  assertEquals(rig.peers, [`anna ${ANNA_AT} 2001:db8::20`]);
});

Deno.test("Nearby forgets who has not been heard for 120 s, and knows who was heard lately", () => {
  const rig = new Rig();
  rig.hear();
  rig.now = LIFE_MS / 2 - 1;
  assertEquals(rig.nearby.fresh(rig.now).length, 1);
  rig.now = LIFE_MS / 2;
  assertEquals(rig.nearby.fresh(rig.now), []);
  rig.now = LIFE_MS - 1;
  assertEquals(rig.peers.length, 1);
  rig.hear();
  rig.now += LIFE_MS - 1;
  assertEquals(rig.peers.length, 1);
  rig.now += 1;
  assertEquals(rig.peers, []);
  assertEquals(rig.hear().length, 1);
});

Deno.test("Nearby: who says farewell is gone, until heard anew", () => {
  const rig = new Rig();
  rig.hear();
  rig.take(encodeFarewell(announcement().instance));
  assertEquals(rig.peers, []);
  assertEquals(rig.nearby.fresh(rig.now), []);
  assertEquals(rig.hear().length, 1);
  assertEquals(rig.peers.length, 1);
});

Deno.test("Nearby tells those apart who announce the same name", () => {
  const rig = new Rig();
  rig.hear();
  rig.hear({ fill: 8, id: "ffffffffffff", addresses: ["192.168.1.66"] }, "192.168.1.66");
  // Even where one of them takes the other's label, too.
  rig.hear({ fill: 9, addresses: ["192.168.1.67"] }, "192.168.1.67");
  assertEquals(rig.peers.length, 3);
});

Deno.test("Nearby hears nobody who is not on one of our networks", () => {
  const rig = new Rig();
  assertEquals(rig.hear({}, "192.168.2.20"), []);
  assertEquals(rig.hear({}, "8.8.8.8"), []);
  assertEquals(rig.hear({}, "2001:db8:0:1::1"), []);
  assertEquals(rig.hear({}, "2001:db8::20").length, 1);
});

for (
  const [what, addresses, source, kept] of [
    ["elsewhere", ["8.8.8.8", "2001:db8:1::1", "192.168.2.1"], ANNA_AT, []],
    ["many", ["224.0.0.1", "255.255.255.255", "ff02::1"], ANNA_AT, []],
    ["a zone of another machine", ["fe80::1"], ANNA_AT, []],
    ["our loopback", ["127.0.0.1", "::1"], ANNA_AT, []],
    ["ourselves", ["192.168.1.10", "2001:db8::10"], ANNA_AT, []],
    ["themselves, and elsewhere", ["8.8.8.8", ANNA_AT], ANNA_AT, [ANNA_AT]],
    ["this machine, from this machine", ["192.168.1.10"], "192.168.1.10", ["192.168.1.10"]],
    ["loopback, from this machine", ["127.0.0.1"], "127.0.0.1", ["127.0.0.1"]],
  ] as const
) {
  Deno.test(`Nearby: of addresses that lead to ${what} it keeps ${kept.length}`, () => {
    const [found] = new Rig().hear({ addresses }, source);
    assertEquals(found?.addresses.map(({ host }) => host) ?? [], [...kept]);
  });
}

Deno.test("Nearby keeps 16 announcements from one address, 256 of all, and says so", () => {
  const rig = new Rig();
  const from = (source: number, index: number) =>
    rig.hear(
      { name: `n${source}-${index}`, id: `${source * 1_000 + index}`.padStart(12, "0") },
      `192.168.1.${source}`,
    );
  for (let index = 0; index < 16; index++) from(20, index);
  assertEquals([rig.peers.length, rig.nearby.full], [16, false]);
  from(20, 16);
  assertEquals([rig.peers.length, rig.nearby.full], [16, true]);
  for (let source = 21; source < 60; source++) {
    for (let index = 0; index < 20; index++) from(source, index);
  }
  assertEquals(rig.peers.length, 256);
  // A farewell frees no place: else names without end would pass through.
  rig.take(encodeFarewell(instanceOf("n20-0", "20000".padStart(12, "0"))));
  assertEquals(from(70, 1), []);
  rig.now = LIFE_MS;
  assertEquals(from(70, 1).length, 1);
});

Deno.test("Nearby that looks for a name is filled by no other one", () => {
  const rig = new Rig({ name: "anna" });
  for (let source = 1; source < 60; source++) {
    for (let index = 0; index < 16; index++) {
      rig.hear(
        { name: `n${index}`, id: `${source * 100 + index}`.padStart(12, "0") },
        `192.168.1.${source}`,
      );
    }
  }
  assertEquals([rig.peers.length, rig.nearby.full], [0, false]);
  assertEquals(rig.hear().length, 1);
});

Deno.test("Nearby that looks for a key has room for it, however many take its name", () => {
  const rig = new Rig({ name: "anna", keys: [new Uint8Array(32).fill(7)] });
  for (let source = 1; source < 60; source++) {
    for (let index = 0; index < 16; index++) {
      const id = `${source * 100 + index}`.padStart(12, "0");
      rig.hear({ fill: 8 + index, id }, `192.168.1.${source}`);
    }
  }
  assertEquals(rig.peers.length, 256);
  assertEquals(rig.hear({}, "192.168.1.1").length, 1);
  assertEquals(rig.peers.length, 256);
});

Deno.test("mergePeers() makes one of all announcements with a name and key", () => {
  const rig = new Rig();
  rig.hear();
  rig.hear({ id: "ffffffffffff", port: 9000 });
  rig.hear({ id: "eeeeeeeeeeee", fill: 8 });
  const merged = mergePeers(rig.nearby.peers(0));
  assertEquals(merged.map(({ addresses }) => addresses.map(({ port }) => port)), [[8080, 9000], [
    8080,
  ]]);
});

Deno.test("Nearby is not troubled by garbage", () => {
  const rig = new Rig();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1_500 }), (bytes) => {
    assertEquals(rig.take(bytes), []);
  }));
  assert(!rig.nearby.full);
});
