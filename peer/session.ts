/**
 * A session with one peer: streams over a secure connection, and over the next one when that is lost. This drives the pure parts
 * (mux, send log, pace) with connections and a clock. protocol/README.md, section 5.
 *
 *                    attach                        GOODBYE, or fail
 *        new ─────────────────▶ connected ──────────────────────────────▶ ended
 *                                │    ▲                                     ▲
 *             the connection was │    │ attach, with the                    │ nobody came back
 *                           lost ▼    │ next one                            │ in time
 *                                away ┴─────────────────────────────────────┘
 */
import type { ByteStream, Connection, Path } from "../protocol/connection.ts";
import {
  IdentityError,
  type P2pError,
  ProtocolError,
  RefusedError,
  UnreachableError,
} from "../protocol/errors.ts";
import {
  ACK_BYTES,
  ACK_DELAY_MS,
  DEAD_AFTER_MS,
  FLUSH_TIMEOUT_MS,
  GOODBYE_TIMEOUT_MS,
  MAX_STREAMS,
  PING_AFTER_MS,
  SESSION_HOLD_MS,
} from "../protocol/limits.ts";
import { Mux, type MuxStream, type Priority } from "../protocol/mux.ts";
import { Pace } from "../protocol/pace.ts";
import { SendLog } from "../protocol/send_log.ts";
import {
  decodeCount,
  decodeGoodbye,
  decodeHello,
  encodeCount,
  encodeFrame,
  encodeGoodbye,
  encodeHello,
  FrameType,
  type Goodbye,
  GoodbyeCode,
  type Hello,
  isNumbered,
  type SessionFrame,
  SessionFrameDecoder,
} from "../protocol/session_frame.ts";
import { equalBytes } from "../protocol/bytes.ts";
import { type Clock, systemClock } from "./clock.ts";
import { readOut } from "./read_out.ts";
import { SessionStream } from "./session_stream.ts";

/** Bytes handed to the connection at once. */
const BATCH_BYTES = 262_144;
/** Frames kept until they are acknowledged: no more are sent then, so that a peer which never does costs little. */
const MAX_KEPT_FRAMES = 65_536;

export interface SessionOptions {
  role: "initiator" | "responder";
  /** 16 bytes. */
  id: Uint8Array;
  /** The name that we go by. */
  name: string;
  /** The peer's static key. */
  remoteKey: Uint8Array;
  clock?: Clock;
}

/** How a session ended. */
export interface SessionEnd {
  /** Undefined if one side said goodbye because it was done, or its user wanted so. */
  error: P2pError | undefined;
  /** The GOODBYE's code. */
  code: number;
  /** Whether this side ended it. */
  byUs: boolean;
}

/** "away" is without a connection, while there is hope. */
export type SessionState = "connected" | "away" | "ended";

/** One connection while the session uses it. */
interface Link {
  connection: Connection;
  decoder: SessionFrameDecoder;
  wake: PromiseWithResolvers<void>;
  /** Whether our HELLO has gone out, and theirs has come. */
  greeted: boolean;
  theirHello: boolean;
  /** Whether numbered frames may be sent: a session that goes on must first know how far the other side got. */
  open: boolean;
  lastHeard: number;
  ping: boolean;
  pong: Uint8Array | undefined;
  farewell: Goodbye | undefined;
  /** Settle when the last byte is written, and when the other side has closed. */
  written: PromiseWithResolvers<void>;
  closed: PromiseWithResolvers<void>;
  cancelKeepAlive: () => void;
  cancelBroken: () => void;
}

export class Session {
  readonly role: "initiator" | "responder";
  readonly id: Uint8Array;
  readonly remoteKey: Uint8Array;
  /** Settles when the session is over; never rejects. */
  readonly ended: Promise<SessionEnd>;
  /** Settles when the other side has greeted for the first time; rejects with what ended the session before that. */
  readonly greeted: Promise<void>;
  /** Told when the connection is lost: finds the session another one. For whoever dialled. */
  onAway: (() => void) | undefined;
  /** Told of every change of state, after it. For whoever shows it. */
  onState: ((state: SessionState, reason: Error | undefined) => void) | undefined;

