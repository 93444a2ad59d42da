/**
 * WebSockets at `/ws` (protocol/README.md, section 10): a client registers an address under a name,
 * and looks others up. The frames are the package ws's; loaded when the first WebSocket comes.
 *
 * Whose page a WebSocket comes from is not asked: any page that a browser shows may open one here.
 * It learns nothing by it that whoever reaches the port could not ask for, and acts for nobody:
 * there are no cookies, and a relay's password is in a message that the page has to know.
 */
// @ts-types="./ws.d.ts"
import { type WebSocket, WebSocketServer } from "ws";
import { once } from "node:events";
import { decodeText } from "../protocol/bytes.ts";
import type { Connection } from "../protocol/connection.ts";
import { ProtocolError } from "../protocol/errors.ts";
import { RELAY_DEAD_MS, RELAY_PING_MS } from "../protocol/limits.ts";
import {
  decodeRendezvous,
  encodeRendezvous,
  isFinal,
  type Refusal,
  type RendezvousMessage,
} from "../protocol/rendezvous.ts";
import { ConnectionStream } from "./connection_stream.ts";
import type { RelayContext } from "./context.ts";
import { FAREWELL_MS } from "./farewell.ts";
import type { HttpRequest } from "./http_request.ts";
import type { Holder } from "./names.ts";
import { refused, TOO_FAST_PAUSE_MS } from "./refusal.ts";
import { endpointOf, sourceOf } from "./source.ts";

/** Frames that one message may be cut into. */
const MAX_FRAGMENTS = 64;
/** Bytes in the pieces in which a message comes, on average at the least: each costs memory. */
const MIN_PIECE_BYTES = 16;
/** Bytes that wait for a client to read them before nothing more is read of it. */
const MAX_UNREAD_BYTES = 16_384;
/** Codes of RFC 6455 with which a WebSocket is closed. */
const CloseCode = { normal: 1000, policy: 1008 } as const;

export interface WebSocketOptions {
  connection: Connection;
  /** The request to upgrade. What else it has to say is checked here. */
  request: HttpRequest;
  /** What the client has sent behind the request. */
  head: Uint8Array;
  context: RelayContext;
}

/** Serves a WebSocket until its connection is closed. */
export async function serveWebSocket(options: WebSocketOptions): Promise<void> {
  const { connection, request, context } = options;
  const stream = new ConnectionStream(connection);
  const closed = once(stream, "close");
  let client: WebSocketClient | undefined;
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: context.limits.maxMessageBytes,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: Math.ceil(context.limits.maxMessageBytes / MIN_PIECE_BYTES),
    autoPong: false,
    closeTimeout: FAREWELL_MS,
  });
  server.handleUpgrade(request, stream, options.head.slice(), (socket) => {
    client = new WebSocketClient(socket, connection.remote, context);
  });
  // A stream that broke has closed, too.
  await closed.catch(() => {});
  client?.left();
}

/** A client on a WebSocket. It has no key. */
export class WebSocketClient implements Holder {
  readonly kind = "websocket";
  readonly ip: string;
  readonly source: string;
  name: string | undefined;
  /** Where it is seen. */
  readonly #seen: string;
  /** What others are told. */
  #address: string;
  readonly #socket: WebSocket;
  readonly #context: RelayContext;
  readonly #drain = () => this.#refuse("Draining");
  #mayAsk: boolean;
  #ending = false;
  #heardAt: number;
  #cancelTimer: () => void;
  /** Whether it asked too fast a moment ago. */
  #slowed = false;
  #cancelPause = () => {};

