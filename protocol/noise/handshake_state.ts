import { ByteReader, concatBytes } from "../bytes.ts";
import { ProtocolError } from "../errors.ts";
import { MAX_FRAME_BYTES } from "../limits.ts";
import type { CipherState } from "./cipher_state.ts";
import { type Pattern, patternOf, type Token } from "./pattern.ts";
import { SymmetricState } from "./symmetric_state.ts";
import { generateKeyPair, KEY_BYTES, type KeyPair, keyPairOf, sharedSecret } from "./x25519.ts";

export interface HandshakeOptions {
  /** For instance "Noise_XX_25519_ChaChaPoly_SHA256", the same on both sides. */
  protocolName: string;
  /** Whether this side sends the first message. */
  initiator: boolean;
  /** What both sides must agree on besides: the handshake fails where they do not. */
  prologue: Uint8Array;
  /** This side's identity, where the pattern has one. Not cleared: it is the caller's. */
  staticKey?: KeyPair;
  /** The responder's identity, where the initiator must know it beforehand. */
  remoteStaticKey?: Uint8Array;
  /** 32 secret bytes that both sides know, where the pattern asks for them. Copied. */
  psk?: Uint8Array;
  /** 32 bytes, the key of this one handshake: random, but in tests. Copied. */
  ephemeralPrivateKey?: Uint8Array;
}

/** What a handshake yields. */
export interface HandshakeResult {
  /** Seals what this side sends. */
  readonly send: CipherState;
  /** Opens what the other side sends. */
  readonly receive: CipherState;
  /** 32 bytes that name this session: the same on both sides, different each time. */
  readonly handshakeHash: Uint8Array;
  /** The other side's identity, if the pattern has one: 32 bytes. */
  readonly remoteStaticKey: Uint8Array | undefined;
}

type KeyName = "e" | "s";
type DhToken = Exclude<Token, KeyName | "psk">;

/**
 * One handshake: Noise's HandshakeState (revision 34, section 5.3).
 *
 *     initiator   write → read → write → split
 *     responder   read → write → read  → split       (XX)
 *
 * Any error ends it: the keys are forgotten and every later call is refused.
 */
export class HandshakeState {
  readonly #initiator: boolean;
  readonly #pattern: Pattern;
  readonly #symmetric: SymmetricState;
  readonly #own: Partial<Record<KeyName, KeyPair>> = {};
  readonly #remote: Partial<Record<KeyName, Uint8Array>> = {};
  readonly #psk: Uint8Array | undefined;
  readonly #usesPsk: boolean;
  /** How many messages were written and read. */
  #step = 0;
  #over = false;

  /** @throws {RangeError} if the pattern needs a key that is not given, or is not built here */
  constructor(options: HandshakeOptions) {
    this.#pattern = patternOf(options.protocolName);
    this.#initiator = options.initiator;
    this.#usesPsk = this.#pattern.messages.some((tokens) => tokens.includes("psk"));
    checkKeys(options, this.#pattern, this.#usesPsk);
    this.#symmetric = new SymmetricState(options.protocolName);
    this.#symmetric.mixHash(options.prologue);
    this.#own.e = options.ephemeralPrivateKey
      ? keyPairOf(Uint8Array.from(options.ephemeralPrivateKey))
      : generateKeyPair();
    if (options.staticKey) this.#own.s = options.staticKey;
    if (options.psk) this.#psk = Uint8Array.from(options.psk);
    if (this.#pattern.responderKnown) this.#mixKnownResponder(options);
  }

  /** Whether all messages were exchanged, so that `split` may follow. */
  get complete(): boolean {
    return this.#step === this.#pattern.messages.length;
  }

  /** The other side's identity, as soon as it has come: 32 bytes. */
  get remoteStaticKey(): Uint8Array | undefined {
    return this.#remote.s;
  }

  /**
   * This side's next message.
   * @throws {RangeError} if it came to more than 65,535 bytes
   * @throws {ProtocolError} if the other side's keys are not usable
   */
  writeMessage(payload: Uint8Array = new Uint8Array(0)): Uint8Array {
    return this.#take(true, (tokens) => {
      const parts = tokens.map((token) => this.#writeToken(token));
      parts.push(this.#symmetric.encryptAndHash(payload));
      const message = concatBytes(...parts);
      if (message.length <= MAX_FRAME_BYTES) return message;
      throw new RangeError(
        `Handshake message not written: ${message.length} bytes are more than ${MAX_FRAME_BYTES}`,
      );
    });
  }

  /**
   * Takes the other side's next message.
   * @returns its payload, fresh
   * @throws {ProtocolError} if it is too short or too long, was altered, or was made with other
   *   keys or another prologue
   */
  readMessage(message: Uint8Array): Uint8Array {
    return this.#take(false, (tokens) => {
      if (message.length > MAX_FRAME_BYTES) {
        throw new ProtocolError("Handshake message not readable: it is too long");
      }
      const reader = new ByteReader(message);
      for (const token of tokens) this.#readToken(token, reader);
      return this.#symmetric.decryptAndHash(reader.bytes(reader.remaining));
    });
  }

