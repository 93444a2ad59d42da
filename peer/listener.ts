/**
 * Waits for peers on a port: tells by the first bytes what each connection is, and turns ours into
 * sessions, new ones or ones that go on.
 */
import { encodeText } from "../protocol/bytes.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import { type ErrorCode, P2pError, UnreachableError } from "../protocol/errors.ts";
import { ReceiveBuffer } from "../protocol/framing.ts";
import {
  HANDSHAKE_TIMEOUT_MS,
  MAX_HANDSHAKES,
  MAX_SESSIONS,
  MAX_STALLED_TLS,
  MAX_TLS_CONNECTIONS,
} from "../protocol/limits.ts";
import type { KeyPair } from "../protocol/noise.ts";
import { classifyFirstBytes } from "../protocol/preface.ts";
import {
  decodeHello,
  encodeGoodbye,
  encodeHello,
  encodeStreamless,
  FrameType,
  type Goodbye,
  GoodbyeCode,
  type Hello,
  type SessionFrame,
  SessionFrameDecoder,
} from "../protocol/session_frame.ts";
import { belongsTo, type TlsRequest } from "../protocol/tls_opening.ts";
import type { Address } from "../protocol/address.ts";
import { ADVICE } from "./advice.ts";
import { answerTls, asksForTls } from "./carrier/accept_tls.ts";
import { acceptEach, openSockets, reachableAddresses } from "./carrier/listen_tcp.ts";
import { canUseTls } from "./carrier/tls.ts";
import { TlsDoor } from "./carrier/tls_door.ts";
import { systemClock } from "./clock.ts";
import { AsyncQueue } from "./async_queue.ts";
import { readOut } from "../protocol/read_out.ts";
import { readUntil } from "../protocol/read_until.ts";
import { type SecureConnection, secureResponder } from "../protocol/secure.ts";
import { Session, type SessionEnd } from "./session.ts";

/** Bytes of a connection that are read before it is known what it is. */
const FIRST_READ_BYTES = 4_096;

/** What a peer that is not welcome is told, by why it is not. */
const REFUSALS: Partial<Record<ErrorCode, GoodbyeCode>> = {
  identity: GoodbyeCode.identityRefused,
  refused: GoodbyeCode.sentAway,
};

/** What is told again to whoever wants a session to go on that was ended so. */
const LASTING_GOODBYES: readonly number[] = [GoodbyeCode.protocolError, GoodbyeCode.oneTooMany];

export interface ListenerOptions {
  /** The address to listen on; undefined: all of this machine's, IPv4 and IPv6. */
  host?: string | undefined;
  /** 0 picks a free one. */
  port: number;
  identity: KeyPair;
  /** The name that we go by, asked for each greeting. */
  name: () => string;
  /**
   * Whether a peer is welcome under its name; throws what to tell it.
   * @throws {P2pError} an IdentityError if its key is not the known one, a RefusedError with what
   *   to tell it if it was sent away
   */
  admit: (name: string, key: Uint8Array) => Promise<void>;
  /** Told of connections that came to nothing, for people to see. */
  onRefused?: (remote: string, error: P2pError) => void;
  /** Whether sessions may go on inside TLS; undefined: if `canUseTls`. */
  tls?: boolean;
  clock?: Clock;
}

export class Listener implements AsyncDisposable {
  /** Sessions that peers began, as they come; ends when the listener is closed. */
  readonly sessions = new AsyncQueue<Session>();
  /** The port that is listened on, or was. */
  readonly port: number;
  readonly #options: ListenerOptions;
  readonly #clock: Clock;
  readonly #sockets: Deno.TcpListener[];
  readonly #tls: boolean;
  /** Connections that are no session yet, and whether it is known what they are. */
  readonly #handshakes = new Map<Connection, "silent" | "known">();
  readonly #live = new Map<string, Session>();
  /** Those that TLS was asked for with, for each session. */
  readonly #nonces = new WeakMap<Session, Set<string>>();
  /** Where connections inside TLS are expected. */
  readonly #doors = new Set<TlsDoor>();
  /** Connections that were given up inside TLS: there may be no way to close them. */
  #stalledTls = 0;
  /**
   * With what sessions were ended because of what came, or as one too many: the other side may have
   * had no connection then, or lost it before it was told.
   */
  readonly #dismissed = new Map<string, Goodbye>();
  readonly #closed = Promise.withResolvers<void>();

