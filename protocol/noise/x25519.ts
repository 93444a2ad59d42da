/** X25519 (RFC 7748) with raw 32-byte keys; node:crypto itself takes them only inside of DER. */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, diffieHellman, randomBytes } from "node:crypto";
import { concatBytes } from "../bytes.ts";
import { ProtocolError } from "../errors.ts";

/** Bytes in a private key, a public key and a shared secret alike. */
export const KEY_BYTES = 32;

/** A key of this side: 32 bytes each. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly privateKey: Uint8Array;
}

// What RFC 8410 puts before the raw key: the algorithm, and that 32 bytes follow.
const pkcs8Prefix = Uint8Array.fromHex("302e020100300506032b656e04220420");
const spkiPrefix = Uint8Array.fromHex("302a300506032b656e032100");

/** A new random key pair. */
export function generateKeyPair(): KeyPair {
  return keyPairOf(Uint8Array.from(randomBytes(KEY_BYTES)));
}

/** The key pair of a private key: 32 bytes, of any value. They are kept, not copied. */
export function keyPairOf(privateKey: Uint8Array): KeyPair {
  const spki = createPublicKey(privateKeyObject(privateKey)).export({
    format: "der",
    type: "spki",
  });
  return { publicKey: Uint8Array.from(spki.subarray(spkiPrefix.length)), privateKey };
}

/**
 * The 32-byte secret that both sides compute.
 * @throws {ProtocolError} if the public key is of low order, so that anybody could know the secret
 */
export function sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const secret = computeSecret(privateKey, publicKey);
  // Checked here too, because that the runtime refuses it is not documented.
  if (secret.reduce((bits, byte) => bits | byte, 0) === 0) throw lowOrderError();
  return secret;
}

function computeSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const keys = {
    privateKey: privateKeyObject(privateKey),
    publicKey: publicKeyObject(publicKey),
  };
  try {
    return diffieHellman(keys);
  } catch (cause) {
    // Deno refuses an all-zero secret by itself; once both keys were taken there is no other
    // reason.
    throw lowOrderError(cause);
  }
}

function lowOrderError(cause?: unknown): ProtocolError {
  return new ProtocolError("Handshake not possible: the other side sent a key of low order", {
    cause,
  });
}

function privateKeyObject(raw: Uint8Array) {
  const der = concatBytes(pkcs8Prefix, checkLength(raw));
  try {
    return createPrivateKey({ key: Buffer.from(der.buffer), format: "der", type: "pkcs8" });
  } finally {
    der.fill(0);
  }
}

function publicKeyObject(raw: Uint8Array) {
  const der = concatBytes(spkiPrefix, checkLength(raw));
  return createPublicKey({ key: Buffer.from(der.buffer), format: "der", type: "spki" });
}

function checkLength(raw: Uint8Array): Uint8Array {
  if (raw.length === KEY_BYTES) return raw;
  throw new RangeError(`Key not usable: it has ${raw.length} bytes, not ${KEY_BYTES}`);
}
