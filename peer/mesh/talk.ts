/**
 * The chat with one member of the mesh: what it says is handed on to the mesh; what is due to it is
 * fetched when there is room on the way to it, so that nothing is queued for who is slow. Where there
 * are others, neither says, nor takes, more than everybody can follow.
 */
import { Allowance } from "../../protocol/allowance.ts";
import { equalBytes } from "../../protocol/bytes.ts";
import type { ChatMessage } from "../../protocol/chat.ts";
import { type Clock, sleep } from "../../protocol/clock.ts";
import { P2pError, StreamResetError } from "../../protocol/errors.ts";
import { type FloodVerdict, Intake } from "../../protocol/intake.ts";
import {
  FLOOD_EXCUSED_UNITS,
  HANDSHAKE_TIMEOUT_MS,
  LAST_HANDING_MS,
  SAID_AT_ONCE,
  SAID_PER_SECOND,
  STUCK_AFTER_MS,
} from "../../protocol/limits.ts";
import type { KeyedMember } from "../../protocol/member.ts";
import type { Chat, Heard } from "../../transfer/chat.ts";
import type { Peer } from "../room.ts";

/** UTF-16 units of lines, about, that are fetched at once. */
const BATCH_UNITS = 65_536;
/** Messages that are fetched at once. */
const BATCH_MESSAGES = 512;

/** Milliseconds that are spent on what a member says before others have their turn. */
const TURN_MS = 10;
/** Units of what it says before others who are here have it: they are written and shown at its end. */
const TURN_UNITS = 128;

/** What is said to a member among others. */
const SAID = { burst: SAID_AT_ONCE, perSecond: SAID_PER_SECOND };
/** Units that are waited for at once: waiting for each would cost more than sending it. */
const TOGETHER = 5;

/** What of ourselves is due to a member. */
export type Due = "member" | "members";

/** Who a talk is for. */
export interface TalkUser {
  /** What there is to say of ourselves. */
  describe(talk: Talk, due: Due): ChatMessage;
  /** What of all the lines is due to the member next, or undefined while nothing is. */
  next(talk: Talk): ChatMessage | undefined;
  /** @throws {ProtocolError} if nobody may say that */
  take(talk: Talk, message: ChatMessage): Promise<void> | void;
  /** The member does not take what is said to it, or does not say who it is. */
  stuck(talk: Talk, why: string): void;
  /** Whether there are others than this member here. */
  hasOthers(talk: Talk): boolean;
  /** The member says more than others can follow. */
  floods(talk: Talk, verdict: FloodVerdict): void;
  /** Whether there are lines of our own that are due to the member. */
  owes(talk: Talk): boolean;
}

/** Whether it is of a session that is over, or of a chat that was reset: whoever reads it tells. */
export function isToldByReader(error: unknown): boolean {
  if (error instanceof StreamResetError) return true;
  return error instanceof P2pError && error.code !== "failed";
}

export interface TalkOptions {
  user: TalkUser;
  clock: Clock;
  /** Since when what is said is meant for this member: milliseconds since 1970. */
  since: number;
  /** Whether it is to say first who it is. */
  waits?: boolean;
}

export class Talk {
  /** Tells this session from others, also from those with the same member. */
  readonly id: string;
  readonly peer: Peer;
  readonly since: number;
  /** Whether it was to say first who it is. */
  readonly waits: boolean;
  /** Who it is; undefined until it has said so, and is one of us. */
  member: KeyedMember | undefined;
  /** Whether it is being ended because there is another one with the same member. */
  superfluous = false;
  /** Whom it has a session with, by the key in hexadecimal: since when, as far as we were told. */
  #linked = new Map<string, number>();
  #toldOfOthers = false;
  readonly #chat: Chat;
  readonly #user: TalkUser;
  readonly #clock: Clock;
  readonly #due: Set<Due>;
  /** What is due to it before any further line. */
  readonly #dueFirst = new Set<Due>();
  #once: ChatMessage[] = [];
  /** Whether its HAVE has come: it is known what to send it from then on. */
  #heard = false;
  #over = false;
  /** When others last had their turn, and the units that were taken since. */
  #turnBegan: number;
  #turnUnits = 0;
  readonly #intake: Intake;
  readonly #said: Allowance;
  /** Aborts when we have ended the session. */
  readonly #ended = new AbortController();
  #wake = Promise.withResolvers<void>();
  /** Whether lines were sent of which it may not have all. */
  #linesSent = false;
  /** Until when lines of others are sent to it, once we have no more to say. */
  #handsOnUntil = Infinity;
  /** Who waits until there is nothing to send. */
  #drained: PromiseWithResolvers<void> | undefined;
  /** Who waits until something was sent. */
  #moved: PromiseWithResolvers<void> | undefined;