  /**
   * Begins to listen.
   * @throws as `openSockets`
   */
  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#tls = options.tls ?? canUseTls();
    this.#sockets = openSockets(options.host, options.port);
    this.port = this.#sockets[0]!.addr.port;
    for (const socket of this.#sockets) this.#accept(socket);
  }

  /** Resolves when it has been closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** The addresses that others can use, the likeliest first. */
  get addresses(): Address[] {
    return reachableAddresses(this.#options.host, this.port);
  }

  /** Stops listening; sessions go on. */
  close(): void {
    this.#closed.resolve();
    for (const socket of this.#sockets.splice(0)) socket.close();
    for (const connection of this.#handshakes.keys()) connection.close();
    for (const door of this.#doors) door.close();
    this.sessions.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** Takes a connection that came by another way than the port, as if it had come there. */
  take(connection: Connection): void {
    if (this.#sockets.length === 0 || this.#handshakes.size >= MAX_HANDSHAKES) connection.close();
    else this.#serve(connection);
  }

  #accept(socket: Deno.TcpListener): void {
    const open = () => this.#sockets.includes(socket);
    acceptEach(socket, open, (connection) => this.take(connection), this.#clock);
  }

  /** One connection from its first byte to its session, under one deadline. */
  async #serve(connection: Connection): Promise<void> {
    this.#handshakes.set(connection, "silent");
    const received = new ReceiveBuffer(FIRST_READ_BYTES);
    const deadline = new AbortController();
    const cancel = this.#clock.after(HANDSHAKE_TIMEOUT_MS, () => {
      deadline.abort(new UnreachableError("it said nothing sensible for 10 s"));
      const silent = this.#handshakes.get(connection) === "silent" && received.pending === 0;
      // Who waits in silence may be a person who waits for us to begin.
      const told = silent ? advise(connection).catch(() => {}) : Promise.resolve();
      told.then(() => connection.close());
    });
    try {
      await this.#establish(connection, received, deadline.signal);
    } catch (error) {
      connection.close();
      if (deadline.signal.aborted && connection.binding) this.#stalledTls++;
      const reason = deadline.signal.reason ?? error;
      if (reason instanceof P2pError) this.#options.onRefused?.(connection.remote, reason);
      else throw reason;
    } finally {
      cancel();
      this.#handshakes.delete(connection);
    }
  }

  async #establish(
    connection: Connection,
    received: ReceiveBuffer,
    signal: AbortSignal,
  ): Promise<void> {
    if (connection.binding) return await this.#greet(connection, received, signal);
    const kind = await readUntil(
      connection,
      received,
      () => classifyFirstBytes(received.peek()),
      "it said nothing and closed",
    );
    this.#handshakes.set(connection, "known");
    if (kind !== "p2p") return await turnAway(connection);
    if (await asksForTls(connection, received)) return await this.#answerTls(connection, received);
    await this.#greet(connection, received, signal);
  }

  /** Finds the session that a connection belongs to, once it is proven whose it is. */
  async #greet(
    connection: Connection,
    received: ReceiveBuffer,
    signal: AbortSignal,
  ): Promise<void> {
    const options = { identity: this.#options.identity, clock: this.#clock, signal };
    const secure = await secureResponder(connection, received, options);
    const decoder = new SessionFrameDecoder();
    const hello = await readHello(secure, decoder);
    try {
      await this.#options.admit(hello.name, secure.remoteKey);
    } catch (error) {
      if (!(error instanceof P2pError)) throw error;
      const code = REFUSALS[error.code] ?? GoodbyeCode.busy;
      // Other errors speak of this machine, which is nobody else's business.
      await this.#dismiss(secure, hello, code, error.code === "refused" ? error.message : "");
      throw error;
    }
    const id = sessionKey(secure.remoteKey, hello.sessionId);
    const goodbye = this.#dismissed.get(id);
    if (goodbye && hello.resumes) {
      return await this.#dismiss(secure, hello, goodbye.code, goodbye.text);
    }
    const known = this.#live.get(id);
    // A session only ever goes on inside TLS: none begins there.
    if (hello.resumes !== (known !== undefined) || (!known && connection.binding)) {
      return await this.#dismiss(secure, hello, GoodbyeCode.unknownSession, "");
    }
    if (!known && this.#live.size >= MAX_SESSIONS) {
      return await this.#dismiss(secure, hello, GoodbyeCode.busy, "too many peers");
    }
    // From here on the connection is the session's: closing the listener must not take it away.
    this.#handshakes.delete(connection);
    if (known) known.attach(secure, decoder, hello);
    else this.#begin(secure, decoder, hello);
  }

  async #answerTls(connection: Connection, received: ReceiveBuffer): Promise<void> {
    const admits = (request: TlsRequest) => this.#admitsTls(request);
    await answerTls(connection, received, this.#tls ? admits : undefined, (at) => {
      const take = (connection: Connection) => this.take(connection);
      const door = new TlsDoor(at, { take, clock: this.#clock });
      this.#doors.add(door);
      door.closed.then(() => this.#doors.delete(door));
      return door;
    });
  }

  /** A session may go on inside TLS now and then, and asks for it otherwise each time. */
  #admitsTls(request: TlsRequest): boolean {
    if (this.#stalledTls >= MAX_STALLED_TLS) return false;
    const session = [...this.#live.values()].find(({ id }) => belongsTo(request, id));
    const seen = session && this.#nonces.get(session);
    const nonce = request.nonce.toHex();
    if (!seen || seen.size >= MAX_TLS_CONNECTIONS || seen.has(nonce)) return false;
    seen.add(nonce);
    return true;
  }

  #begin(secure: SecureConnection, decoder: SessionFrameDecoder, hello: Hello): void {
    const session = new Session({
      role: "responder",
      id: hello.sessionId,
      name: this.#options.name(),
      remoteKey: secure.remoteKey,
      clock: this.#clock,
    });
    const key = sessionKey(secure.remoteKey, hello.sessionId);
    this.#live.set(key, session);
    this.#nonces.set(session, new Set());
    session.ended.then((end) => {
      this.#live.delete(key);
      if (end.byUs && LASTING_GOODBYES.includes(end.code)) this.#remember(key, end);
    });
    session.attach(secure, decoder, hello);
    this.sessions.push(session);
  }

  #remember(key: string, { code, error }: SessionEnd): void {
    this.#dismissed.set(key, { code, text: error?.message ?? "" });
    if (this.#dismissed.size <= MAX_SESSIONS) return;
    const [oldest] = this.#dismissed.keys();
    this.#dismissed.delete(oldest!);
  }

  /**
   * Tells a peer why there is no session for it. No greeting can answer one that goes on: it would
   * say how far we have got.
   */
  async #dismiss(
    secure: SecureConnection,
    hello: Hello,
    code: number,
    text: string,
  ): Promise<void> {
    const greeting = encodeHello({ ...hello, received: 0, name: this.#options.name() });
    const goodbye = encodeGoodbye({ code, text });
    await secure.write(
      ...hello.resumes ? [] : [encodeStreamless(FrameType.hello, greeting)],
      encodeStreamless(FrameType.goodbye, goodbye),
    );
    await secure.closeWrite();
    await readOut(secure);
    secure.close();
  }
}

function sessionKey(key: Uint8Array, id: Uint8Array): string {
  return `${key.toHex()} ${id.toHex()}`;
}

/** For a person with nc or a browser: what to run instead. */
async function advise(connection: Connection): Promise<void> {
  await connection.write(encodeText(`${ADVICE}\n`));
  await connection.closeWrite();
}

/** Ends a connection that is none of ours. */
async function turnAway(connection: Connection): Promise<never> {
  await advise(connection);
  await readOut(connection);
  throw new UnreachableError("it does not speak p2p");
}

async function readHello(secure: SecureConnection, decoder: SessionFrameDecoder): Promise<Hello> {
  let frame: SessionFrame | undefined;
  while (!(frame = decoder.next())) {
    const bytes = await secure.read();
    if (bytes === null) throw new UnreachableError("it closed before it had greeted");
    decoder.push(bytes);
  }
  if (frame.type !== FrameType.hello) throw new UnreachableError("it began without a greeting");
  return decodeHello(frame.payload);
}
