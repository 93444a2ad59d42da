/**
 * The first bytes: what a new connection is, and the one line with which each side begins.
 *
 *     initiator  →  p2p/1 session\n
 *     responder  →  p2p/1 session\n   or   p2p/1 error TEXT\n
 */
import { encodeText } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { MAX_PREFACE_BYTES } from "./limits.ts";

const MAGIC = "p2p/";
const VERSION = "1";

/** The line with which a peer session begins, as bytes: also the prologue of its handshake. */
export const SESSION_PREFACE: Uint8Array<ArrayBuffer> = encodeText(`${MAGIC}${VERSION} session\n`);

/** What a preface line says. */
export type Preface =
  | { word: "session" }
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
  if (word === "session") return { word };
  if (word === "error") return { word, text: rest.join(" ") };
  return { word: "unknown", text: word };
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
