/**
 * Ed25519 (RFC 8032): how the lines of a chat are signed (README.md, section 8). node:crypto takes
 * its keys, as those of X25519, only inside of DER.
 */
import { Buffer } from "node:buffer";
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { concatBytes, encodeText } from "./bytes.ts";
import { KEY_BYTES, type KeyPair } from "./noise.ts";

/** Bytes of a signature. */
export const SIGNATURE_BYTES = 64;

/** What a seed is derived with. */
const SEED_INFO = encodeText("p2p line signing");
/** Public keys that are kept as the runtime wants them: making one costs a fifth of a check. */
const MAX_KEYS = 256;

// What RFC 8410 puts before the raw key: the algorithm, and that 32 bytes follow.
const PKCS8_PREFIX = Uint8Array.fromHex("302e020100300506032b657004220420");
const SPKI_PREFIX = Uint8Array.fromHex("302a300506032b6570032100");

/**
 * The points of order 1, 2, 4 and 8, each with all its encodings, without the bit that tells the
 * sign. With one of them as the key a signature fits many texts, and nobody needs a secret for it.
 */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
]);

/** Signs what somebody says. */
export class LineSigner {
  /** What others check it with: 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly #privateKey: KeyObject;

  /** @param seed 32 bytes, of any value: what RFC 8032 calls the private key */
  constructor(seed: Uint8Array) {
    const der = concatBytes(PKCS8_PREFIX, seed);
    this.#privateKey = createPrivateKey({
      key: Buffer.from(der.buffer),
      format: "der",
      type: "pkcs8",
    });
    der.fill(0);
    const spki = createPublicKey(this.#privateKey).export({ format: "der", type: "spki" });
    this.publicKey = Uint8Array.from(spki.subarray(SPKI_PREFIX.length));
  }

  /** The signature of the bytes: 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array {
    return Uint8Array.from(sign(null, bytes, this.#privateKey));
  }
}

/** What an identity signs its lines with: the same whenever it is asked for. */
export function signingKeyOf(identity: KeyPair): LineSigner {
  const seed = createHmac("sha256", identity.privateKey).update(SEED_INFO).digest();
  try {
    return new LineSigner(seed);
  } finally {
    seed.fill(0);
  }
}

/**
 * Whether whoever has the private key to this public one signed the bytes. False, too, for what is
 * no signature, no key, or a key of small order.
 */
export function verifyLine(
  bytes: Uint8Array,
  signature: Uint8Array,
  publicKey: Uint8Array,
): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const key = keyObjectOf(publicKey);
  try {
    return key !== undefined && verify(null, bytes, key, signature);
  } catch {
    // The runtime says so of a key that is no point of the curve.
    return false;
  }
}

/** Those that were used last, the latest at the end. */
const keyObjects = new Map<string, KeyObject>();

/** Undefined for what is no key. */
function keyObjectOf(publicKey: Uint8Array): KeyObject | undefined {
  const name = publicKey.toHex();
  const key = keyObjects.get(name) ?? makeKeyObject(publicKey);
  if (key === undefined) return undefined;
  keyObjects.delete(name);
  keyObjects.set(name, key);
  if (keyObjects.size > MAX_KEYS) keyObjects.delete(keyObjects.keys().next().value!);
  return key;
}

function makeKeyObject(publicKey: Uint8Array): KeyObject | undefined {
  if (publicKey.length !== KEY_BYTES || isSmallOrder(publicKey)) return undefined;
  const der = concatBytes(SPKI_PREFIX, publicKey);
  try {
    return createPublicKey({ key: Buffer.from(der.buffer), format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}

function isSmallOrder(publicKey: Uint8Array): boolean {
  const y = Uint8Array.from(publicKey);
  y[KEY_BYTES - 1]! &= 0x7f;
  return SMALL_ORDER.has(y.toHex());
}
