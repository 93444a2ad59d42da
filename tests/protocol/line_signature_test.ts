import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { encodeText } from "../../protocol/bytes.ts";
import {
  LineSigner,
  SIGNATURE_BYTES,
  signingKeyOf,
  verifyLine,
} from "../../protocol/line_signature.ts";
import { generateKeyPair, keyPairOf } from "../../protocol/noise.ts";

/** RFC 8032, section 7.1: seed, public key, message, signature. */
const RFC_8032: readonly (readonly [string, string, string, string])[] = [
  [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  [
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
  [
    "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    createHash("sha512").update("abc").digest("hex"),
    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
  ],
];

/** All encodings of the points of small order but for the sign. */
const SMALL_ORDER = [
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
];

const BYTES = encodeText("p2p line 1");

function changed(bytes: Uint8Array, index: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[index]! ^= 1;
  return copy;
}

Deno.test("LineSigner and verifyLine() do as RFC 8032 has it", () => {
  for (const [seed, publicKey, message, signature] of RFC_8032) {
    const signer = new LineSigner(Uint8Array.fromHex(seed));
    const bytes = Uint8Array.fromHex(message);
    assertEquals(signer.publicKey.toHex(), publicKey);
    assertEquals(signer.sign(bytes).toHex(), signature);
    assert(verifyLine(bytes, Uint8Array.fromHex(signature), Uint8Array.fromHex(publicKey)));
  }
});

Deno.test("signingKeyOf() derives the key from the identity, and nothing else", () => {
  const identity = keyPairOf(new Uint8Array(32).fill(7));
  const signer = signingKeyOf(identity);
  // Computed with OpenSSL, by way of Python.
  assertEquals(
    signer.publicKey.toHex(),
    "ac020405c499d1c39d3c09328f70efa3d4f00de823728aca87ec782b0b0144e0",
  );
  assertEquals(signingKeyOf(identity).publicKey, signer.publicKey);
  assertNotEquals(signingKeyOf(generateKeyPair()).publicKey, signer.publicKey);
  assertEquals(identity.privateKey, new Uint8Array(32).fill(7));
});

Deno.test("verifyLine() is false wherever a bit of text, signature or key differs", () => {
  const { publicKey, sign } = bound(signingKeyOf(generateKeyPair()));
  const signature = sign(BYTES);
  assert(verifyLine(BYTES, signature, publicKey));
  for (let i = 0; i < BYTES.length; i++) {
    assert(!verifyLine(changed(BYTES, i), signature, publicKey));
  }
  for (let i = 0; i < SIGNATURE_BYTES; i++) {
    assert(!verifyLine(BYTES, changed(signature, i), publicKey));
  }
  for (let i = 0; i < publicKey.length; i++) {
    assert(!verifyLine(BYTES, signature, changed(publicKey, i)));
  }
});

Deno.test("verifyLine() is false for what is no signature or no key, and never throws", () => {
  const { publicKey, sign } = bound(signingKeyOf(generateKeyPair()));
  const signature = sign(BYTES);
  for (const length of [0, 1, 63, 65, 128]) {
    assert(!verifyLine(BYTES, new Uint8Array(length), publicKey));
  }
  assert(!verifyLine(BYTES, new Uint8Array(64).fill(255), publicKey));
  for (const length of [0, 31, 33, 64]) {
    assert(!verifyLine(BYTES, signature, new Uint8Array(length)));
  }
  // Of all bytes alike some are no point of the curve.
  for (let byte = 0; byte < 256; byte++) {
    assert(!verifyLine(BYTES, signature, new Uint8Array(32).fill(byte)));
  }
});

Deno.test("verifyLine() is false for a signature above the group's order, which says the same", () => {
  const { publicKey, sign } = bound(signingKeyOf(generateKeyPair()));
  const signature = sign(BYTES);
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  let s = order;
  for (let i = 0; i < 32; i++) s += BigInt(signature[32 + i]!) << BigInt(8 * i);
  const other = Uint8Array.from(signature);
  for (let i = 0; i < 32; i++) other[32 + i] = Number(s >> BigInt(8 * i) & 255n);
  assert(!verifyLine(BYTES, other, publicKey));
});

Deno.test("verifyLine() is false for keys of small order, with which nobody needs a secret", () => {
  for (const point of SMALL_ORDER) {
    for (const sign of [0, 0x80]) {
      const key = Uint8Array.fromHex(point);
      key[31]! |= sign;
      for (const r of SMALL_ORDER) {
        const signature = new Uint8Array(SIGNATURE_BYTES);
        signature.set(Uint8Array.fromHex(r));
        for (let i = 0; i < 8; i++) assert(!verifyLine(new Uint8Array([i]), signature, key));
      }
    }
  }
});

Deno.test("verifyLine() goes on with the right key, however many there are", () => {
  const signers = Array.from({ length: 600 }, () => signingKeyOf(generateKeyPair()));
  const signatures = signers.map((signer) => signer.sign(BYTES));
  for (let i = 0; i < signers.length; i++) {
    assert(verifyLine(BYTES, signatures[i]!, signers[i]!.publicKey));
    assert(!verifyLine(BYTES, signatures[i]!, signers[(i + 1) % signers.length]!.publicKey));
  }
});

function bound(signer: LineSigner) {
  return { publicKey: signer.publicKey, sign: (bytes: Uint8Array) => signer.sign(bytes) };
}