  constructor(id: string, peer: Peer, chat: Chat, options: TalkOptions) {
    const { user, clock, since, waits = false } = options;
    this.waits = waits;
    this.#due = new Set(waits ? [] : ["member"]);
    this.id = id;
    this.peer = peer;
    this.since = since;
    this.#chat = chat;
    this.#user = user;
    this.#clock = clock;
    this.#turnBegan = clock.now();
    this.#intake = new Intake(clock);
    this.#said = new Allowance(clock, SAID);
    peer.session.ended.then(({ byUs }) => byUs && this.#ended.abort());
  }

  /**
   * Talks until the other side has no more to say.
   * @throws {ProtocolError} if it says what nobody may
   * @throws as ByteStream.read
   */
  async run(): Promise<void> {
    const sending = this.#send();
    const cancel = this.#watch(HANDSHAKE_TIMEOUT_MS, () => {
      if (!this.#heard && !this.#over) this.#user.stuck(this, "does not say who they are");
    });
    try {
      for await (const heard of this.#chat.messages()) {
        // Lines are many, and taken at once.
        const waiting = heard.message && this.#user.take(this, heard.message);
        if (waiting) await waiting;
        if (heard.message?.type === "have") this.#hear();
        const pause = this.#pauseAfter(heard);
        if (pause) await pause;
      }
    } finally {
      cancel();
      this.end();
      await sending;
    }
  }

  /**
   * It has told whom else it has a session with. Those of whom it tells first of all were there when
   * it came to us, or we to it.
   * @param time milliseconds since 1970
   */
  told(members: readonly KeyedMember[], time: number): void {
    const since = this.#toldOfOthers ? time : Math.min(this.since, time);
    this.#toldOfOthers = true;
    const keys = members.map(({ key }) => key.toHex());
    this.#linked = new Map(keys.map((key) => [key, this.#linked.get(key) ?? since]));
  }

  /** Since when it has a session with a key, as far as we were told; or Infinity. */
  linkedSince(key: Uint8Array): number {
    return this.#linked.get(key.toHex()) ?? Infinity;
  }

  /** Something of ourselves has changed, and is to be told before any line. */
  tellFirst(due: Due): void {
    this.#dueFirst.add(due);
  }

  /** Something of ourselves has changed. */
  tell(due: Due): void {
    this.#due.add(due);
    this.wake();
  }

  /** Something that is said once. */
  tellOnce(message: ChatMessage): void {
    this.#once.push(message);
    this.wake();
  }

  /** There may be something to send. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Whether nothing can be sent any more. */
  get over(): boolean {
    return this.#over;
  }

  /** Whether lines are among what it may not have when something that was sent is not acknowledged. */
  get linesSent(): boolean {
    return this.#linesSent;
  }

  /** Resolves when something more has been sent, or nothing can be any more. */
  async moved(): Promise<void> {
    if (this.#over) return;
    this.#moved ??= Promise.withResolvers();
    await this.#moved.promise;
  }

  /** It has a connection again: what it says may have waited for that. */
  excuse(): void {
    this.#intake.excuse();
  }

  /**
   * We have no more to say; resolves when the other side has all of it, and what of the others'
   * lines could be handed on in 10 s.
   * @throws as ByteStream.finish
   */
  async finish(): Promise<void> {
    if (!this.#over) {
      this.#drained ??= Promise.withResolvers();
      this.#handsOnUntil = Math.min(this.#handsOnUntil, this.#clock.now() + LAST_HANDING_MS);
      this.wake();
      await this.#drained.promise;
      this.end();
    }
    await this.#chat.finish();
  }

  /** Nothing is sent any more. Idempotent. */
  end(): void {
    this.#over = true;
    this.wake();
  }

  /** What is waited for before more is taken. */
  #pauseAfter({ message, cost }: Heard): Promise<void> | undefined {
    if (!this.#user.hasOthers(this)) {
      this.#intake.release();
      return this.#giveTurn();
    }
    this.#intake.take({ cost, own: this.#isOwn(message) });
    const { verdict } = this.#intake;
    if (verdict) this.#user.floods(this, verdict);
    this.#turnUnits += cost;
    // What is there of a session that we have ended is no more than a window.
    if (this.#ended.signal.aborted) return undefined;
    const { waitMs } = this.#intake;
    return waitMs > 0 ? this.#rest(waitMs) : this.#giveTurn();
  }

  /** Whether it is the member's own doing: it cannot choose how much others have said. */
  #isOwn(message: ChatMessage | undefined): boolean {
    return message?.type !== "line" ||
      equalBytes(message.line.author, this.peer.session.remoteKey);
  }

