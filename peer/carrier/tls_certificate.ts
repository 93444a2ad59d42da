/**
 * A certificate for one connection, and its key, which nobody else has: what a TLS handshake asks
 * for. Whom it belongs to is proven inside, by Noise (protocol/README.md, section 14).
 *
 * P-256, self-signed with ECDSA and SHA-256 (RFC 5280, RFC 5480), for a name that no authority can
 * certify (RFC 6761, 6.4), good from 2000 to 2126, so that clocks that are wrong do no harm.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { concatBytes, encodeText } from "../../protocol/bytes.ts";

/** The name in the certificate. */
export const TLS_NAME = "p2p.invalid";

export interface TlsIdentity {
  /** DER. */
  certificate: Uint8Array<ArrayBuffer>;
  privateKey: KeyObject;
}

const Tag = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  utf8: 0x0c,
  generalizedTime: 0x18,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
  dnsName: 0x82,
  version: 0xa0,
  extensions: 0xa3,
} as const;

// Object identifiers, encoded.
const ECDSA_WITH_SHA256 = Uint8Array.fromHex("06082a8648ce3d040302");
const COMMON_NAME = Uint8Array.fromHex("0603550403");
const SUBJECT_ALT_NAME = Uint8Array.fromHex("0603551d11");
const BASIC_CONSTRAINTS = Uint8Array.fromHex("0603551d13");
const TRUE = Uint8Array.fromHex("0101ff");

/** A new key, and a certificate for it. */
export function makeTlsIdentity(): TlsIdentity {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const body = toBeSigned(publicKey.export({ format: "der", type: "spki" }));
  const signature = sign("sha256", body, privateKey);
  const algorithm = der(Tag.sequence, ECDSA_WITH_SHA256);
  const certificate = der(Tag.sequence, body, algorithm, bits(signature));
  return { certificate, privateKey };
}

/** A certificate as text (RFC 7468). */
export function toPem(certificate: Uint8Array): string {
  const lines = certificate.toBase64().match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

/** SHA-256 of a certificate: what it binds a proof of identity to (RFC 5929, 4). */
export function bindingOf(certificate: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(createHash("sha256").update(certificate).digest());
}

/** TBSCertificate (RFC 5280, 4.1). */
function toBeSigned(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  const serial = crypto.getRandomValues(new Uint8Array(16));
  // Positive, and without a zero in front.
  serial[0] = serial[0]! & 0x3f | 0x40;
  const name = der(Tag.sequence, der(Tag.set, der(Tag.sequence, COMMON_NAME, text(TLS_NAME))));
  const validity = der(
    Tag.sequence,
    der(Tag.utcTime, encodeText("000101000000Z")),
    der(Tag.generalizedTime, encodeText("21260101000000Z")),
  );
  return der(
    Tag.sequence,
    der(Tag.version, der(Tag.integer, Uint8Array.of(2))),
    der(Tag.integer, serial),
    der(Tag.sequence, ECDSA_WITH_SHA256),
    name,
    validity,
    name,
    publicKey,
    der(Tag.extensions, extensions()),
  );
}

/** For the name, and not for signing others. */
function extensions(): Uint8Array<ArrayBuffer> {
  const names = der(Tag.sequence, der(Tag.dnsName, encodeText(TLS_NAME)));
  return der(
    Tag.sequence,
    der(Tag.sequence, SUBJECT_ALT_NAME, der(Tag.octetString, names)),
    der(Tag.sequence, BASIC_CONSTRAINTS, TRUE, der(Tag.octetString, der(Tag.sequence))),
  );
}

function text(value: string): Uint8Array<ArrayBuffer> {
  return der(Tag.utf8, encodeText(value));
}

function bits(value: Uint8Array): Uint8Array<ArrayBuffer> {
  return der(Tag.bitString, Uint8Array.of(0), value);
}

/** A value of ASN.1 in its distinguished encoding (X.690, 8.1 and 10.1). */
function der(tag: number, ...contents: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const content = concatBytes(...contents);
  const { length } = content;
  const size = length < 0x80
    ? [length]
    : length < 0x100
    ? [0x81, length]
    : [0x82, length >> 8, length & 0xff];
  return concatBytes(Uint8Array.of(tag, ...size), content);
}
