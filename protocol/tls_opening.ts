/**
 * What is said before a session goes on inside TLS (README.md, section 14). Whoever asks for it:
 *
 *     offset  size
 *     0       10    p2p/1 tls\n
 *     10      2     48
 *     12      32    proof: HMAC-SHA-256 of the line and the nonce, keyed with the session's id
 *     44      16    nonce
 *
 * and who is asked, if that is one of its sessions:
 *
 *     0       10    p2p/1 tls\n
 *     10      2     length n of what follows, 3 to 2,050
 *     12      2     port at which it is TLS's server, once
 *     14      n-2   its certificate there, DER
 *
 * A session's id is random and only ever sent encrypted: nobody else can make the proof.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { ByteReader, ByteWriter, concatBytes, totalLength } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { FRAME_HEADER_BYTES, writeFrameHeader } from "./framing.ts";
import { MAX_CERTIFICATE_BYTES } from "./limits.ts";
import { TLS_PREFACE } from "./preface.ts";

const PROOF_BYTES = 32;
/** Bytes of what tells a request from those before it. */
export const TLS_NONCE_BYTES = 16;
/** Bytes in the frame behind the preface line of a request. */
export const TLS_REQUEST_BYTES = PROOF_BYTES + TLS_NONCE_BYTES;
const PORT_BYTES = 2;
/** Bytes in the frame behind the preface line of the answer. */
export const MAX_TLS_ANSWER_BYTES = PORT_BYTES + MAX_CERTIFICATE_BYTES;

/** The frame behind the preface line of a request, as it was read. */
export interface TlsRequest {
  proof: Uint8Array;
  nonce: Uint8Array;
}

/** Where TLS is to begin, and with which certificate. */
export interface TlsAnswer {
  port: number;
  /** DER. */
  certificate: Uint8Array;
}

/** Asks for TLS. @param nonce 16 bytes that were never used in this session */
export function encodeTlsRequest(nonce: Uint8Array, sessionId: Uint8Array): Uint8Array {
  return framed(proofOf(nonce, sessionId), nonce);
}

/**
 * Reads the frame behind the preface line, given without its length.
 * @throws {ProtocolError} if it is no request
 */
export function decodeTlsRequest(frame: Uint8Array): TlsRequest {
  if (frame.length !== TLS_REQUEST_BYTES) {
    throw new ProtocolError("Connection not accepted: no proof came before TLS");
  }
  return { proof: frame.slice(0, PROOF_BYTES), nonce: frame.slice(PROOF_BYTES) };
}

/** Whether it comes from the other side of the session with this id. */
export function belongsTo({ proof, nonce }: TlsRequest, sessionId: Uint8Array): boolean {
  return timingSafeEqual(proof, proofOf(nonce, sessionId));
}

/** Says where TLS begins. */
export function encodeTlsAnswer({ port, certificate }: TlsAnswer): Uint8Array {
  return framed(new ByteWriter(PORT_BYTES).u16(port).finish(), certificate);
}

/**
 * Reads the frame behind the preface line, given without its length.
 * @throws {ProtocolError} if it is no answer
 */
export function decodeTlsAnswer(frame: Uint8Array): TlsAnswer {
  const reader = new ByteReader(frame);
  const port = reader.u16();
  if (port === 0 || reader.remaining === 0) {
    throw new ProtocolError("TLS not begun: the other side named no port, or no certificate");
  }
  return { port, certificate: reader.bytes(reader.remaining).slice() };
}

function framed(...parts: Uint8Array[]): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  writeFrameHeader(header, 0, totalLength(parts));
  return concatBytes(TLS_PREFACE, header, ...parts);
}

function proofOf(nonce: Uint8Array, sessionId: Uint8Array): Uint8Array {
  return createHmac("sha256", sessionId).update(TLS_PREFACE).update(nonce).digest();
}
