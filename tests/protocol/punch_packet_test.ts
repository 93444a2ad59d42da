import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { PUNCH_PACKET_BYTES, PunchCodec, type PunchPacket } from "../../protocol/punch_packet.ts";

const SECRET = Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f");
const NONCE = Uint8Array.fromHex("a0a1a2a3a4a5a6a7");
const asker = new PunchCodec(SECRET, "asker");
const target = new PunchCodec(SECRET, "target");

/** Computed from section 12 of the specification with another implementation of HMAC and SHA-256. */
const TABLE: [type: PunchPacket["type"], from: PunchCodec, to: PunchCodec, hex: string][] = [
  ["probe", asker, target, "1100be45cb2605bf36bea0a1a2a3a4a5a6a7a1fee6de62fa9405012d685c761f95a8"],
  ["answer", asker, target, "1200be45cb2605bf36bea0a1a2a3a4a5a6a7bba25849ec3e3ac8644f21c8e783de8c"],
  [
    "nominate",
    asker,
    target,
    "1300be45cb2605bf36bea0a1a2a3a4a5a6a723ba031742fa24e150e2164dfaf8055b",
  ],
  ["probe", target, asker, "1101be45cb2605bf36bea0a1a2a3a4a5a6a79b82d5136390f289da7bcb31b472e0d7"],
  ["answer", target, asker, "1201be45cb2605bf36bea0a1a2a3a4a5a6a7038a57898bfb5ca50da158be97838755"],
  [
    "nominate",
    target,
    asker,
    "1301be45cb2605bf36bea0a1a2a3a4a5a6a7fcc7839a46e4824d3c9260640405dfc7",
  ],
];

for (const [index, [type, from, to, hex]] of TABLE.entries()) {
  const sender = index < 3 ? "an asker" : "a target";
  Deno.test(`PunchCodec writes and reads ${type} of ${sender} as specified`, () => {
    assertEquals(from[type](NONCE).toHex(), hex);
    assertEquals(to.decode(Uint8Array.fromHex(hex)), { type, nonce: NONCE });
  });

  Deno.test(`PunchCodec refuses ${type} of ${sender} with any bit flipped`, () => {
    for (let bit = 0; bit < 8 * PUNCH_PACKET_BYTES; bit++) {
      const altered = Uint8Array.fromHex(hex);
      altered[bit >> 3]! ^= 1 << (bit & 7);
      assertEquals(to.decode(altered), undefined, `bit ${bit}`);
    }
  });

  Deno.test(`PunchCodec refuses ${type} of ${sender} where it was sent`, () => {
    assertEquals(from.decode(Uint8Array.fromHex(hex)), undefined);
  });

  Deno.test(`PunchCodec refuses ${type} of ${sender} shorter or longer`, () => {
    const bytes = Uint8Array.fromHex(hex);
    for (let length = 0; length < bytes.length; length++) {
      assertEquals(to.decode(bytes.subarray(0, length)), undefined);
    }
    assertEquals(to.decode(Uint8Array.fromHex(`${hex}00`)), undefined);
  });

  Deno.test(`PunchCodec refuses ${type} of ${sender} in another introduction`, () => {
    const other = new PunchCodec(new Uint8Array(16), to === target ? "target" : "asker");
    assertEquals(other.decode(Uint8Array.fromHex(hex)), undefined);
  });
}

Deno.test("PunchCodec refuses whatever else there is", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
    assertEquals(target.decode(bytes), undefined);
  }));
});

Deno.test("PunchCodec keeps its own copy of the secret, and gives away its own of the nonce", () => {
  const secret = SECRET.slice();
  const codec = new PunchCodec(secret, "target");
  secret.fill(0);
  const bytes = asker.probe(NONCE);
  const { nonce } = codec.decode(bytes)!;
  bytes.fill(0);
  assertEquals(nonce, NONCE);
});
