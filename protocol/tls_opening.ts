/**
 * What whoever dials for TLS says first: that it belongs to one of the listener's sessions, and with
 * which certificate it is about to be TLS's server.
 *
 *     offset  size
 *     0       10    p2p/1 tls\n
 *     10      2     length n of what follows, 33 to 2,080
 *     12      32    proof: HMAC-SHA-256 of the line and the certificate, keyed with the session's id
 *     44      n-32  certificate, DER
 *
 * A session's id is random and only ever sent encrypted: nobody else can make the proof.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { concatBytes } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { FRAME_HEADER_BYTES, writeFrameHeader } from "./framing.ts";
import { MAX_CERTIFICATE_BYTES } from "./limits.ts";
import { TLS_PREFACE } from "./preface.ts";

const PROOF_BYTES = 32;
/** Bytes in the frame behind the preface line. */
export const MAX_TLS_OPENING_BYTES = PROOF_BYTES + MAX_CERTIFICATE_BYTES;

/** The frame behind the preface line, as it was read. */
export interface TlsOpening {
  proof: Uint8Array;
  certificate: Uint8Array;
}

/** All that is said before TLS begins. */
export function encodeTlsOpening(certificate: Uint8Array, sessionId: Uint8Array): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  writeFrameHeader(header, 0, PROOF_BYTES + certificate.length);
  return concatBytes(TLS_PREFACE, header, proofOf(certificate, sessionId), certificate);
}

/**
 * Reads the frame behind the preface line, given without its length.
 * @throws {ProtocolError} if there is no certificate in it
 */
export function decodeTlsOpening(frame: Uint8Array): TlsOpening {
  if (frame.length <= PROOF_BYTES) {
    throw new ProtocolError("Connection not accepted: no certificate came before TLS");
  }
  return { proof: frame.slice(0, PROOF_BYTES), certificate: frame.slice(PROOF_BYTES) };
}

/** Whether it comes from the other side of the session with this id. */
export function belongsTo({ proof, certificate }: TlsOpening, sessionId: Uint8Array): boolean {
  return timingSafeEqual(proof, proofOf(certificate, sessionId));
}

function proofOf(certificate: Uint8Array, sessionId: Uint8Array): Uint8Array {
  return createHmac("sha256", sessionId).update(TLS_PREFACE).update(certificate).digest();
}