  readonly #name: string;
  readonly #clock: Clock;
  readonly #mux: Mux;
  readonly #log = new SendLog();
  readonly #pace = new Pace();
  readonly #streams = new WeakMap<MuxStream, SessionStream>();
  readonly #ended = Promise.withResolvers<SessionEnd>();
  readonly #greeted = Promise.withResolvers<void>();
  #end: SessionEnd | undefined;
  #link: Link | undefined;
  #attachments = 0;
  #remoteName = "";
  #path: Path = "direct";
  #remote = "";
  #received = 0;
  #ackSent = 0;
  #bytesSinceAck = 0;
  #ackNow = false;
  #cancelAck: (() => void) | undefined;
  #cancelHold: (() => void) | undefined;
  #lost: Error | undefined;
  #roundTrip: number | undefined;
  #accepted: SessionStream[] = [];
  #acceptWaiting: PromiseWithResolvers<void> | undefined;
  #flushed: PromiseWithResolvers<void> | undefined;

  constructor(options: SessionOptions) {
    this.role = options.role;
    this.id = options.id;
    this.remoteKey = options.remoteKey;
    this.#name = options.name;
    this.#clock = options.clock ?? systemClock;
    this.ended = this.#ended.promise;
    this.greeted = this.#greeted.promise;
    this.#greeted.promise.catch(() => {});
    this.#mux = new Mux(options.role, {
      opened: (stream) => this.#opened(stream),
      changed: (stream) => this.#streams.get(stream)?.changed(),
    });
  }

  /** The name that the other side goes by, as it greeted; "" before that. */
  get remoteName(): string {
    return this.#remoteName;
  }

  get state(): SessionState {
    if (this.#end) return "ended";
    return this.#link ? "connected" : "away";
  }

  /** How the bytes travel now, or did last. */
  get path(): Path {
    return this.#path;
  }

  /** The other end of the present connection, or of the last. */
  get remote(): string {
    return this.#remote;
  }

  /** The last round trip measured, in milliseconds. */
  get roundTrip(): number | undefined {
    return this.#roundTrip;
  }

  /**
   * Goes on over this connection, at once, instead of the one before. For a responder `hello` is the initiator's, already read;
   * one that does not fit what this session has seen ends it.
   */
  attach(connection: Connection, decoder = new SessionFrameDecoder(), hello?: Hello): void {
    if (this.#end) return connection.close();
    this.#drop();
    this.#log.rewind();
    this.#pace.reset();
    const link = this.#newLink(connection, decoder);
    this.#attachments++;
    this.#link = link;
    this.#path = connection.path;
    this.#remote = connection.remote;
    this.#cancelHold?.();
    this.#keepAlive(link);
    if (hello) this.#tryHello(link, hello);
    this.#sendLoop(link);
    this.#receiveLoop(link);
    if (!this.#end) this.onState?.("connected", undefined);
  }

  #newLink(connection: Connection, decoder: SessionFrameDecoder): Link {
    return {
      connection,
      decoder,
      wake: Promise.withResolvers(),
      greeted: false,
      theirHello: false,
      open: this.#attachments === 0,
      lastHeard: this.#clock.now(),
      ping: true,
      pong: undefined,
      farewell: undefined,
      written: Promise.withResolvers(),
      closed: Promise.withResolvers(),
      cancelKeepAlive: () => {},
      cancelBroken: () => {},
    };
  }

  #tryHello(link: Link, hello: Hello): void {
    try {
      this.#takeHello(link, hello);
    } catch (error) {
      this.#offended(error as ProtocolError);
    }
  }

  /** Opens a stream. Works while the session is away: it then waits with the rest. */
  open(kind: string, priority: Priority): ByteStream {
    if (this.#end) throw this.endError();
    const stream = this.#wrap(this.#mux.open(kind, priority));
    this.#wake();
    return stream;
  }

  /** The next stream that the other side opens, or null when the session is over. */
  async accept(): Promise<ByteStream | null> {
    for (;;) {
      const stream = this.#accepted.shift();
      if (stream) return stream;
      if (this.#end) return null;
      this.#acceptWaiting ??= Promise.withResolvers();
      await this.#acceptWaiting.promise;
    }
  }

  /**
   * Ends the session: waits until the other side has acknowledged everything (5 s at most; not if the user
   * interrupted), says goodbye, and resolves when the connection is closed.
   */
  async end(code: number = GoodbyeCode.done, text = ""): Promise<void> {
    if (code === GoodbyeCode.done) await this.#flush();
    await this.#finishWith({ code, text }, { error: undefined, code, byUs: true });
  }

  /** Ends the session because of an error, and tells the other side why if there is still a way. */
  async fail(error: P2pError, goodbye?: Goodbye): Promise<void> {
    await this.#finishWith(goodbye, { error, code: goodbye?.code ?? GoodbyeCode.done, byUs: true });
  }

  /** What whoever still waits for something in this session is told. */
  endError(): P2pError {
    return this.#end?.error ??
      new UnreachableError(`${this.#remoteName || this.#remote} is gone: the session is over`);
  }

  /** For streams: something is to be sent. */
  wake(): void {
    this.#wake();
  }

  get over(): boolean {
    return this.#end !== undefined;
  }

  // Sending

  async #sendLoop(link: Link): Promise<void> {
    try {
      while (link === this.#link) {
        const parts = this.#collect(link);
        if (parts.length > 0) {
          await link.connection.write(...parts);
          continue;
        }
        if (link.farewell) break;
        await link.wake.promise;
        link.wake = Promise.withResolvers();
      }
      if (link.farewell) await link.connection.closeWrite();
    } catch (error) {
      this.#writeFailed(link, error as Error);
    }
    link.written.resolve();
  }

  /** What the other side said last may still be there to be read: the reader notices the loss, too, unless it is stuck. */
  #writeFailed(link: Link, error: Error): void {
    if (link !== this.#link) return;
    link.cancelBroken = this.#clock.after(GOODBYE_TIMEOUT_MS, () => this.#detach(link, error));
  }

  /** Everything that can go out now, up to a batch. */
  #collect(link: Link): Uint8Array[] {
    const parts: Uint8Array[] = [];
    if (!link.greeted) parts.push(this.#hello(link));
    if (link.open && !link.farewell) this.#collectNumbered(parts);
    if (link.ping) {
      parts.push(frameOf(FrameType.ping, encodeCount(Math.round(this.#clock.now() * 1_000))));
    }
    if (link.pong) parts.push(frameOf(FrameType.pong, link.pong));
    link.ping = false;
    link.pong = undefined;
    const ackDue = this.#received > this.#ackSent && link.theirHello;
    if (ackDue && (this.#ackNow || parts.length > 0 || link.farewell)) {
      parts.push(frameOf(FrameType.ack, encodeCount(this.#received)));
      this.#acked();
    }
    if (link.farewell && link.farewell !== SAID) {
      parts.push(frameOf(FrameType.goodbye, encodeGoodbye(link.farewell)));
      link.farewell = SAID;
    }
    return parts;
  }

  #collectNumbered(parts: Uint8Array[]): void {
    const now = this.#clock.now();
    for (let size = 0; size < BATCH_BYTES;) {
      let frame = this.#log.next(now);
      if (!frame) {
        if (this.#log.kept >= MAX_KEPT_FRAMES) return;
        const fresh = this.#mux.next(this.#log.inFlight < this.#pace.limit);
        if (!fresh) return;
        this.#log.append(fresh);
        frame = this.#log.next(now)!;
      }
      parts.push(frame.header, frame.payload);
      size += frame.header.length + frame.payload.length;
    }
  }

  #hello(link: Link): Uint8Array {
    link.greeted = true;
    const resumes = this.#attachments > 1;
    this.#acked();
    return frameOf(
      FrameType.hello,
      encodeHello({ sessionId: this.id, received: this.#received, resumes, name: this.#name }),
    );
  }

  /** The other side is being told how much has been received. */
  #acked(): void {
    this.#ackSent = this.#received;
    this.#bytesSinceAck = 0;
    this.#ackNow = false;
    this.#cancelAck?.();
    this.#cancelAck = undefined;
  }

  #wake(): void {
    this.#link?.wake.resolve();
  }

  // Receiving

  async #receiveLoop(link: Link): Promise<void> {
    let reason: Error = new UnreachableError("the other side broke off");
    try {
      while (await this.#receiveChunk(link));
    } catch (error) {
      reason = error as Error;
    }
    if (reason instanceof ProtocolError && link === this.#link) {
      this.#offended(reason);
      if (!await readOut(link.connection)) return;
    }
    link.closed.resolve();
    this.#detach(link, reason);
  }

  /** Takes in what has arrived, then waits for more: false at the end. */
  async #receiveChunk(link: Link): Promise<boolean> {
    for (let frame = link.decoder.next(); frame; frame = link.decoder.next()) {
      if (link === this.#link && !this.#end) this.#receive(link, frame);
    }
    if (link === this.#link) this.#scheduleAck();
    const bytes = await link.connection.read();
    if (bytes === null) return false;
    link.lastHeard = this.#clock.now();
    link.decoder.push(bytes);
    return true;
  }

  #receive(link: Link, frame: SessionFrame): void {
    if (!link.theirHello && frame.type !== FrameType.hello && frame.type !== FrameType.goodbye) {
      throw new ProtocolError("Session not accepted: it began without a greeting");
    }
    if (isNumbered(frame.type)) return this.#receiveNumbered(frame);
    switch (frame.type) {
      case FrameType.hello:
        return this.#takeHello(link, decodeHello(frame.payload));
      case FrameType.ack:
        return this.#takeAck(decodeCount(frame.payload));
      case FrameType.ping:
        link.pong = frame.payload.slice();
        return this.#wake();
      case FrameType.pong:
        this.#roundTrip = this.#clock.now() - decodeCount(frame.payload) / 1_000;
        return;
      case FrameType.goodbye:
        return this.#takeGoodbye(decodeGoodbye(frame.payload));
    }
  }

  #receiveNumbered(frame: SessionFrame): void {
    this.#received++;
    this.#bytesSinceAck += frame.payload.length;
    this.#mux.receive(frame);
    if (frame.type === FrameType.finish) this.#ackNow = true;
    // Grants and resets that the frame provoked go out at once, and what it granted is used at once.
    if (this.#mux.controlPending || this.#ackNow || frame.type === FrameType.window) this.#wake();
  }

  #takeHello(link: Link, hello: Hello): void {
    if (link.theirHello || !equalBytes(hello.sessionId, this.id)) {
      throw new ProtocolError("Greeting not accepted: it is for another session");
    }
    if (hello.resumes !== this.#attachments > 1) {
      throw new ProtocolError("Greeting not accepted: the sides disagree on whether this is new");
    }
    this.#remoteName = hello.name;
    link.theirHello = true;
    this.#takeAck(hello.received);
    link.open = true;
    this.#greeted.resolve();
    this.#wake();
  }

  #takeAck(count: number): void {
    const now = this.#clock.now();
    const sample = this.#log.acknowledge(count, now);
    if (sample) this.#pace.acknowledged(sample, now);
    if (this.#flushed && this.#log.kept === 0 && this.#mux.idle) this.#flushed.resolve();
    this.#wake();
  }

  #takeGoodbye(goodbye: Goodbye): void {
    this.#finishWith({ code: GoodbyeCode.done, text: "" }, {
      error: goodbyeError(goodbye, this.#remoteName || this.#remote),
      code: goodbye.code,
      byUs: false,
    });
  }

  #scheduleAck(): void {
    if (this.#received === this.#ackSent || !this.#link || this.#end) return;
    if (this.#bytesSinceAck >= ACK_BYTES) {
      this.#ackNow = true;
      this.#wake();
    } else {
      this.#cancelAck ??= this.#clock.after(ACK_DELAY_MS, () => {
        this.#ackNow = true;
        this.#wake();
      });
    }
  }

  #opened(stream: MuxStream): void {
    // Those that were reset before anybody wanted them would add up without end.
    if (this.#accepted.length >= MAX_STREAMS) {
      this.#accepted = this.#accepted.filter((each) => !each.broken);
    }
    this.#accepted.push(this.#wrap(stream));
    this.#acceptWaiting?.resolve();
    this.#acceptWaiting = undefined;
  }

  #wrap(stream: MuxStream): SessionStream {
    const wrapped = new SessionStream(this, this.#mux, stream);
    this.#streams.set(stream, wrapped);
    return wrapped;
  }

  // Losing connections, and ending

  #keepAlive(link: Link): void {
    const idle = this.#clock.now() - link.lastHeard;
    if (idle >= DEAD_AFTER_MS) {
      const seconds = Math.round(idle / 1_000);
      return this.#detach(link, new UnreachableError(`no sign of life for ${seconds} s`));
    }
    if (idle >= PING_AFTER_MS) {
      link.ping = true;
      link.wake.resolve();
    }
    const wait = idle >= PING_AFTER_MS ? DEAD_AFTER_MS - idle : PING_AFTER_MS - idle;
    link.cancelKeepAlive = this.#clock.after(Math.max(wait, 10), () => this.#keepAlive(link));
  }

  /** The connection is of no more use. The session waits for another. */
  #detach(link: Link, reason: Error): void {
    if (link !== this.#link) return link.connection.close();
    // Whoever ends the session sees to the rest: the GOODBYE may be on its way yet.
    if (this.#end) return;
    this.#drop();
    this.#lost = reason;
    this.#cancelHold = this.#clock.after(SESSION_HOLD_MS, () => this.#giveUp());
    this.onState?.("away", reason);
    this.onAway?.();
  }

  #giveUp(): void {
    const who = this.#remoteName || this.#remote;
    this.fail(
      new UnreachableError(`Lost ${who}: ${lowerFirst(this.#lost?.message ?? "no connection")}`),
    );
  }

  #drop(): void {
    this.#link?.cancelKeepAlive();
    this.#link?.cancelBroken();
    this.#link?.connection.close();
    this.#link?.wake.resolve();
    this.#link = undefined;
  }

  /** The other side broke the protocol, or somebody on the way altered what it sent. */
  #offended(error: ProtocolError): Promise<void> {
    return this.fail(error, { code: GoodbyeCode.protocolError, text: error.message });
  }

  /** Resolves when everything is acknowledged, the session is over, or it takes too long. */
  async #flush(): Promise<void> {
    // Without a connection there is nothing to wait for here: who must know waits for `finish` of its streams.
    if (this.#end || !this.#link || (this.#log.kept === 0 && this.#mux.idle)) return;
    this.#flushed ??= Promise.withResolvers();
    const cancel = this.#clock.after(FLUSH_TIMEOUT_MS, this.#flushed.resolve);
    await Promise.race([this.#flushed.promise, this.ended]);
    cancel();
  }

  async #finishWith(goodbye: Goodbye | undefined, end: SessionEnd): Promise<void> {
    if (this.#end) return void await this.ended;
    this.#end = end;
    const link = this.#link;
    this.#cancelHold?.();
    this.#cancelAck?.();
    this.#greeted.reject(this.endError());
    this.#mux.fail(this.endError());
    this.#log.clear();
    this.#acceptWaiting?.resolve();
    if (link && goodbye) await this.#sayGoodbye(link, goodbye);
    this.#drop();
    this.#ended.resolve(end);
    this.onState?.("ended", end.error);
  }

  /** Sends the GOODBYE and waits until the other side has closed, too, or long enough. */
  async #sayGoodbye(link: Link, goodbye: Goodbye): Promise<void> {
    link.farewell = goodbye;
    link.wake.resolve();
    const timeout = Promise.withResolvers<void>();
    const cancel = this.#clock.after(GOODBYE_TIMEOUT_MS, timeout.resolve);
    const done = Promise.all([link.written.promise, link.closed.promise]);
    await Promise.race([timeout.promise, done]);
    cancel();
  }
}

/** Stands in a link's `farewell` once the GOODBYE is on its way. */
const SAID: Goodbye = { code: GoodbyeCode.done, text: "" };

function frameOf(type: FrameType, payload: Uint8Array): Uint8Array {
  return encodeFrame({ type, stream: 0, payload });
}

/** What the other side's GOODBYE means for us; undefined if all is well. */
function goodbyeError(goodbye: Goodbye, who: string): P2pError | undefined {
  const said = goodbye.text === "" ? "" : `: ${goodbye.text}`;
  switch (goodbye.code) {
    case GoodbyeCode.done:
    case GoodbyeCode.interrupted:
      return undefined;
    case GoodbyeCode.unknownSession:
      return new UnreachableError(
        `Lost ${who}: it was started anew and does not know this session`,
      );
    case GoodbyeCode.identityRefused:
      return new IdentityError(`${who} refused this side's identity${said}`, {
        hint:
          "Another key is known there under your name: take another --name, or have them p2p forget it.",
      });
    case GoodbyeCode.busy:
      return new RefusedError(`${who} is busy${said}`, { hint: "Try again later." });
    default:
      return new ProtocolError(`${who} ended the session${said}`, {
        hint: "Both sides need the same version of p2p.",
      });
  }
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
