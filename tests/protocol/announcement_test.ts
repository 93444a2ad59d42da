import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  type Announcement,
  asksFor,
  encodeAnnouncement,
  encodeFarewell,
  encodeQuery,
  instanceOf,
  readAnnouncements,
} from "../../protocol/announcement.ts";
import { decodeDns, DnsType, encodeDns } from "../../protocol/dns.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { checkName } from "../../protocol/name.ts";

const fromHex = (hex: string) => Uint8Array.fromHex(hex.replaceAll(/\s/g, ""));

const ID = "0123456789ab";
const ANNA: Announcement = {
  instance: instanceOf("anna", ID),
  name: "anna",
  key: new Uint8Array(32).fill(7),
  port: 8080,
  addresses: ["192.168.1.20", "2001:db8::20"],
};
const SERVICE = ["_p2p-session", "_tcp", "local"];

const SERVICE_HEX = "0c 5f7032702d73657373696f6e  04 5f746370  05 6c6f63616c 00";
const INSTANCE_HEX = "11 616e6e6120303132333435363738396162 c00c";

const ANNOUNCEMENT_HEX = `
  0000 8400 0000 0006 0000 0000
  ${SERVICE_HEX}                000c 0001 00000078 0014  ${INSTANCE_HEX}
  c02f                          0021 8001 00000078 0019  0000 0000 1f90
                                                         10 7032702d303132333435363738396162 c01e
  c02f                          0010 8001 00000078 0045  09 747874766572733d31
                                                         09 6e616d653d616e6e61
                                                         30 6b65793d
    427763484277634842776348427763484277634842776348427763484277634842776348427763484277633d
  c055                          0001 8001 00000078 0004  c0a80114
  c055                          001c 8001 00000078 0010  20010db8000000000000000000000020
  09 5f7365727669636573 07 5f646e732d7364 04 5f756470 c01e
                                000c 0001 00000078 0002  c00c`;

Deno.test("an announcement, written and read", () => {
  assertEquals(encodeAnnouncement(ANNA).toHex(), fromHex(ANNOUNCEMENT_HEX).toHex());
  const heard = readAnnouncements(fromHex(ANNOUNCEMENT_HEX));
  assertEquals(heard, { announcements: [ANNA], gone: [] });
});

Deno.test("a farewell, written and read", () => {
  const hex =
    `0000 8400 0000 0001 0000 0000 ${SERVICE_HEX} 000c 0001 00000000 0014 ${INSTANCE_HEX}`;
  assertEquals(encodeFarewell(ANNA.instance).toHex(), fromHex(hex).toHex());
  assertEquals(readAnnouncements(fromHex(hex)), { announcements: [], gone: [ANNA.instance] });
});

Deno.test("a query, written and read", () => {
  const hex = `0000 0000 0001 0000 0000 0000 ${SERVICE_HEX} 000c 0001`;
  assertEquals(encodeQuery([]).toHex(), fromHex(hex).toHex());
  assert(asksFor(ANNA.instance, decodeDns(fromHex(hex))));
  // A query tells nothing, whatever stands in it.
  const asked = encodeAnnouncement(ANNA);
  asked.fill(0, 2, 4);
  assertEquals(readAnnouncements(asked), { announcements: [], gone: [] });
});

Deno.test("a query that knows an announcement names it, and is not for it", () => {
  const hex = `0000 0000 0001 0001 0000 0000 ${SERVICE_HEX} 000c 0001
    c00c 000c 0001 00000078 0014 ${INSTANCE_HEX}`;
  assertEquals(encodeQuery([ANNA.instance]).toHex(), fromHex(hex).toHex());
  assert(!asksFor(ANNA.instance, decodeDns(fromHex(hex))));
  assert(asksFor(instanceOf("anna", "ffffffffffff"), decodeDns(fromHex(hex))));
  const old = fromHex(hex.replace("00000078", "0000003c"));
  assert(asksFor(ANNA.instance, decodeDns(old)), "half of its life is over");
});

Deno.test("whatever is sent has at most 1,200 bytes", () => {
  const name = "é".repeat(32);
  const addresses = Array.from({ length: 99 }, (_, index) => `2001:db8::${index}`);
  const largest = encodeAnnouncement({ ...ANNA, name, instance: instanceOf(name, ID), addresses });
  assert(largest.length <= 1_200, String(largest.length));
  assertEquals(readAnnouncements(largest).announcements[0]!.addresses.length, 8);
  const known = Array.from({ length: 99 }, (_, index) => `${index}`.padStart(63, "x"));
  assert(encodeQuery(known).length <= 1_200, String(encodeQuery(known).length));
});

