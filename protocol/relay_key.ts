import { KEY_BYTES } from "./noise.ts";

const BASE64URL = { alphabet: "base64url", omitPadding: true } as const;

/** A relay's static key as it stands behind the `#` of its address (README.md, section 10). */
export function formatRelayKey(key: Uint8Array): string {
  return key.toBase64(BASE64URL);
}

/** The 32 bytes of a key that `formatRelayKey` has written, or undefined if it is anything else. */
export function parseRelayKey(text: string): Uint8Array | undefined {
  try {
    const key = Uint8Array.fromBase64(text, BASE64URL);
    return key.length === KEY_BYTES && formatRelayKey(key) === text ? key : undefined;
  } catch {
    return undefined;
  }
}