  /** Lets others have their turn: what arrived together would be taken in without a pause. */
  #giveTurn(): Promise<void> | undefined {
    const isOver = this.#clock.now() - this.#turnBegan >= TURN_MS || this.#turnUnits >= TURN_UNITS;
    return isOver ? this.#rest(0) : undefined;
  }

  /** Lets so much time go by, or less if we end the session. */
  async #rest(ms: number): Promise<void> {
    await sleep(this.#clock, ms, this.#ended.signal).catch(() => {});
    this.#turnBegan = this.#clock.now();
    this.#turnUnits = 0;
  }

  #hear(): void {
    this.#heard = true;
    this.wake();
  }

  async #send(): Promise<void> {
    try {
      while (!this.#over) {
        const waitMs = this.#waitMs();
        const messages = waitMs > 0 ? [] : this.#collect();
        if (messages.length > 0) {
          await this.#write(messages);
          this.#tellMoved();
          continue;
        }
        if (this.#heard && (waitMs === 0 || this.#hasSaidAll)) this.#tellDrained();
        await this.#woken(waitMs);
      }
    } catch (error) {
      if (!isToldByReader(error)) throw error;
    } finally {
      this.#over = true;
      this.#tellDrained();
      this.#tellMoved();
    }
  }

  /** Whether there are others, here or there, who are to follow what is said. */
  get #isPaced(): boolean {
    return this.#linked.size > 0 || this.#user.hasOthers(this);
  }

  /** Milliseconds until something may be said. */
  #waitMs(): number {
    return this.#isPaced && this.#said.left < 1 ? this.#said.msUntil(TOGETHER) : 0;
  }

  /** Whether nothing is left but lines of others, and was handed on for long enough. */
  get #hasSaidAll(): boolean {
    return this.#clock.now() >= this.#handsOnUntil && !this.#user.owes(this);
  }

  /** Resolves when there may be something to send, or after some time. */
  async #woken(waitMs: number): Promise<void> {
    const cancel = waitMs > 0 ? this.#clock.after(waitMs, () => this.wake()) : undefined;
    await this.#wake.promise;
    this.#wake = Promise.withResolvers();
    cancel?.();
  }

  #collect(): ChatMessage[] {
    const lines = this.#collectLines();
    const due = lines.length > 0 ? this.#due.union(this.#dueFirst) : new Set(this.#due);
    const messages = [...due].map((each) => this.#user.describe(this, each));
    for (const each of due) this.#dueFirst.delete(each);
    this.#due.clear();
    messages.push(...this.#once, ...lines);
    this.#once = [];
    return messages;
  }

  #collectLines(): ChatMessage[] {
    const lines: ChatMessage[] = [];
    const most = this.#isPaced ? Math.min(BATCH_MESSAGES, this.#said.left) : BATCH_MESSAGES;
    for (let units = 0; units < BATCH_UNITS && lines.length < most;) {
      const next = this.#user.next(this);
      if (!next) break;
      lines.push(next);
      if (next.type === "line") units += next.line.text.length;
    }
    return lines;
  }

  async #write(messages: readonly ChatMessage[]): Promise<void> {
    this.#linesSent &&= !this.peer.session.delivered;
    this.#linesSent ||= messages.some(({ type }) => type === "line");
    const cancel = this.#watch(STUCK_AFTER_MS, () => {
      this.#user.stuck(this, "does not take what is said");
    });
    try {
      const cost = await this.#chat.send(messages);
      // What is said while we are alone may still be under way when others come.
      this.#said.spend(cost, this.#isPaced ? Infinity : FLOOD_EXCUSED_UNITS);
    } finally {
      cancel();
    }
  }

  /** Waits for the other side. Returns what ends it. */
  #watch(ms: number, late: () => void): () => void {
    let cancel = () => {};
    const watch = () => {
      cancel = this.#clock.after(ms, () => {
        // Without a connection it can do nothing: the session knows how long to wait.
        if (this.peer.session.state === "away") watch();
        else late();
      });
    };
    watch();
    return () => cancel();
  }

  #tellDrained(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  #tellMoved(): void {
    this.#moved?.resolve();
    this.#moved = undefined;
  }
}
