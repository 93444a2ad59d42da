/**
 * A session with one peer: streams over a secure connection, and over the next one when that is
 * lost. This drives the pure parts (mux, send log, pace) with connections and a clock.
 * protocol/README.md, section 5.
 *
 *                    attach                        GOODBYE, or fail
 *        new ─────────────────▶ connected ──────────────────────────────▶ ended
 *                                │    ▲                                     ▲
 *             the connection was │    │ attach, with the                    │ nobody came back
 *                           lost ▼    │ next one                            │ in time
 *                                away ┴─────────────────────────────────────┘
 */
import { Allowance } from "../protocol/allowance.ts";
import type { ByteStream, Connection, Path } from "../protocol/connection.ts";
import {
  type P2pError,
  ProtocolError,
  SilenceError,
  UnreachableError,
} from "../protocol/errors.ts";
import {
  ACK_BYTES,
  ACK_DELAY_MS,
  DEAD_AFTER_MS,
  FLUSH_TIMEOUT_MS,
  MAX_OPENS_AT_ONCE,
  MAX_OPENS_PER_SECOND,
  MAX_STREAMS,
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
  encodeHello,
  encodeStreamless,
  FrameType,
  type Goodbye,
  GoodbyeCode,
  type Hello,
  isNumbered,
  type SessionFrame,
  type SessionFrameDecoder,
} from "../protocol/session_frame.ts";
import { equalBytes } from "../protocol/bytes.ts";
import type { Clock } from "../protocol/clock.ts";
import { systemClock } from "./clock.ts";
import { goodbyeError } from "./goodbye_error.ts";
import { LazyTimer } from "./lazy_timer.ts";
import { Link, type LinkUser } from "./link.ts";
import { SessionStream } from "./session_stream.ts";
import { whyLost } from "./why_lost.ts";

/** Bytes handed to the connection at once. */
const BATCH_BYTES = 262_144;
/**
 * Frames kept until they are acknowledged: no more are sent then, so that a peer which never does
 * costs little.
 */
const MAX_KEPT_FRAMES = 65_536;
/** Streams that the other side may open. */
const OPENS = { burst: MAX_OPENS_AT_ONCE, perSecond: MAX_OPENS_PER_SECOND };
/** Milliseconds without an acknowledgement after which a connection that is lost had swallowed all. */
const STALLED_MS = DEAD_AFTER_MS / 2;

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
  /** Whether something that this side had sent, or still wanted to, was not acknowledged. */
  undelivered: boolean;
  /** The kinds of the streams that had not ended in both directions. */
  unfinished: readonly string[];
}

/** "away" is without a connection, while there is hope. */
export type SessionState = "connected" | "away" | "ended";

export class Session {
  readonly id: Uint8Array;
  readonly remoteKey: Uint8Array;
  /** Settles when the session is over; never rejects. */
  readonly ended: Promise<SessionEnd>;
  /**
   * Settles when the other side has greeted for the first time; rejects with what ended the session
   * before that.
   */
  readonly greeted: Promise<void>;
  /** Told when the connection is lost: finds the session another one. For whoever dialled. */
  onAway: ((reason: Error | undefined) => void) | undefined;
  /** Told when much is about to be carried: may find it a connection that is made for that. */
  onBulk: (() => void) | undefined;
  /**
   * Told of every change of state, after it; of a connection when the other side has greeted on it.
   * For whoever shows it.
   */
  onState: ((state: SessionState, reason: Error | undefined) => void) | undefined;

