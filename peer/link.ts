/**
 * One connection while a session uses it: what writes to it, what reads from it, its keep-alive and
 * its farewell. A session has one link at a time, and many in its life.
 */
import { totalLength } from "../protocol/bytes.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import { ProtocolError, SilenceError, UnreachableError } from "../protocol/errors.ts";
import { DEAD_AFTER_MS, GOODBYE_TIMEOUT_MS, PING_AFTER_MS } from "../protocol/limits.ts";
import {
  decodeCount,
  encodeCount,
  encodeGoodbye,
  encodeStreamless,
  FrameType,
  type Goodbye,
  type SessionFrame,
  SessionFrameDecoder,
} from "../protocol/session_frame.ts";
import { QuickAnswers } from "../protocol/quick_answers.ts";
import { readOut } from "../protocol/read_out.ts";
import { breathe } from "../transfer/breathe.ts";
import { StayAwake } from "./stay_awake.ts";

/**
 * Milliseconds by which a timer may be late before that tells of this process, and not of the
 * other.
 */
const HELD_UP_MS = 1_000;
/** Milliseconds in which a sign of life must come where there is doubt. */
const CHECK_MS = 3_000;
/** Of these, the ones at whose end something must still come: before that it may have been late. */
const CHECK_LAST_MS = 1_500;
/** Bytes that one link carries in one go, and frames that it takes: a fraction of a millisecond. */
const TURN_BYTES = 262_144;
const TURN_FRAMES = 256;

/** The session, as its link sees it. None of these is called after `close`. */
export interface LinkUser {
  /**
   * What is to go out next, as frames or pieces of them; nothing if there is nothing.
   * @param leaving whether only what belongs to an end may go: no numbered frames
   * @param anyway whether something goes out in any case, that an ACK may travel with
   */
  collect(leaving: boolean, anyway: boolean): Uint8Array[];
  /**
   * Takes a frame that is none of the link's own.
   * @throws {ProtocolError} if the other side may not send it
   */
  receive(frame: SessionFrame): void;
  /** All that had arrived was taken. */
  drained(): void;
  /** The other side broke the protocol, or somebody altered what it sent. */
  offended(error: ProtocolError): void;
  /** The connection is of no more use. */
  lost(reason: Error): void;
}

export class Link {
  readonly connection: Connection;
  readonly #decoder: SessionFrameDecoder;
  readonly #user: LinkUser;
  readonly #clock: Clock;
  #wake = Promise.withResolvers<void>();
  #lastHeard: number;
  /** The first one measures the round trip. */
  #pingDue = true;
  #pong: Uint8Array | undefined;
  #roundTrip: number | undefined;
  #farewell: Goodbye | undefined;
  #farewellSent = false;
  /** Settle when the last byte is written, and when the other side has closed. */
  readonly #written = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #closed = false;
  /** Bytes, both ways, since others had their turn, and frames that were taken. */
  #sinceTurn = 0;
  #framesSinceTurn = 0;
  readonly #quickAnswers = new QuickAnswers();
  readonly #awake = new StayAwake();
  #cancelKeepAlive: () => void = () => {};
  #cancelStuck: () => void = () => {};
  /** The check that is under way is over. */
  #checked: () => void = () => {};

  /** @param decoder holds what was already read of the connection */
  constructor(
    connection: Connection,
    user: LinkUser,
    clock: Clock,
    decoder: SessionFrameDecoder = new SessionFrameDecoder(),
  ) {
    this.connection = connection;
    this.#user = user;
    this.#clock = clock;
    this.#decoder = decoder;
    this.#lastHeard = clock.now();
  }

  /** Milliseconds from the last PING to its PONG. */
  get roundTrip(): number | undefined {
    return this.#roundTrip;
  }

  /** Begins to send and to receive. */
  start(): void {
    this.#keepAlive();
    this.#sendLoop();
    this.#receiveLoop();
  }

