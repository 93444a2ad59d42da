/**
 * The first bytes: what a new connection is, and the one line with which each side begins.
 *
 *     initiator  →  p2p/1 session\n          or relay, or circuit TOKEN, or tls
 *     responder  →  p2p/1 session\n          or relay, or circuit, or tls: the same word
 *                or p2p/1 error TEXT\n
 */
import { encodeText } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { MAX_PREFACE_BYTES } from "./limits.ts";

const MAGIC = "p2p/";
const VERSION = "1";

/** The line with which a peer session begins, as bytes: also the prologue of its handshake. */
export const SESSION_PREFACE: Uint8Array<ArrayBuffer> = encodeText(`${MAGIC}${VERSION} session\n`);
/**
 * The same for a session that goes on inside TLS: a port and a certificate are told then. The
 * prologue of the handshake inside TLS is this line and that certificate's hash.
 */
export const TLS_PREFACE: Uint8Array<ArrayBuffer> = encodeText(`${MAGIC}${VERSION} tls\n`);
/** The same for a control session with a relay. */
export const RELAY_PREFACE: Uint8Array<ArrayBuffer> = encodeText(`${MAGIC}${VERSION} relay\n`);
/** What a relay says on each end of a circuit when the two are joined. */
export const CIRCUIT_ANSWER: Uint8Array<ArrayBuffer> = encodeText(`${MAGIC}${VERSION} circuit\n`);

/** Bytes in a circuit's token. */
export const TOKEN_BYTES = 16;
const TOKEN = /^[0-9a-f]{32}$/;

/** What a preface line says. */
export type Preface =
  | { word: "session" }
  | { word: "relay" }
  | { word: "tls" }
  /** `token` is undefined in the answer, and where what stands there is none. */
  | { word: "circuit"; token: Uint8Array | undefined }
  | { word: "error"; text: string }
  | { word: "unknown"; text: string }
  | { word: "version"; text: string };

/** What the first bytes of a connection are, or undefined while that is open. */
export type FirstBytes = "p2p" | "http" | "text" | undefined;

const HTTP_METHODS = ["GET ", "HEAD ", "POST ", "OPTIONS "];

/** Tells what a connection is by its first bytes. Few are needed: at most eight. */
export function classifyFirstBytes(bytes: Uint8Array): FirstBytes {
  const start = String.fromCharCode(...bytes.subarray(0, 8));
  if (start.startsWith(MAGIC)) return "p2p";
  if (HTTP_METHODS.some((method) => start.startsWith(method))) return "http";
  const open = [MAGIC, ...HTTP_METHODS].some((known) => known.startsWith(start));
  return open ? undefined : "text";
}

/**
 * Reads a preface line, given without its newline.
 * @throws {ProtocolError} if it is not a preface line at all
 */
export function parsePreface(line: Uint8Array): Preface {
  const text = new TextDecoder().decode(line);
  if (!text.startsWith(MAGIC)) {
    throw new ProtocolError("Preface not understood: the other side speaks something else", {
      hint: "Is that the address of a p2p? Check it, and the port.",
    });
  }
  const [magic, word = "", ...rest] = text.split(" ");
  if (magic !== MAGIC + VERSION) return { word: "version", text: magic!.slice(MAGIC.length) };
  if (word === "session" || word === "relay" || word === "tls") return { word };
  if (word === "circuit") return { word, token: parseToken(rest[0]) };
  if (word === "error") return { word, text: rest.join(" ") };
  return { word: "unknown", text: word };
}

function parseToken(text: string | undefined): Uint8Array | undefined {
  return text !== undefined && TOKEN.test(text) ? Uint8Array.fromHex(text) : undefined;
}

/** The line with which an end of a circuit begins. */
export function circuitPreface(token: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeText(`${MAGIC}${VERSION} circuit ${token.toHex()}\n`);
}

/**
 * The line that tells the other side why a connection is closed; cut to what a preface may hold.
 */
export function errorPreface(text: string): Uint8Array<ArrayBuffer> {
  const line = encodeText(`${MAGIC}${VERSION} error ${text.replace(/[\r\n]+/g, " ")}`);
  const ended = new Uint8Array(Math.min(line.length, MAX_PREFACE_BYTES - 1) + 1);
  ended.set(line.subarray(0, ended.length - 1));
  ended[ended.length - 1] = 0x0a;
  return ended;
}