  readonly #name: string;
  readonly #clock: Clock;
  readonly #mux: Mux;
  readonly #log = new SendLog();
  readonly #pace = new Pace();
  readonly #streams = new WeakMap<MuxStream, SessionStream>();
  readonly #ended = Promise.withResolvers<SessionEnd>();
  readonly #greeted = Promise.withResolvers<void>();
  /**
   * Settles when the other side has greeted on the present connection, or that is lost: another one
   * may take its place then.
   */
  #settled = Promise.withResolvers<void>();
  #end: SessionEnd | undefined;
  #link: Link | undefined;
  /** The link before, until the other side has greeted on the present one. */
  #retired: Link | undefined;
  #attachments = 0;
  // Of the present link: whether our HELLO has gone out, whether theirs has come, and whether
  // numbered frames may be sent. A session that goes on must first know how far the other side got.
  #greetedOut = false;
  #greetedIn = false;
  #open = false;
  #remoteName = "";
  #path: Path = "direct";
  #carrier = "";
  #remote = "";
  #relayedBecause: string | undefined;
  #received = 0;
  #ackSent = 0;
  #bytesSinceAck = 0;
  #ackNow = false;
  readonly #ackTimer: LazyTimer;
  #cancelHold: (() => void) | undefined;
  #lost: Error | undefined;
  #roundTrip: number | undefined;
  readonly #opens: Allowance;
  #accepted: SessionStream[] = [];
  #acceptWaiting: PromiseWithResolvers<void> | undefined;
  #flushed: PromiseWithResolvers<void> | undefined;