  /**
   * Whether it still works is in doubt: it is given up where PING gets no answer in 3 s, and nothing
   * else comes at their end.
   * @param doubt why it is to be given up
   * @returns when that is known
   */
  check(doubt: string): Promise<void> {
    this.#pingDue = true;
    this.wake();
    this.#checked();
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(CHECK_MS, () => {
      resolve();
      const silentMs = this.#clock.now() - this.#lastHeard;
      if (silentMs > CHECK_LAST_MS) this.#lose(new UnreachableError(doubt));
    });
    this.#checked = () => {
      cancel();
      resolve();
    };
    return promise;
  }

  /** There may be something to send. */
  wake(): void {
    this.#wake.resolve();
  }

  /**
   * Sends the GOODBYE, and resolves when the other side has closed, too, or after long enough. What
   * arrives meanwhile is dropped.
   */
  async sayGoodbye(goodbye: Goodbye): Promise<void> {
    this.#farewell = goodbye;
    this.wake();
    const timeout = Promise.withResolvers<void>();
    const cancel = this.#clock.after(GOODBYE_TIMEOUT_MS, timeout.resolve);
    const done = Promise.all([this.#written.promise, this.#ended.promise]);
    await Promise.race([timeout.promise, done]);
    cancel();
  }

  /**
   * Sends no more, and drops what still arrives: the session goes on over another link. The
   * connection stays open until `close`, so that the other side does not take it for lost.
   */
  retire(): void {
    this.#closed = true;
    this.#awake.end();
    this.#cancelKeepAlive();
    this.#cancelStuck();
    this.#checked();
    this.wake();
  }

  /** Closes the connection. Idempotent. */
  close(): void {
    this.retire();
    this.connection.close();
  }

  async #sendLoop(): Promise<void> {
    try {
      while (!this.#closed) {
        const parts = this.#collect();
        if (parts.length > 0) {
          await this.#write(parts);
          continue;
        }
        if (this.#farewellSent) break;
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
      }
      if (!this.#closed) await this.connection.closeWrite();
    } catch (error) {
      this.#writeFailed(error as Error);
    }
    this.#written.resolve();
  }

  async #write(parts: Uint8Array[]): Promise<void> {
    const bytes = totalLength(parts);
    const written = this.connection.write(...parts);
    if (this.#quickAnswers.wrote(bytes, this.#clock.now())) this.#awake.begin();
    await written;
    await this.#passed(bytes);
  }

  /**
   * What the other side said last may still be there to be read: the reader notices the loss, too,
   * unless it is stuck.
   */
  #writeFailed(error: Error): void {
    if (this.#closed) return;
    this.#cancelStuck = this.#clock.after(GOODBYE_TIMEOUT_MS, () => this.#lose(error));
  }

  /** Everything that can go out now. The GOODBYE is the last. */
  #collect(): Uint8Array[] {
    if (this.#farewellSent) return [];
    const own: Uint8Array[] = [];
    if (this.#pingDue) {
      own.push(encodeStreamless(FrameType.ping, encodeCount(this.#microseconds())));
    }
    if (this.#pong) own.push(encodeStreamless(FrameType.pong, this.#pong));
    this.#pingDue = false;
    this.#pong = undefined;
    const leaving = this.#farewell !== undefined;
    const parts = this.#user.collect(leaving, leaving || own.length > 0);
    if (this.#farewell) {
      own.push(encodeStreamless(FrameType.goodbye, encodeGoodbye(this.#farewell)));
    }
    this.#farewellSent = leaving;
    return own.length === 0 ? parts : [...parts, ...own];
  }

  async #receiveLoop(): Promise<void> {
    let reason: Error = new UnreachableError("the other side broke off");
    try {
      while (await this.#receiveChunk());
    } catch (error) {
      reason = error as Error;
    }
    if (reason instanceof ProtocolError && !this.#closed) {
      this.#user.offended(reason);
      // Bytes that nobody reads would make the system take back the GOODBYE when the connection is
      // closed.
      if (!await readOut(this.connection)) return;
    }
    this.#ended.resolve();
    this.#lose(reason);
  }

  /** Takes in what has arrived, then waits for more: false at the end. */
  async #receiveChunk(): Promise<boolean> {
    for (let frame = this.#decoder.next(); frame; frame = this.#decoder.next()) {
      if (!this.#closed && !this.#farewell) this.#receive(frame);
      if (++this.#framesSinceTurn >= TURN_FRAMES) await this.#giveTurn();
    }
    if (!this.#closed && !this.#farewell) this.#user.drained();
    const bytes = await this.connection.read();
    if (bytes === null) return false;
    this.#lastHeard = this.#clock.now();
    this.#quickAnswers.heard(bytes.length, this.#lastHeard);
    this.#awake.end();
    await this.#passed(bytes.length);
    this.#decoder.push(bytes);
    return true;
  }

  /**
   * Lets everything else have its turn after some bytes: while a connection is always ready, the
   * runtime goes on with it alone, and what is typed waits.
   */
  #passed(bytes: number): Promise<void> | undefined {
    this.#sinceTurn += bytes;
    if (this.#sinceTurn < TURN_BYTES) return undefined;
    this.#sinceTurn = 0;
    return breathe();
  }

  /** Small frames come by the hundred thousand in the bytes of a turn. */
  #giveTurn(): Promise<void> {
    this.#framesSinceTurn = 0;
    return breathe();
  }

  #receive(frame: SessionFrame): void {
    this.#user.receive(frame);
    if (frame.type === FrameType.ping) {
      // Only the last one is answered, however many there are.
      this.#pong = frame.payload;
      this.wake();
    } else if (frame.type === FrameType.pong) {
      this.#roundTrip = (this.#microseconds() - decodeCount(frame.payload)) / 1_000;
      this.#checked();
    }
  }

  /**
   * @param due when this was to be called: much later than that, this process itself was held up,
   *   and has not read what came meanwhile
   */
  #keepAlive(due = this.#clock.now()): void {
    const now = this.#clock.now();
    if (now - due > HELD_UP_MS) this.#lastHeard = now - PING_AFTER_MS;
    const idle = now - this.#lastHeard;
    if (idle >= DEAD_AFTER_MS) {
      const seconds = Math.round(idle / 1_000);
      return this.#lose(new SilenceError(`no sign of life for ${seconds} s`));
    }
    const quiet = idle >= PING_AFTER_MS;
    if (quiet) {
      this.#pingDue = true;
      this.wake();
    }
    const wait = Math.max((quiet ? DEAD_AFTER_MS : PING_AFTER_MS) - idle, 10);
    this.#cancelKeepAlive = this.#clock.after(wait, () => this.#keepAlive(now + wait));
  }

  #lose(reason: Error): void {
    if (!this.#closed) this.#user.lost(reason);
  }

  #microseconds(): number {
    return Math.round(this.#clock.now() * 1_000);
  }
}
