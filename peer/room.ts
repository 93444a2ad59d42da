/**
 * The people who are here: sessions with their chat, what they say and send, and what is said to
 * them. `listen` and `connect` both hold a room; once connected they are equal.
 */
import { equalBytes } from "../protocol/bytes.ts";
import { CHAT_KIND } from "../protocol/chat.ts";
import { type ByteStream, ResetCode } from "../protocol/connection.ts";
import { P2pError, ProtocolError, RefusedError, StreamResetError } from "../protocol/errors.ts";
import { MAX_STREAMS } from "../protocol/limits.ts";
import { GoodbyeCode } from "../protocol/session_frame.ts";
import { Chat } from "../transfer/chat.ts";
import { partyOf } from "./history/entry.ts";
import type { Host } from "./host.ts";
import { FILES_KIND, type Receiving } from "./receiving.ts";
import type { Session, SessionEnd } from "./session.ts";
import { Whereabouts, type WhereaboutsWords } from "./whereabouts.ts";

/** Names that a peer may take in one visit: each is remembered, and nobody else may have it. */
const MAX_RENAMES = 16;

const WORDS: WhereaboutsWords = {
  away: (name, reason) => `${name} is away (${reason}); waiting for the connection to come back`,
  back: (name) => `${name} is back`,
};

/** Somebody who is here. */
export interface Peer {
  name: string;
  session: Session;
  /** Whether it was us who dialled. */
  readonly dialled: boolean;
  /** Undefined for somebody who came only to send files. */
  chat: Chat | undefined;
  /** Tells of its connection. */
  readonly whereabouts: Whereabouts;
  /**
   * Whether the arrival was told: when there is a first stream, so that what is said from then on
   * reaches them.
   */
  here: boolean;
  /** How often it has changed its name. */
  renames: number;
}

/** How a visit went. */
export interface Visit {
  peer: Peer;
  end: SessionEnd;
  /** Whether at least one transfer from this peer was completed. */
  received: boolean;
}

/** What a peer's streams are for, while they last. */
interface Doings {
  talk: Promise<void> | undefined;
  /** Those under way. */
  readonly transfers: Set<Promise<void>>;
  /** Whether one was completed. */
  received: boolean;
}

export class Room {
  readonly #host: Host;
  readonly #receiving: Receiving;
  readonly #peers = new Set<Peer>();
  /** Transfers under way, in both directions. */
  readonly #transfers = new Set<Promise<unknown>>();
  /** Keys that are let in no more, in hexadecimal, and what they are told. */
  readonly #sentAway = new Map<string, string>();
  readonly #waitForNobody = new Set<() => void>();
  /** Told when we have taken another name. */
  onRenamed: ((name: string) => void) | undefined;

  constructor(host: Host, receiving: Receiving) {
    this.#host = host;
    this.#receiving = receiving;
  }