  constructor(options: SessionOptions) {
    this.id = options.id;
    this.remoteKey = options.remoteKey;
    this.#name = options.name;
    this.#clock = options.clock ?? systemClock;
    this.#opens = new Allowance(this.#clock, OPENS);
    this.#ackTimer = new LazyTimer(this.#clock, ACK_DELAY_MS, () => this.#ackAtOnce());
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

  /** What carries the present connection, or carried the last: "secure tcp", "secure tls" … */
  get carrier(): string {
    return this.#carrier;
  }

  /** The other end of the present connection, or of the last. */
  get remote(): string {
    return this.#remote;
  }

  /** Why there is no straight way, if that is known, and the bytes go through a relay. */
  get relayedBecause(): string | undefined {
    return this.#path === "relayed" ? this.#relayedBecause : undefined;
  }

  /** No straight way was found, for whoever shows it. */
  staysRelayed(because: string): void {
    this.#relayedBecause = because;
    if (this.state === "connected" && this.#greetedIn) this.onState?.("connected", undefined);
  }

  /** The last round trip measured, in milliseconds. */
  get roundTrip(): number | undefined {
    return this.#link?.roundTrip ?? this.#roundTrip;
  }

  /**
   * Goes on over this connection, at once, instead of the one before. For a responder `hello` is
   * the initiator's, already read; one that does not fit what this session has seen ends it.
   */
  attach(connection: Connection, decoder?: SessionFrameDecoder, hello?: Hello): void {
    if (this.#end) return connection.close();
    this.#retire();
    this.#settled.resolve();
    this.#settled = Promise.withResolvers();
    this.#log.rewind();
    this.#pace.reset();
    this.#attachments++;
    this.#greetedOut = this.#greetedIn = false;
    this.#open = this.#attachments === 1;
    this.#path = connection.path;
    this.#carrier = connection.carrier;
    this.#remote = connection.remote;
    this.#cancelHold?.();
    const link = new Link(connection, this.#linkUser(), this.#clock, decoder);
    this.#link = link;
    if (hello) this.#tryHello(hello);
    link.start();
  }

  /** Goes on over a better connection while it has one, as soon as the other side is on that. */
  async improve(connection: Connection): Promise<void> {
    // Two connections on their way to the other side could arrive in either order.
    let settled;
    do {
      settled = this.#settled;
      await settled.promise;
    } while (settled !== this.#settled);
    if (this.state === "connected") this.attach(connection);
    else connection.close();
  }

  /** The present link ends; its connection when the other side has heard of the next one. */
  #retire(): void {
    this.#closeRetired();
    this.#retired = this.#link;
    this.#retired?.retire();
  }

  #closeRetired(): void {
    this.#retired?.close();
    this.#retired = undefined;
  }

  #linkUser(): LinkUser {
    return {
      collect: (leaving, anyway) => this.#collect(leaving, anyway),
      receive: (frame) => this.#receive(frame),
      drained: () => this.#scheduleAck(),
      offended: (error) => void this.#offended(error),
      lost: (reason) => this.#detach(reason),
    };
  }

  #tryHello(hello: Hello): void {
    try {
      this.#takeHello(hello);
    } catch (error) {
      this.#offended(error as ProtocolError);
    }
  }

  /** The network has changed: a connection that does not answer soon is given up. */
  check(): void {
    this.#link?.check("the network has changed");
  }

  /**
   * Whether the other side is there, as far as can be found out in 3 s: one that was killed, or has
   * lost its network, may have said nothing of it.
   */
  async isThere(): Promise<boolean> {
    await this.#link?.check("no answer");
    return this.state === "connected";
  }

  /** The kinds of the streams that have not ended in both directions. */
  get unfinished(): string[] {
    return Array.from(this.#mux.streams, ({ kind }) => kind);
  }

  /** Opens a stream. Works while the session is away: it then waits with the rest. */
  open(kind: string, priority: Priority): ByteStream {
    if (this.#end) throw this.endError();
    const stream = this.#wrap(this.#mux.open(kind, priority));
    this.wake();
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
   * Ends the session: waits until the other side has acknowledged everything (5 s at most; not if
   * the user interrupted), says goodbye, and resolves when the connection is closed.
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
      new UnreachableError(`${this.#who} is gone: the session is over`);
  }

  /** Something is to be sent. */
  wake(): void {
    this.#link?.wake();
  }

  get over(): boolean {
    return this.#end !== undefined;
  }

  /** The other side as errors call it. */
  get #who(): string {
    return this.#remoteName || this.#remote;
  }

  /** Whether the other side has acknowledged everything. */
  get delivered(): boolean {
    return this.#log.kept === 0 && this.#mux.idle;
  }

  // Sending

  /**
   * Everything of the session that can go out now, up to a batch. An ACK travels with other things,
   * or when it is time for it.
   */
  #collect(leaving: boolean, anyway: boolean): Uint8Array[] {
    const parts: Uint8Array[] = [];
    if (!this.#greetedOut) parts.push(this.#hello());
    if (this.#open && !leaving) this.#collectNumbered(parts);
    const ackable = this.#received > this.#ackSent && this.#greetedIn;
    if (ackable && (this.#ackNow || anyway || parts.length > 0)) {
      parts.push(encodeStreamless(FrameType.ack, encodeCount(this.#received)));
      this.#acked();
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

  #hello(): Uint8Array {
    this.#greetedOut = true;
    const resumes = this.#attachments > 1;
    this.#acked();
    return encodeStreamless(
      FrameType.hello,
      encodeHello({ sessionId: this.id, received: this.#received, resumes, name: this.#name }),
    );
  }

  /** The other side is being told how much has been received. */
  #acked(): void {
    this.#ackSent = this.#received;
    this.#bytesSinceAck = 0;
    this.#ackNow = false;
    this.#ackTimer.unset();
  }

  // Receiving

  #receive(frame: SessionFrame): void {
    if (!this.#greetedIn && frame.type !== FrameType.hello && frame.type !== FrameType.goodbye) {
      throw new ProtocolError("Session not accepted: it began without a greeting");
    }
    if (isNumbered(frame.type)) return this.#receiveNumbered(frame);
    switch (frame.type) {
      case FrameType.hello:
        return this.#takeHello(decodeHello(frame.payload));
      case FrameType.ack:
        return this.#takeAck(decodeCount(frame.payload));
      case FrameType.goodbye:
        return this.#takeGoodbye(decodeGoodbye(frame.payload));
    }
  }

  #receiveNumbered(frame: SessionFrame): void {
    this.#received++;
    this.#bytesSinceAck += frame.payload.length;
    if (frame.type === FrameType.open && !this.#opens.take()) {
      throw new ProtocolError("Session ended: the other side opens streams without end");
    }
    this.#mux.receive(frame);
    if (frame.type === FrameType.finish) this.#ackNow = true;
    // Grants and resets that the frame provoked go out at once, and what it granted is used at
    // once.
    if (this.#mux.controlPending || this.#ackNow || frame.type === FrameType.window) this.wake();
  }

  #takeHello(hello: Hello): void {
    if (this.#greetedIn || !equalBytes(hello.sessionId, this.id)) {
      throw new ProtocolError("Greeting not accepted: it is for another session");
    }
    if (hello.resumes !== this.#attachments > 1) {
      throw new ProtocolError("Greeting not accepted: the sides disagree on whether this is new");
    }
    this.#remoteName = hello.name;
    this.#greetedIn = true;
    this.#closeRetired();
    this.#takeAck(hello.received);
    this.#open = true;
    this.#greeted.resolve();
    this.#settled.resolve();
    this.onState?.("connected", undefined);
    this.wake();
  }

  #takeAck(count: number): void {
    const now = this.#clock.now();
    const sample = this.#log.acknowledge(count, now);
    if (sample) this.#pace.acknowledged(sample, now);
    if (this.#flushed && this.delivered) this.#flushed.resolve();
    this.wake();
  }

  #takeGoodbye(goodbye: Goodbye): void {
    this.#finishWith({ code: GoodbyeCode.done, text: "" }, {
      error: goodbyeError(goodbye, this.#who),
      code: goodbye.code,
      byUs: false,
    });
  }

  #scheduleAck(): void {
    if (this.#received === this.#ackSent || !this.#link || this.#end) return;
    if (this.#bytesSinceAck >= ACK_BYTES) this.#ackAtOnce();
    else this.#ackTimer.set();
  }

  #ackAtOnce(): void {
    this.#ackNow = true;
    this.wake();
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

  /** The connection is of no more use. The session waits for another. */
  #detach(reason: Error): void {
    // Whoever ends the session sees to the rest: the GOODBYE may be on its way yet.
    if (this.#end) return;
    this.#closeLink();
    this.#lost = reason;
    this.#cancelHold = this.#clock.after(SESSION_HOLD_MS, () => this.#giveUp());
    this.onState?.("away", reason);
    this.onAway?.(this.#isStalled ? new SilenceError(reason.message, { cause: reason }) : reason);
  }

  /** Whether what was sent has not arrived for long, though the other side may have been heard. */
  get #isStalled(): boolean {
    const since = this.#log.oldestSentAt;
    return since !== undefined && this.#clock.now() - since >= STALLED_MS;
  }

  #giveUp(): void {
    this.fail(
      new UnreachableError(`Lost ${this.#who}: ${whyLost(this.#lost)}`),
    );
  }

  #closeLink(): void {
    this.#roundTrip = this.#link?.roundTrip;
    this.#link?.close();
    this.#link = undefined;
    this.#closeRetired();
    this.#settled.resolve();
  }

  /** The other side broke the protocol, or somebody on the way altered what it sent. */
  #offended(error: ProtocolError): Promise<void> {
    return this.fail(error, { code: GoodbyeCode.protocolError, text: error.message });
  }

  /** Resolves when everything is acknowledged, the session is over, or it takes too long. */
  async #flush(): Promise<void> {
    // Without a connection there is nothing to wait for here: who must know waits for `finish` of
    // its streams.
    if (this.#end || !this.#link || this.delivered) return;
    this.#flushed ??= Promise.withResolvers();
    const cancel = this.#clock.after(FLUSH_TIMEOUT_MS, this.#flushed.resolve);
    await Promise.race([this.#flushed.promise, this.ended]);
    cancel();
  }

  async #finishWith(
    goodbye: Goodbye | undefined,
    how: Omit<SessionEnd, "undelivered" | "unfinished">,
  ): Promise<void> {
    if (this.#end) return void await this.ended;
    const { unfinished } = this;
    const end = { ...how, undelivered: !this.delivered, unfinished };
    this.#end = end;
    this.#cancelHold?.();
    this.#ackTimer.stop();
    this.#greeted.reject(this.endError());
    this.#mux.fail(this.endError());
    this.#log.clear();
    this.#acceptWaiting?.resolve();
    const link = this.#link;
    if (goodbye) await link?.sayGoodbye(goodbye);
    this.#closeLink();
    // Some carriers lose what was said last if the program ends before the other side has it.
    await link?.connection[Symbol.asyncDispose]();
    this.#ended.resolve(end);
    this.onState?.("ended", end.error);
  }
}
