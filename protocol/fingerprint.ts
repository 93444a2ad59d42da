import { createHash } from "node:crypto";

const base32Letters = "abcdefghijklmnopqrstuvwxyz234567";
/**
 * 80 bits: making another key with the same fingerprint is out of reach, reading it aloud is not.
 */
const LETTERS = 16;

/** A public key as people compare it: "abcd-efgh-ijkl-mnop" (README.md, section 9). */
export function fingerprint(publicKey: Uint8Array): string {
  const letters = base32(createHash("sha256").update(publicKey).digest()).slice(0, LETTERS);
  return letters.match(/.{4}/g)!.join("-");
}

/** RFC 4648, lower case, of whole groups of five bits. */
function base32(bytes: Uint8Array): string {
  let letters = "";
  let pending = 0;
  let bits = 0;
  for (const byte of bytes) {
    pending = (pending << 8 | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) {
      letters += base32Letters[pending >> (bits - 5) & 31];
    }
  }
  return letters;
}
