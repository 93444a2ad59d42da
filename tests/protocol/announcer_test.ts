import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { encodeAnnouncement, encodeQuery, instanceOf } from "../../protocol/announcement.ts";
import { Announcer } from "../../protocol/announcer.ts";

const INSTANCE = instanceOf("anna", "0123456789ab");
const QUERY = encodeQuery([]);

/** Polls as its driver does, until nothing is due; tells when it was to be sent. */
function sendings(announcer: Announcer, until = Infinity): number[] {
  const times: number[] = [];
  while (announcer.nextAt <= until && announcer.nextAt < Infinity) {
    const now = announcer.nextAt;
    if (announcer.poll(now)) times.push(now);
  }
  return times;
}

Deno.test("Announcer says what is new at once, again a second later, and then nothing", () => {
  const announcer = new Announcer(INSTANCE, () => 0.5);
  assertEquals(announcer.nextAt, Infinity);
  announcer.changed(5_000);
  assertEquals(announcer.poll(4_999), false);
  assertEquals(sendings(announcer), [5_000, 6_000]);
  assertEquals(announcer.nextAt, Infinity);
});

for (const [random, delay] of [[0, 20], [0.5, 70], [0.999, 119.9]] as const) {
  Deno.test(`Announcer answers ${delay} ms after a query, if chance says ${random}`, () => {
    const announcer = new Announcer(INSTANCE, () => random);
    announcer.receive(QUERY, 5_000);
    assertEquals(sendings(announcer), [5_000 + delay]);
  });
}

Deno.test("Announcer answers once a second at most, however many ask", () => {
  const announcer = new Announcer(INSTANCE, () => 0);
  const sent: number[] = [];
  for (let now = 0; now < 10_000; now++) {
    announcer.receive(QUERY, now);
    if (announcer.poll(now)) sent.push(now);
  }
  assertEquals(sent, [20, 1_020, 2_020, 3_020, 4_020, 5_020, 6_020, 7_020, 8_020, 9_020]);
});

Deno.test("Announcer does not answer who knows it, who asks for others, or what is no query", () => {
  const announcer = new Announcer(INSTANCE, () => 0);
  const announcement = encodeAnnouncement({
    instance: INSTANCE,
    name: "anna",
    key: new Uint8Array(32),
    port: 1,
    addresses: ["10.0.0.1"],
  });
  const other = QUERY.slice();
  other[13]! ^= 1;
  for (
    const bytes of [
      encodeQuery([INSTANCE]),
      announcement,
      other,
      new Uint8Array(),
      QUERY.slice(0, 30),
    ]
  ) announcer.receive(bytes, 0);
  assertEquals(announcer.nextAt, Infinity);
});

Deno.test("Announcer: what is new does not wait for those who ask, but for its second", () => {
  const announcer = new Announcer(INSTANCE, () => 0.5);
  announcer.receive(QUERY, 0);
  announcer.changed(10);
  assertEquals(sendings(announcer), [10, 1_010]);
  announcer.changed(1_500);
  assertEquals(sendings(announcer), [2_010, 3_010]);
});

Deno.test("Announcer reads nothing while an answer is due anyway", () => {
  let read = 0;
  const announcer = new Announcer(INSTANCE, () => read++ && 0);
  for (let index = 0; index < 10_000; index++) announcer.receive(QUERY, 0);
  assertEquals(read, 1);
});

Deno.test("Announcer is not troubled by garbage", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1_500 }), (bytes) => {
    const announcer = new Announcer(INSTANCE, () => 0);
    announcer.receive(bytes, 0);
    assert(announcer.nextAt === Infinity || announcer.nextAt === 20);
  }));
});
