import { assertEquals } from "@std/assert";
import { fingerprint } from "../../protocol/fingerprint.ts";

// Computed with Python: base64.b32encode(hashlib.sha256(key).digest()).
const cases: Record<string, string> = {
  "0000000000000000000000000000000000000000000000000000000000000000": "mzuh-vlpy-mk6x-o3ep",
  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f": "mmg4-2klg-yqzw-neis",
  "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": "v6lb-g5qp-ojrv-7pnu",
  "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a": "gagj-zfqd-xeve-wopn",
};

for (const [key, expected] of Object.entries(cases)) {
  Deno.test(`fingerprint() of ${key.slice(0, 8)}… is ${expected}`, () => {
    assertEquals(fingerprint(Uint8Array.fromHex(key)), expected);
  });
}
