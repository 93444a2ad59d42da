import { KEY_BYTES } from "./noise.ts";

/** The 32 bytes of a key written in base64, or undefined if it is anything else. */
export function decodeKey(encoded: string): Uint8Array | undefined {
  try {
    const key = Uint8Array.fromBase64(encoded, { lastChunkHandling: "strict" });
    return key.length === KEY_BYTES ? key : undefined;
  } catch {
    return undefined;
  }
}
