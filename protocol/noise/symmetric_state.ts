import { createHash, hkdfSync } from "node:crypto";
import { concatBytes, encodeText } from "../bytes.ts";
import { ProtocolError } from "../errors.ts";
import { TAG_BYTES } from "../limits.ts";
import { CipherState } from "./cipher_state.ts";

/** Bytes in a SHA-256 hash, and so in the chaining key. */
const HASH_BYTES = 32;
const nothing = new Uint8Array(0);

/**
 * What both sides have agreed on so far, as a hash of all that was said and a key that all secrets
 * went into: Noise's SymmetricState (revision 34, section 5.2) with SHA-256.
 */
export class SymmetricState {
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  #cipher: CipherState | undefined;

  /** @param protocolName for instance "Noise_XX_25519_ChaChaPoly_SHA256" */
  constructor(protocolName: string) {
    const name = encodeText(protocolName);
    this.#hash = name.length <= HASH_BYTES ? padded(name) : sha256(name);
    this.#chainingKey = Uint8Array.from(this.#hash);
  }

  /** The hash of all that was said, fresh. After the last message it names the session. */
  get handshakeHash(): Uint8Array {
    return Uint8Array.from(this.#hash);
  }

  /** Takes in what both sides know: the hash changes, the key does not. */
  mixHash(data: Uint8Array): void {
    this.#hash = sha256(this.#hash, data);
  }

  /** Takes in a secret: what is sealed from here on can be read only by who knows it. */
  mixKey(secret: Uint8Array): void {
    const [chainingKey, key] = hkdf(this.#chainingKey, secret, 2);
    this.#replaceChainingKey(chainingKey);
    this.#replaceCipher(key);
  }

  /** Takes in a secret that the hash shall depend on as well: a pre-shared key. */
  mixKeyAndHash(secret: Uint8Array): void {
    const [chainingKey, hash, key] = hkdf(this.#chainingKey, secret, 3);
    this.#replaceChainingKey(chainingKey);
    this.mixHash(hash);
    this.#replaceCipher(key);
  }

  /** Bytes that `encryptAndHash` adds. */
  get overhead(): number {
    return this.#cipher === undefined ? 0 : TAG_BYTES;
  }

  /** The bytes to send for the plaintext: itself as long as there is no secret yet. */
  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const sent = new Uint8Array(plaintext.length + this.overhead);
    if (this.#cipher === undefined) sent.set(plaintext);
    else this.#cipher.seal([plaintext], sent, 0, this.#hash);
    this.mixHash(sent);
    return sent;
  }

  /**
   * The plaintext of what the other side's `encryptAndHash` gave, fresh.
   * @throws {ProtocolError} if the two sides do not agree on all that was said and known before
   */
  decryptAndHash(received: Uint8Array): Uint8Array {
    const plaintext = this.#cipher === undefined ? Uint8Array.from(received) : this.#open(received);
    this.mixHash(received);
    return plaintext;
  }

  /** The ciphers for what the initiator sends and for what the responder sends. */
  split(): [initiator: CipherState, responder: CipherState] {
    const keys = hkdf(this.#chainingKey, nothing, 2);
    const [initiator, responder] = keys;
    const ciphers: [CipherState, CipherState] = [
      new CipherState(initiator),
      new CipherState(responder),
    ];
    for (const key of keys) key.fill(0);
    return ciphers;
  }

  /** Forgets the keys. Idempotent. */
  clear(): void {
    this.#chainingKey.fill(0);
    this.#cipher?.clear();
  }

  #open(received: Uint8Array): Uint8Array {
    try {
      return this.#cipher!.open(received, this.#hash);
    } catch (cause) {
      throw new ProtocolError(
        "Handshake not authentic: it was altered on the way, or the other side began otherwise",
        { cause },
      );
    }
  }

  #replaceChainingKey(chainingKey: Uint8Array): void {
    this.#chainingKey.fill(0);
    this.#chainingKey = chainingKey;
  }

  #replaceCipher(key: Uint8Array): void {
    this.#cipher?.clear();
    this.#cipher = new CipherState(key);
    key.fill(0);
  }
}

function padded(name: Uint8Array): Uint8Array {
  return concatBytes(name, new Uint8Array(HASH_BYTES - name.length));
}

function sha256(...parts: Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

type Derived<Count extends 2 | 3> = Count extends 2 ? [Uint8Array, Uint8Array]
  : [Uint8Array, Uint8Array, Uint8Array];

/**
 * Two or three keys of 32 bytes from a key and a secret (section 4.3; RFC 5869 with empty info).
 */
function hkdf<Count extends 2 | 3>(
  chainingKey: Uint8Array,
  secret: Uint8Array,
  count: Count,
): Derived<Count> {
  const all = new Uint8Array(
    hkdfSync("sha256", secret, chainingKey, nothing, count * HASH_BYTES),
  );
  const derived = Array.from(
    { length: count },
    (_, index) => all.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES),
  );
  all.fill(0);
  return derived as Derived<Count>;
}