  get peers(): Peer[] {
    return [...this.#peers].filter((peer) => peer.here);
  }

  /**
   * Those who take part in the chat, and not only send files. Somebody who visits us while we visit
   * them, as two do who ask for each other at once, is one of them and not two.
   */
  get chatting(): Peer[] {
    const chatting = this.peers.filter((peer) => peer.chat);
    const visited = chatting.filter(({ dialled }) => dialled);
    return chatting.filter((peer) =>
      peer.dialled || !visited.some((other) => isSamePerson(peer, other))
    );
  }

  /**
   * Takes somebody in until the session is over and all that they said is shown.
   * @param dialled whether it was us who dialled: we begin the chat then, and whoever called this
   *   tells what went wrong
   */
  async enter(session: Session, dialled: boolean): Promise<Visit> {
    const peer: Peer = {
      name: session.remoteName,
      session,
      dialled,
      chat: undefined,
      whereabouts: new Whereabouts(this.#host.output, session, {
        words: WORDS,
        name: () => peer.name,
      }),
      here: false,
      renames: 0,
    };
    const doings: Doings = { talk: undefined, transfers: new Set(), received: false };
    this.#peers.add(peer);
    session.onState = (state, reason) => peer.whereabouts.changed(state, reason);
    if (dialled) this.#take(peer, doings, session.open(CHAT_KIND, "urgent"));
    for (let stream = await session.accept(); stream; stream = await session.accept()) {
      this.#take(peer, doings, stream);
    }
    await doings.talk;
    await Promise.all(doings.transfers);
    const end = await session.ended;
    this.#peers.delete(peer);
    this.#announceDeparture(peer, end, dialled);
    if (this.#peers.size === 0) this.#tellDeserted();
    return { peer, end, received: doings.received };
  }

  /** Says a line to everybody who chats. */
  async say(text: string): Promise<void> {
    const { chatting } = this;
    if (chatting.length === 0) this.#host.output.say("Nobody is here yet to read that.");
    await this.#say(chatting, text, "text");
  }

  /** Says a line to these alone. */
  async sayPrivately(to: readonly Peer[], text: string): Promise<void> {
    await this.#say(to, text, "private");
  }

  /**
   * Ends the sessions of these, and of all with their keys, at once; lets the keys in no more.
   * @param words what they are told, if anything
   */
  async sendAway(peers: readonly Peer[], words: string): Promise<void> {
    for (const { session } of peers) this.#sentAway.set(session.remoteKey.toHex(), words);
    const gone = [...this.#peers].filter(({ session }) => this.#isSentAway(session.remoteKey));
    await Promise.all(gone.map(({ session }) => session.end(GoodbyeCode.sentAway, words)));
  }

  /**
   * Whether somebody may come in under this name.
   * @throws {RefusedError} if it was sent away
   * @throws as `Trust.admit`
   */
  async admit(name: string, key: Uint8Array): Promise<void> {
    await this.#host.trust.admit(name, key);
    // Asked last: it may have been sent away meanwhile.
    if (this.#isSentAway(key)) throw new RefusedError(this.#sentAway.get(key.toHex())!);
  }

  /** Takes another name, and tells everybody. */
  async rename(name: string): Promise<void> {
    this.#host.name = name;
    this.onRenamed?.(name);
    await this.#tell(this.peers, (chat) => chat.rename(name));
  }

  /** Keeps account of a transfer that we began. */
  async track<T>(transfer: Promise<T>): Promise<T> {
    this.#transfers.add(transfer);
    try {
      return await transfer;
    } finally {
      this.#transfers.delete(transfer);
    }
  }

  /** Resolves when no transfer is under way, and all that was said is acknowledged. */
  async settle(): Promise<void> {
    while (this.#transfers.size > 0) await Promise.allSettled(this.#transfers);
    await this.#tell(this.peers, (chat) => chat.finish());
  }

  /** Resolves when nobody is here. */
  async deserted(): Promise<void> {
    if (this.#peers.size > 0) {
      await new Promise<void>((resolve) => this.#waitForNobody.add(resolve));
    }
  }

  /** Ends every session. */
  async close(code: number = GoodbyeCode.done): Promise<void> {
    await Promise.all([...this.#peers].map((peer) => peer.session.end(code)));
  }

  #tellDeserted(): void {
    for (const resolve of this.#waitForNobody) resolve();
    this.#waitForNobody.clear();
  }

  async #tell(peers: readonly Peer[], tell: (chat: Chat) => Promise<void>): Promise<void> {
    await Promise.all(peers.map(async ({ chat }) => {
      try {
        if (chat) await tell(chat);
      } catch (error) {
        // Of a session that is over its visit tells, of a chat that was reset whoever reads it.
        if (error instanceof StreamResetError) return;
        if (error instanceof P2pError && error.code === "failed") throw error;
      }
    }));
  }

  #take(peer: Peer, doings: Doings, stream: ByteStream): void {
    if (stream.kind === CHAT_KIND && !peer.chat) {
      peer.chat = new Chat(stream);
      doings.talk = this.#converse(peer, peer.chat);
    } else if (stream.kind === FILES_KIND && doings.transfers.size < MAX_STREAMS) {
      this.#receive(peer, doings, stream);
    } else return stream.reset(ResetCode.unwanted);
    if (!peer.here) peer.whereabouts.connected();
    peer.here = true;
  }

  #receive(peer: Peer, doings: Doings, stream: ByteStream): void {
    const transfer = this.track(this.#receiving.receive(peer, stream)).then((complete) => {
      doings.received ||= complete;
      doings.transfers.delete(transfer);
    });
    doings.transfers.add(transfer);
  }

  async #converse(peer: Peer, chat: Chat): Promise<void> {
    try {
      for await (const message of chat.messages()) {
        if (message.type === "nick") await this.#renamed(peer, message.name);
        else if (message.type === "text" || message.type === "private") {
          this.#hear(peer, message.text, message.type === "private");
        }
      }
    } catch (error) {
      if (error instanceof StreamResetError) {
        this.#host.output.say(`${peer.name} has ended the chat`);
      } else if (error instanceof ProtocolError) {
        await peer.session.fail(error, { code: GoodbyeCode.protocolError, text: error.message });
      } else if (!(error instanceof P2pError)) throw error;
    }
  }

  #hear(peer: Peer, text: string, onlyUs: boolean): void {
    const { output, history } = this.#host;
    // What had arrived before it was sent away need not be seen.
    if (this.#isSentAway(peer.session.remoteKey)) return;
    output.message(peer.name, text, { private: onlyUs });
    history?.add({ sent: false, private: onlyUs, from: peer.name, with: [partyOf(peer)], text });
  }

  async #say(to: readonly Peer[], text: string, type: "text" | "private"): Promise<void> {
    await this.#tell(to, (chat) => chat.say(text, type));
    if (to.length === 0) return;
    const { name: from, history } = this.#host;
    history?.add({ sent: true, private: type === "private", from, with: to.map(partyOf), text });
  }

  #isSentAway(key: Uint8Array): boolean {
    return this.#sentAway.has(key.toHex());
  }

  async #renamed(peer: Peer, name: string): Promise<void> {
    const { output, trust } = this.#host;
    peer.renames++;
    if (peer.renames === MAX_RENAMES + 1) {
      output.warn(`${peer.name} changes its name again and again: further names are not taken`);
    }
    if (peer.renames > MAX_RENAMES) return;
    try {
      await trust.admit(name, peer.session.remoteKey);
    } catch (error) {
      if (!(error instanceof P2pError)) throw error;
      output.warn(`${peer.name} wants to be called ${name} and may not: ${error.message}`);
      return;
    }
    output.say(`${peer.name} is now called ${name}`);
    output.event("renamed", { peer: peer.name, name });
    peer.name = name;
  }

  #announceDeparture(peer: Peer, end: SessionEnd, dialled: boolean): void {
    const { output } = this.#host;
    if (!peer.here) {
      const why = end.error?.message ?? "it left before it had said anything";
      return output.say(`Connection from ${peer.session.remote} came to nothing: ${why}`);
    }
    if (end.error && !dialled) output.warn(end.error.message);
    else if (!end.error && !end.byUs) output.say(`${peer.name} has left`);
    output.event("disconnected", { peer: peer.name });
  }
}

function isSamePerson(one: Peer, other: Peer): boolean {
  return one.name === other.name && equalBytes(one.session.remoteKey, other.session.remoteKey);
}
