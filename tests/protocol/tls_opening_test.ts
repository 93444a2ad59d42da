import { assert, assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../protocol/errors.ts";
import {
  belongsTo,
  decodeTlsAnswer,
  decodeTlsRequest,
  encodeTlsAnswer,
  encodeTlsRequest,
} from "../../protocol/tls_opening.ts";

const LINE = "7032702f3120746c730a";
const nonce = Uint8Array.fromHex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
const sessionId = Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f");
/** The proof as OpenSSL makes it: `openssl dgst -sha256 -mac hmac -macopt hexkey:0001…`. */
const PROOF = "30411b6237adcc0b60c55df11fd471766bbdb30632b07a1193d03a0ae2d80b29";

Deno.test("encodeTlsRequest() writes line, length, proof and nonce as specified", () => {
  assertEquals(
    encodeTlsRequest(nonce, sessionId).toHex(),
    `${LINE}0030${PROOF}${nonce.toHex()}`,
  );
});

Deno.test("decodeTlsRequest() and belongsTo() take what encodeTlsRequest() makes, and nothing that differs", () => {
  const frame = encodeTlsRequest(nonce, sessionId).subarray(12);
  const request = decodeTlsRequest(frame);
  assertEquals([request.proof.toHex(), request.nonce], [PROOF, nonce]);
  assert(belongsTo(request, sessionId));
  assert(!belongsTo(request, new Uint8Array(16)));
  for (let at = 0; at < frame.length; at++) {
    const altered = frame.slice();
    altered[at]! ^= 1;
    assert(!belongsTo(decodeTlsRequest(altered), sessionId), `byte ${at}`);
  }
});

Deno.test("decodeTlsRequest() refuses a frame that is shorter or longer", () => {
  for (const length of [0, 32, 47, 49]) {
    assertThrows(() => decodeTlsRequest(new Uint8Array(length)), ProtocolError);
  }
});

Deno.test("encodeTlsAnswer() and decodeTlsAnswer() have line, length, port and certificate as specified", () => {
  const answer = { port: 0x1234, certificate: Uint8Array.fromHex("3003020107") };
  const bytes = encodeTlsAnswer(answer);
  assertEquals(bytes.toHex(), `${LINE}000712343003020107`);
  assertEquals(decodeTlsAnswer(bytes.subarray(12)), answer);
});

Deno.test("decodeTlsAnswer() refuses a frame without a port or a certificate", () => {
  for (const frame of ["", "12", "1234", "000030"]) {
    assertThrows(() => decodeTlsAnswer(Uint8Array.fromHex(frame)), ProtocolError);
  }
});