  /** The ciphers for what follows, after the last message. Ends the handshake. */
  split(): HandshakeResult {
    if (this.#over || !this.complete) throw new Error("Handshake not split: it is not complete");
    const [initiator, responder] = this.#symmetric.split();
    const result = {
      send: this.#initiator ? initiator : responder,
      receive: this.#initiator ? responder : initiator,
      handshakeHash: this.#symmetric.handshakeHash,
      remoteStaticKey: this.#remote.s,
    };
    this.clear();
    return result;
  }

  /** Forgets the keys of this handshake; it is over. Idempotent. */
  clear(): void {
    this.#over = true;
    this.#symmetric.clear();
    this.#own.e?.privateKey.fill(0);
    this.#psk?.fill(0);
  }

  #mixKnownResponder(options: HandshakeOptions): void {
    if (this.#initiator) this.#remote.s = Uint8Array.from(options.remoteStaticKey!);
    const key = this.#initiator ? this.#remote.s : this.#own.s?.publicKey;
    this.#symmetric.mixHash(key!);
  }

  /** Does the next message's work, if it is this side's turn to write (or read) it. */
  #take(write: boolean, work: (tokens: readonly Token[]) => Uint8Array): Uint8Array {
    const tokens = this.#pattern.messages[this.#step];
    const ownTurn = (this.#step % 2 === 0) === this.#initiator;
    if (this.#over || tokens === undefined) throw new Error("Handshake not continued: it is over");
    if (ownTurn !== write) throw new Error("Handshake not continued: it is the other side's turn");
    try {
      const result = work(tokens);
      this.#step++;
      return result;
    } catch (error) {
      this.clear();
      throw error;
    }
  }

  #writeToken(token: Token): Uint8Array {
    if (token === "e") return this.#mixEphemeral(this.#own.e!.publicKey);
    if (token === "s") return this.#symmetric.encryptAndHash(this.#own.s!.publicKey);
    this.#mixSecret(token);
    return new Uint8Array(0);
  }

  #readToken(token: Token, reader: ByteReader): void {
    if (token === "e") {
      this.#remote.e = this.#mixEphemeral(Uint8Array.from(reader.bytes(KEY_BYTES)));
    } else if (token === "s") {
      const sealed = reader.bytes(KEY_BYTES + this.#symmetric.overhead);
      this.#remote.s = this.#symmetric.decryptAndHash(sealed);
    } else {
      this.#mixSecret(token);
    }
  }

  #mixEphemeral(publicKey: Uint8Array): Uint8Array {
    this.#symmetric.mixHash(publicKey);
    // Section 9.2: otherwise a pre-shared key alone would make the same cipher each time.
    if (this.#usesPsk) this.#symmetric.mixKey(publicKey);
    return publicKey;
  }

  #mixSecret(token: DhToken | "psk"): void {
    if (token === "psk") this.#symmetric.mixKeyAndHash(this.#psk!);
    else this.#mixDh(token);
  }

  /** The token's first letter is the initiator's key, its second the responder's. */
  #mixDh(token: DhToken): void {
    const [initiators, responders] = [...token] as [KeyName, KeyName];
    const own = this.#own[this.#initiator ? initiators : responders];
    const remote = this.#remote[this.#initiator ? responders : initiators];
    const secret = sharedSecret(own!.privateKey, remote!);
    this.#symmetric.mixKey(secret);
    secret.fill(0);
  }
}

/** Refuses to begin what could not be ended, so that the rest need not ask for each key. */
function checkKeys(options: HandshakeOptions, pattern: Pattern, usesPsk: boolean): void {
  const side = options.initiator ? 0 : 1;
  const sendsStatic = pattern.messages.some((tokens, index) =>
    index % 2 === side && tokens.includes("s")
  );
  const ownStatic = sendsStatic || (pattern.responderKnown && !options.initiator);
  if (ownStatic && !options.staticKey) throw missingKey("own static key");
  if (pattern.responderKnown && options.initiator) {
    checkKey("other side's static key", options.remoteStaticKey);
  }
  if (usesPsk) checkKey("pre-shared key", options.psk);
}

function checkKey(what: string, key: Uint8Array | undefined): void {
  if (key?.length !== KEY_BYTES) throw missingKey(what);
}

function missingKey(what: string): RangeError {
  return new RangeError(`Handshake not begun: it needs the ${what}, ${KEY_BYTES} bytes`);
}
