import { createCipheriv, createDecipheriv } from "node:crypto";
import { freeBytes, placeBytes, totalLength } from "../bytes.ts";
import { ProtocolError } from "../errors.ts";
import { MAX_FRAME_BYTES, MAX_RECORD_BYTES, TAG_BYTES } from "../limits.ts";
import type { RecordCipher } from "../record_cipher.ts";

const algorithm = "chacha20-poly1305";
const cipherOptions = { authTagLength: TAG_BYTES };
/** So few are joined where they are sealed: a call for each part would cost more than a copy. */
const JOIN_BYTES = 1_024;
const lastU32 = 0xffff_ffff;
/**
 * Four zero bytes, then the counter, little-endian (section 12.3). One for all: it is used up at
 * once, and thousands of idle sessions need none of their own.
 */
const nonce = new Uint8Array(12);
const nonceView = new DataView(nonce.buffer);

/**
 * ChaCha20-Poly1305 with a key and a counter: Noise's CipherState (revision 34, section 5.1). One
 * direction of a session has one of its own. It seals or opens, never both.
 *
 * After `clear`, and after one record that was not authentic, it refuses to work.
 */
export class CipherState implements RecordCipher {
  readonly #key: Uint8Array;
  // The counter's halves: a bigint would allocate for every record.
  #low: number;
  #high: number;
  #cleared = false;

  /**
   * @param key 32 bytes, copied
   * @param counter of the first record; 0 but in tests
   */
  constructor(key: Uint8Array, counter = 0n) {
    this.#key = Uint8Array.from(key);
    this.#low = Number(counter & 0xffff_ffffn);
    this.#high = Number(counter >> 32n);
  }

  /**
   * Encrypts the parts as one record, without joining them first, and places ciphertext and tag
   * into `into` from `offset` on. The parts must not lie within `into`.
   * @param parts together at most 65,519 bytes
   * @param ad what is authenticated but not sent; transport records have none
   * @returns how many bytes were placed: those of the parts and 16
   * @throws {RangeError} if the parts are too long for a record, or `into` for them too short
   * @throws {ProtocolError} after 2^64 - 1 records
   */
  seal(parts: readonly Uint8Array[], into: Uint8Array, offset: number, ad?: Uint8Array): number {
    const end = offset + checkParts(parts, into.length - offset);
    const cipher = createCipheriv(algorithm, this.#key, this.#nextNonce(), cipherOptions);
    if (ad !== undefined) cipher.setAAD(ad, { plaintextLength: end - offset });
    let at = offset;
    for (const part of end - offset > JOIN_BYTES ? parts : [joinInto(into, offset, parts)]) {
      if (part.length === 0) continue;
      const sealed = cipher.update(part);
      into.set(sealed, at);
      freeBytes(sealed);
      at += part.length;
    }
    cipher.final();
    into.set(cipher.getAuthTag(), at);
    return end + TAG_BYTES - offset;
  }

  /**
   * The plaintext of one record: fresh, the caller's, the only view of its buffer.
   * @param record 16 to 65,535 bytes
   * @param ad as it was sealed
   * @throws {ProtocolError} if the record is not the next one that the other side sealed
   */
  open(record: Uint8Array, ad?: Uint8Array): Uint8Array {
    if (record.length < TAG_BYTES) throw this.#notAuthentic("it is too short");
    if (record.length > MAX_FRAME_BYTES) throw this.#notAuthentic("it is too long");
    const textLength = record.length - TAG_BYTES;
    const decipher = createDecipheriv(algorithm, this.#key, this.#nextNonce(), cipherOptions);
    decipher.setAuthTag(record.subarray(textLength));
    if (ad !== undefined) decipher.setAAD(ad, { plaintextLength: textLength });
    const plaintext = decipher.update(record.subarray(0, textLength));
    try {
      decipher.final();
    } catch (cause) {
      throw this.#notAuthentic("it was altered, repeated or moved on the way", cause);
    }
    // Not the Buffer itself, whose slice() does not copy as that of other arrays does.
    return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length);
  }

  get overhead(): number {
    return TAG_BYTES;
  }

  /** Forgets the key, for good. Idempotent. */
  clear(): void {
    this.#cleared = true;
    this.#key.fill(0);
  }

  /** The nonce of the next record; counts on at once, so that none is ever used twice. */
  #nextNonce(): Uint8Array {
    if (this.#cleared) throw new ProtocolError("Cipher not usable: it was closed");
    if (this.#low === lastU32 && this.#high === lastU32) throw exhaustedError();
    nonceView.setUint32(4, this.#low, true);
    nonceView.setUint32(8, this.#high, true);
    if (this.#low === lastU32) {
      this.#low = 0;
      this.#high++;
    } else {
      this.#low++;
    }
    return nonce;
  }

  #notAuthentic(reason: string, cause?: unknown): ProtocolError {
    this.clear();
    return new ProtocolError(`Record not authentic: ${reason}`, { cause });
  }
}

function joinInto(into: Uint8Array, offset: number, parts: readonly Uint8Array[]): Uint8Array {
  return into.subarray(offset, placeBytes(parts, into, offset));
}

/** How many bytes the parts have together, after a check that they fit. */
function checkParts(parts: readonly Uint8Array[], room: number): number {
  const length = totalLength(parts);
  if (length > MAX_RECORD_BYTES) {
    throw new RangeError(`Record not sealed: ${length} bytes are more than ${MAX_RECORD_BYTES}`);
  }
  if (length + TAG_BYTES > room) {
    throw new RangeError(`Record not sealed: ${room} bytes of room for ${length + TAG_BYTES}`);
  }
  return length;
}

function exhaustedError(): ProtocolError {
  // Noise reserves the counter 2^64 - 1.
  return new ProtocolError("Cipher not usable: its key has served for all the records it may", {
    hint: "Connect again: every connection has new keys",
  });
}
