import { assert, assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../protocol/errors.ts";
import { belongsTo, decodeTlsOpening, encodeTlsOpening } from "../../protocol/tls_opening.ts";

const certificate = Uint8Array.fromHex("3003020107");
const sessionId = Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f");
/** The proof as OpenSSL makes it: `openssl dgst -sha256 -mac hmac -macopt hexkey:0001…`. */
const PROOF = "ac114ce8b4e6fb24064a79e06ad78fde4e6ddb684f144103315f2f97a1992510";

Deno.test("encodeTlsOpening() writes line, length, proof and certificate as specified", () => {
  const line = "7032702f3120746c730a";
  assertEquals(
    encodeTlsOpening(certificate, sessionId).toHex(),
    `${line}0025${PROOF}3003020107`,
  );
});

Deno.test("decodeTlsOpening() and belongsTo() take what encodeTlsOpening() makes, and nothing that differs", () => {
  const frame = encodeTlsOpening(certificate, sessionId).subarray(12);
  const opening = decodeTlsOpening(frame);
  assertEquals([opening.proof.toHex(), opening.certificate], [PROOF, certificate]);
  assert(belongsTo(opening, sessionId));
  assert(!belongsTo(opening, new Uint8Array(16)));
  for (let at = 0; at < frame.length; at++) {
    const altered = frame.slice();
    altered[at]! ^= 1;
    assert(!belongsTo(decodeTlsOpening(altered), sessionId), `byte ${at}`);
  }
});

Deno.test("decodeTlsOpening() refuses a frame in which there is no certificate", () => {
  for (const length of [0, 31, 32]) {
    assertThrows(() => decodeTlsOpening(new Uint8Array(length)), ProtocolError);
  }
});