Deno.test("instanceOf() fits into a label, and cuts no letter apart", () => {
  assertEquals(instanceOf("anna", ID), `anna ${ID}`);
  assertEquals(instanceOf("é".repeat(32), ID), `${"é".repeat(25)} ${ID}`);
  assertEquals(instanceOf(`${"x".repeat(49)} y`, ID), `${"x".repeat(49)} ${ID}`);
});

Deno.test("asksFor() is true of every name that the announcement has, and its types", () => {
  const asks = (name: string[], type: number) =>
    asksFor(ANNA.instance, { answer: false, questions: [{ name, type }], records: [] });
  assert(asks(["_P2P-Session", "_TCP", "LOCAL"], DnsType.ptr));
  assert(asks(SERVICE, DnsType.any));
  assert(asks(["_services", "_dns-sd", "_udp", "local"], DnsType.ptr));
  assert(asks([ANNA.instance, ...SERVICE], DnsType.srv));
  assert(asks([ANNA.instance, ...SERVICE], DnsType.txt));
  assert(asks([`p2p-${ID}`, "local"], DnsType.a));
  assert(asks([`p2p-${ID}`, "local"], DnsType.aaaa));
  assert(!asks(SERVICE, DnsType.srv));
  assert(!asks(["_ipp", "_tcp", "local"], DnsType.ptr));
  assert(!asks(["p2p-ffffffffffff", "local"], DnsType.a));
});

/** Anna's announcement with something else in it. */
function altered(change: (texts: string[]) => string[], port = 8080): Uint8Array {
  const message = decodeDns(encodeAnnouncement(ANNA));
  const records = message.records.map((record) => {
    if (record.type === DnsType.txt) return { ...record, texts: change([...record.texts]) };
    return record.type === DnsType.srv ? { ...record, port } : record;
  });
  return encodeDns({ ...message, records });
}

Deno.test("readAnnouncements() takes texts in any order, and whatever else stands there", () => {
  const bytes = altered((
    [version, name, key],
  ) => ["", key!.replace("key", "KEY"), "x=1", name!, version!]);
  assertEquals(readAnnouncements(bytes).announcements, [ANNA]);
});

for (
  const [what, bytes] of [
    ["no key", altered((texts) => texts.slice(0, 2))],
    ["a key of 31 bytes", altered(([a, b]) => [a!, b!, `key=${new Uint8Array(31).toBase64()}`])],
    ["no name", altered((texts) => texts.filter((text) => !text.startsWith("name")))],
    ["a name that drives the terminal", altered(([a, , c]) => [a!, "name=a\x1b[2J", c!])],
    ["a name like an address", altered(([a, , c]) => [a!, "name=1.2.3.4:80", c!])],
    ["port 0", altered((texts) => texts, 0)],
    [
      "its first record only",
      encodeDns({
        ...decodeDns(encodeAnnouncement(ANNA)),
        records: decodeDns(encodeAnnouncement(ANNA)).records.slice(0, 1),
      }),
    ],
  ] as const
) {
  Deno.test(`readAnnouncements() passes over an announcement with ${what}`, () => {
    assertEquals(readAnnouncements(bytes), { announcements: [], gone: [] });
  });
}

Deno.test("readAnnouncements() takes a name in NFC", () => {
  const bytes = altered(([a, , c]) => [a!, "name=e\u0301", c!]);
  assertEquals(readAnnouncements(bytes).announcements[0]!.name, "\u00e9");
});

Deno.test("readAnnouncements() of altered bytes: good names and keys, or a ProtocolError", () => {
  const good = encodeAnnouncement(ANNA);
  const changes = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(changes, (each) => {
      const bytes = good.slice();
      for (const [at, byte] of each) bytes[at] = byte;
      try {
        for (const { name, key, port, addresses } of readAnnouncements(bytes).announcements) {
          assertEquals(checkName(name).name, name);
          assert(key.length === 32 && port > 0 && addresses.length <= 8);
        }
      } catch (error) {
        assert(error instanceof ProtocolError, String(error));
      }
    }),
    { numRuns: 3_000 },
  );
  assertThrows(() => readAnnouncements(good.subarray(0, 50)), ProtocolError);
});
