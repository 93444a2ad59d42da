/**
 * The head of an HTTP/1.1 request, and nothing more: a relay takes no bodies, and one request on a
 * connection. So what comes behind the head is never taken for another request.
 */
import type { Connection } from "../protocol/connection.ts";
import { ProtocolError } from "../protocol/errors.ts";
import type { ReceiveBuffer } from "../protocol/framing.ts";

/** Bytes in a request's head, its empty line included. */
export const MAX_HEAD_BYTES = 8_192;

export interface HttpRequest {
  readonly method: string;
  /** What was asked for, without its query: "/ws". */
  readonly path: string;
  /** By name in lower case. Those that came several times are joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
}

/** A request that is not answered but with an error: the status says why. */
export type HttpProblem = 400 | 431 | 505;

const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/;
/** Control characters, which no line of a head may have: NUL and carriage returns above all. */
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
const TARGET = /^[\x21-\x7e]+$/;

/**
 * Reads the head; null if the connection ends before it does.
 * @param received what was already read; behind the head it holds what follows
 * @throws {UnreachableError} if the connection broke or was closed
 */
export async function readRequest(
  connection: Connection,
  received: ReceiveBuffer,
): Promise<HttpRequest | HttpProblem | null> {
  const lines: string[] = [];
  for (let left = MAX_HEAD_BYTES;;) {
    const line = takeLine(received, left);
    if (line === undefined) return 431;
    if (line === "") return parseRequest(lines);
    if (line !== null) {
      left -= line.length + 2;
      lines.push(line);
      continue;
    }
    const bytes = await connection.read(received.space());
    if (bytes === null) return null;
    received.filled(bytes.length);
  }
}

/** The next line, each byte a character; null while it is incomplete, undefined if it is too long. */
function takeLine(received: ReceiveBuffer, limit: number): string | null | undefined {
  try {
    const line = received.takeLine(limit);
    return line ? String.fromCharCode(...line) : null;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/**
 * What the lines of a head say, without the empty one at its end. Strict: where programs differ in
 * what they take a request for, somebody gets a request past another.
 */
export function parseRequest(lines: readonly string[]): HttpRequest | HttpProblem {
  const [method = "", target = "", version = "", ...more] = (lines[0] ?? "").split(" ");
  const wellFormed = TOKEN.test(method) && TARGET.test(target) && /^HTTP\/\d\.\d$/.test(version);
  if (!wellFormed || more.length > 0) return 400;
  if (version !== "HTTP/1.1" && version !== "HTTP/1.0") return 505;
  const path = pathOf(target);
  const fields = parseFields(lines.slice(1));
  if (path === undefined || !fields || !isPlain(fields, version)) return 400;
  const headers = Object.fromEntries(
    [...fields].map(([name, values]) => [name, values.join(", ")]),
  );
  return { method, path, headers };
}

/** Of "/ws?a=b", "http://host/ws" and "*". */
function pathOf(target: string): string | undefined {
  if (target === "*") return target;
  const [, path] = /^(?:https?:\/\/[^/?#]+)?(\/[^?#]*)?(?:\?[^#]*)?$/i.exec(target) ?? [];
  return path ?? (/^https?:/i.test(target) ? "/" : undefined);
}

function parseFields(lines: readonly string[]): Map<string, string[]> | undefined {
  const fields = new Map<string, string[]>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    // A space before the colon, or at the start of a line, is no part of a token.
    if (!TOKEN.test(line.slice(0, Math.max(0, colon))) || CONTROL.test(line)) return undefined;
    const name = line.slice(0, colon).toLowerCase();
    const value = trimBlanks(line.slice(colon + 1));
    const values = fields.get(name);
    if (values) values.push(value);
    else fields.set(name, [value]);
  }
  return fields;
}

/**
 * Without the spaces and tabs at both ends. No regular expression: over thousands of blanks one
 * would take seconds, in which nobody is served.
 */
function trimBlanks(text: string): string {
  let [start, end] = [0, text.length];
  while (isBlank(text[start])) start++;
  while (end > start && isBlank(text[end - 1])) end--;
  return text.slice(start, end);
}

function isBlank(character: string | undefined): boolean {
  return character === " " || character === "\t";
}

/** Whether the request names one host, as it must, and has no body. */
function isPlain(fields: ReadonlyMap<string, string[]>, version: string): boolean {
  const hosts = fields.get("host")?.length ?? 0;
  const lengths = fields.get("content-length") ?? [];
  return (hosts === 1 || (hosts === 0 && version === "HTTP/1.0")) &&
    !fields.has("transfer-encoding") && lengths.every((length) => /^0+$/.test(length));
}