  constructor(socket: WebSocket, remote: string, context: RelayContext) {
    const { ip, address } = endpointOf(remote);
    this.ip = ip;
    this.source = sourceOf(ip);
    this.#seen = this.#address = address;
    this.#socket = socket;
    this.#context = context;
    this.#mayAsk = !context.password.required;
    this.#heardAt = context.clock.now();
    this.#cancelTimer = context.clock.after(RELAY_PING_MS, () => this.#checkAlive());
    context.draining.addEventListener("abort", this.#drain);
    socket.on("message", (bytes, isBinary) => this.#takeFrame(bytes, isBinary));
    socket.on("ping", (bytes) => this.#answerPing(bytes));
    socket.on("pong", () => this.#hear());
    // What is wrong is told to the other side by ws itself; the stream's end is what counts here.
    socket.on("error", () => {});
  }

  /** Its connection is closed: its name is free. */
  left(): void {
    this.#cancelTimer();
    this.#cancelPause();
    this.#ending = true;
    this.#context.draining.removeEventListener("abort", this.#drain);
    this.#context.names.leave(this);
  }

  /** Somebody with a key has registered its name. */
  replaced(): void {
    this.#refuse("Replaced");
  }

  #takeFrame(bytes: Uint8Array, isBinary: boolean): void {
    if (this.#ending || !this.#hear()) return;
    if (isBinary) return this.#refuse("Malformed");
    try {
      this.#take(decodeRendezvous(bytes));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse("Malformed");
    }
  }

  #take(message: RendezvousMessage | undefined): void {
    if (message?.type === "Hello") return this.#greet(message.password);
    if (!this.#mayAsk) return this.#refuse("Password");
    switch (message?.type) {
      case "Register":
        return this.#register(message.username, message.address);
      case "Connect":
        return this.#lookUp(message.targetUsername);
      case "Ping":
        return this.#send({ type: "Pong" });
      case "Pong":
      case "SessionFinished":
        return;
      case "Goodbye":
        return this.#end(CloseCode.normal);
      default:
        return this.#refuse("Malformed");
    }
  }

  #greet(password: string | undefined): void {
    if (!this.#context.password.accepts(password)) return this.#refuse("Password");
    this.#mayAsk = true;
    this.#send({ type: "Welcome", address: this.#seen });
  }

  #register(username: string, address: string | undefined): void {
    const { names, clock, draining } = this.#context;
    if (draining.aborted) return this.#refuse("Draining");
    const refusal = names.register(username, this, clock.now());
    if (refusal) return this.#refuse(refusal);
    this.#address = address ?? this.#seen;
    this.#send({ type: "RegisterAck" });
  }

  #lookUp(username: string): void {
    const target = this.#context.names.find(username, WebSocketClient);
    if (!target) return this.#send({ type: "TargetNotFound" });
    this.#context.counters.introductions++;
    this.#send({ type: "PeerInfo", peer: target.#address, username: target.name! });
  }

  #refuse(code: Refusal): void {
    if (this.#ending) return;
    this.#context.refusals.note(code);
    this.#send(refused(code));
    if (isFinal(code)) this.#end(CloseCode.policy);
  }

  #end(code: number): void {
    this.#ending = true;
    this.#context.names.leave(this);
    this.#readOn();
    this.#socket.close(code);
  }

  #send(message: RendezvousMessage): void {
    this.#socket.send(decodeText(encodeRendezvous(message)), () => this.#readOn());
    this.#readOn();
  }

  /** ws would answer any number of them, read or not: they count as messages here. */
  #answerPing(bytes: Uint8Array): void {
    if (this.#ending || !this.#hear()) return;
    this.#socket.pong(bytes, false, () => this.#readOn());
    this.#readOn();
  }

  /** A sign of life; false if it came too fast. */
  #hear(): boolean {
    const { admission, clock } = this.#context;
    this.#heardAt = clock.now();
    if (admission.maySpeak(this.source, this.#heardAt)) return true;
    if (!this.#slowed) this.#slowDown();
    return false;
  }

  /** What is already read is answered by nothing until the pause is over. */
  #slowDown(): void {
    this.#slowed = true;
    this.#refuse("TooFast");
    this.#cancelPause = this.#context.clock.after(TOO_FAST_PAUSE_MS, () => {
      this.#slowed = false;
      this.#readOn();
    });
  }

  /** Reads only of those who read what they are sent. */
  #readOn(): void {
    const waits = this.#slowed || this.#socket.bufferedAmount > MAX_UNREAD_BYTES;
    if (waits && !this.#ending) this.#socket.pause();
    else this.#socket.resume();
  }

  #checkAlive(): void {
    const { clock } = this.#context;
    if (clock.now() - this.#heardAt >= RELAY_DEAD_MS) return this.#socket.terminate();
    this.#socket.ping();
    this.#cancelTimer = clock.after(RELAY_PING_MS, () => this.#checkAlive());
  }
}
