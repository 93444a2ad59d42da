/**
 * The Noise protocol framework (noiseprotocol.org/noise.html, revision 34) with X25519,
 * ChaCha20-Poly1305 and SHA-256: bytes in, bytes out. The primitives are node:crypto's; everything
 * is synchronous, because a record costs less than a turn of the event loop.
 */
export { CipherState } from "./noise/cipher_state.ts";
export {
  type HandshakeOptions,
  type HandshakeResult,
  HandshakeState,
} from "./noise/handshake_state.ts";
export { generateKeyPair, KEY_BYTES, type KeyPair, keyPairOf } from "./noise/x25519.ts";
