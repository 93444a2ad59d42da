/** What a relay says over HTTP: a page for people, its health, its metrics, and WebSockets. */
import { concatBytes, encodeText } from "../protocol/bytes.ts";
import type { Connection } from "../protocol/connection.ts";
import { UnreachableError } from "../protocol/errors.ts";
import type { ReceiveBuffer } from "../protocol/framing.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../protocol/limits.ts";
import type { RelayContext } from "./context.ts";
import { farewell } from "./farewell.ts";
import { type HttpProblem, type HttpRequest, readRequest } from "./http_request.ts";
import { METRICS_TYPE, metricsPage } from "./metrics.ts";
import { REFUSAL_TEXTS } from "./refusal.ts";
import { PAGE_POLICY, relayPage } from "./page.ts";

const STATUS_TEXTS = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  426: "Upgrade Required",
  431: "Request Header Fields Too Large",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
} as const;

interface HttpResponse {
  status: keyof typeof STATUS_TEXTS;
  body: string;
  headers?: Readonly<Record<string, string>>;
}

/** How HTTP is served. */
export interface HttpOptions {
  /** One answer and no WebSocket: there is no room to stay. */
  brief?: boolean;
}

const PLAIN_TYPE = "text/plain; charset=utf-8";
const READ_METHODS = ["GET", "HEAD"];

/**
 * Serves a connection whose first bytes are those of an HTTP request, until it is closed.
 * @param received what was already read
 */
export async function serveHttp(
  connection: Connection,
  received: ReceiveBuffer,
  context: RelayContext,
  { brief = false }: HttpOptions = {},
): Promise<void> {
  const request = await readInTime(connection, received, context);
  if (request === null) return connection.close();
  if (typeof request === "object" && isUpgrade(request) && !brief) {
    // Loaded when it is first needed: most relays never see a WebSocket.
    const { serveWebSocket } = await import("./web_socket.ts");
    return await serveWebSocket({ connection, request, head: received.takeAll(), context });
  }
  const response = typeof request === "object" ? answer(request, context, brief) : problem(request);
  const withBody = typeof request !== "object" || request.method !== "HEAD";
  await farewell(connection, context.clock, encodeResponse(response, withBody));
}

/** The request, or null if it does not come, or not in time. */
async function readInTime(
  connection: Connection,
  received: ReceiveBuffer,
  { clock }: RelayContext,
): Promise<HttpRequest | HttpProblem | null> {
  const cancel = clock.after(HANDSHAKE_TIMEOUT_MS, () => connection.close());
  try {
    return await readRequest(connection, received);
  } catch (error) {
    if (error instanceof UnreachableError) return null;
    throw error;
  } finally {
    cancel();
  }
}

function isUpgrade({ method, path, headers }: HttpRequest): boolean {
  return path === "/ws" && method === "GET" &&
    headers["upgrade"]?.toLowerCase() === "websocket" &&
    /(^|,)\s*upgrade\s*(,|$)/i.test(headers["connection"] ?? "");
}

function answer(request: HttpRequest, context: RelayContext, brief: boolean): HttpResponse {
  if (brief && isUpgrade(request)) return { status: 503, body: `${REFUSAL_TEXTS.Full}\n` };
  context.names.forgetKept(context.clock.now());
  const read = PATHS[request.path];
  if (!read) return { status: 404, body: "not found\n" };
  if (READ_METHODS.includes(request.method)) return read(context, request);
  const headers = { Allow: READ_METHODS.join(", ") };
  return { status: 405, headers, body: "only GET and HEAD are allowed here\n" };
}

/** Paths begin with a slash, which no property of every object does. */
const PATHS: Record<string, (context: RelayContext, request: HttpRequest) => HttpResponse> = {
  "/": (context, { headers }) => ({
    status: 200,
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": PAGE_POLICY,
    },
    body: relayPage(context, headers["host"]),
  }),
  "/health": ({ draining }) =>
    draining.aborted ? { status: 503, body: "draining\n" } : { status: 200, body: "ok\n" },
  "/metrics": (context) => ({
    status: 200,
    headers: { "Content-Type": METRICS_TYPE },
    body: metricsPage(context),
  }),
  "/ws": () => ({
    status: 426,
    headers: { Upgrade: "websocket" },
    body: "this is for WebSockets\n",
  }),
};

function problem(status: HttpProblem): HttpResponse {
  return { status, body: `${STATUS_TEXTS[status].toLowerCase()}\n` };
}

/** @param withBody false for the answer to HEAD, which only says how long the body would be */
function encodeResponse(response: HttpResponse, withBody: boolean): Uint8Array {
  const body = encodeText(response.body);
  const headers = {
    "Content-Type": PLAIN_TYPE,
    "Content-Length": body.length,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    ...response.headers,
    "Connection": response.status === 426 ? "upgrade, close" : "close",
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const { status } = response;
  const head = encodeText(`HTTP/1.1 ${status} ${STATUS_TEXTS[status]}\r\n${lines.join("")}\r\n`);
  return withBody ? concatBytes(head, body) : head;
}
