/**
 * The people who are here: sessions with what they say and send. `listen` and `connect` both hold a
 * room; once connected they are equal. Their chat is the mesh's (peer/mesh/mesh.ts).
 */
import { CHAT_KIND } from "../protocol/chat.ts";
import { type ByteStream, ResetCode } from "../protocol/connection.ts";
import {
  IdentityError,
  P2pError,
  ProtocolError,
  RefusedError,
  StreamResetError,
} from "../protocol/errors.ts";
import type { FloodVerdict } from "../protocol/intake.ts";
import { FLOOD_ENDED_AFTER_MS, MAX_STREAMS, TAKEN_PER_SECOND } from "../protocol/limits.ts";
import { compareMembers } from "../protocol/member.ts";
import { FILES_KIND } from "../protocol/offer.ts";
import { succeeds } from "../protocol/roster.ts";
import { GoodbyeCode } from "../protocol/session_frame.ts";
import { Chat } from "../transfer/chat.ts";
import { systemClock } from "./clock.ts";
import { Handovers } from "./handovers.ts";
import type { Host } from "./host.ts";
import { Mesh } from "./mesh/mesh.ts";
import type { Talk } from "./mesh/talk.ts";
import type { Receiving } from "./receiving.ts";
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
  /** What it is called here: nobody else is. */
  name: string;
  session: Session;
  /** Whether it was us who dialled. */
  readonly dialled: boolean;
  /** Undefined for somebody who came only to send files. */
  talk: Talk | undefined;
  /** Tells of its connection. */
  readonly whereabouts: Whereabouts;
  /** Whether the arrival was told: when it has begun to send files, or has said who it is. */
  here: boolean;
  /** How often it has changed its name. */
  renames: number;
}

/** How a visit went. */
export interface Visit {
  /** As it was at the end, if one session took another's place. */
  peer: Peer;
  end: SessionEnd;
  /** Whether at least one transfer from this peer was completed. */
  received: boolean;
  /** Whether it may have missed lines, or parts of files. */
  missed: boolean;
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
  /** Their chat. */
  readonly mesh: Mesh;
  readonly #host: Host;
  readonly #receiving: Receiving;
  readonly #peers = new Set<Peer>();
  /** The other sessions of members that have taken the place of one. */
  readonly #successors = new WeakMap<Peer, Peer>();
  /** How each visit went, to its end. */
  readonly #visits = new WeakMap<Peer, Promise<Visit>>();
  readonly #handovers = new Handovers<Peer>(systemClock, goesOn);
  /** Transfers under way, in both directions. */
  readonly #transfers = new Set<Promise<unknown>>();
  /** Keys that are let in no more, in hexadecimal, and what they are told. */
  readonly #sentAway = new Map<string, string>();
  readonly #waitForNobody = new Set<() => void>();
  #closed = false;
  /** Told when we have taken another name. */
  onRenamed: ((name: string) => void) | undefined;

  constructor(host: Host, receiving: Receiving) {
    this.#host = host;
    this.#receiving = receiving;
    this.mesh = new Mesh(host, this);
  }

  get peers(): Peer[] {
    return [...this.#peers].filter((peer) => peer.here);
  }

  /** Those who take part in the chat, and not only send files. */
  get chatting(): Peer[] {
    return this.peers.filter(({ talk }) => talk);
  }

  /**
   * Takes somebody in until the session is over and all that they said is shown; or that which has
   * taken its place meanwhile.
   * @param dialled whether it was us who dialled: we begin the chat then, and whoever called this
   *   tells what went wrong
   */
  enter(session: Session, dialled: boolean): Promise<Visit> {
    const peer: Peer = {
      name: session.remoteName,
      session,
      dialled,
      talk: undefined,
      whereabouts: new Whereabouts(this.#host.output, session, {
        words: WORDS,
        name: () => peer.name,
      }),
      here: false,
      renames: 0,
    };
    this.#peers.add(peer);
    const visit = this.#attend(peer).then((visit) => this.#wholeVisit(visit));
    this.#visits.set(peer, visit);
    return visit;
  }

  /** How a visit went when the session was over, or goes on in that which has taken its place. */
  #wholeVisit(visit: Visit): Visit | Promise<Visit> {
    const successor = this.#successors.get(visit.peer);
    const rest = successor && this.#visits.get(successor);
    if (!rest) return visit;
    // Nothing of a session that is over is kept until the last one is.
    return visit.received ? rest.then((last) => ({ ...last, received: true })) : rest;
  }

  async #attend(peer: Peer): Promise<Visit> {
    const { session, dialled } = peer;
    const doings: Doings = { talk: undefined, transfers: new Set(), received: false };
    session.onState = (state, reason) => {
      peer.whereabouts.changed(state, reason);
      this.mesh.changed(peer, state);
    };
    if (dialled) this.#take(peer, doings, session.open(CHAT_KIND, "urgent"));
    for (let stream = await session.accept(); stream; stream = await session.accept()) {
      this.#take(peer, doings, stream);
    }
    await doings.talk;
    await Promise.all(doings.transfers);
    const end = await session.ended;
    // What it said last is shown before it is told that it has left.
    await this.mesh.shown();
    this.#peers.delete(peer);
    const brokenOff = end.undelivered && end.unfinished.includes(FILES_KIND);
    const missed = brokenOff || this.mesh.hasMissed(peer, end);
    this.mesh.gone(peer, end);
    await this.#announceDeparture(peer, end);
    if (this.#isDeserted) this.#tellDeserted();
    return { peer, end, received: doings.received, missed };
  }

  /**
   * Ends the sessions of these, and of all with their keys, at once; lets the keys in no more.
   * @param words what they are told, if anything
   */
  async sendAway(peers: readonly Peer[], words: string): Promise<void> {
    for (const { session } of peers) {
      this.#sentAway.set(session.remoteKey.toHex(), words);
      this.mesh.sentAway(session.remoteKey);
    }
    const gone = [...this.#peers].filter(({ session }) => this.isSentAway(session.remoteKey));
    await Promise.all(gone.map(({ session }) => session.end(GoodbyeCode.sentAway, words)));
  }

  /**
   * Whether somebody may come in under this name. Whose name is somebody else's, who is here, may:
   * the two can be told apart, and the newcomer is called otherwise.
   * @throws {RefusedError} if it was sent away
   * @throws as `Trust.admit`
   */
  async admit(name: string, key: Uint8Array): Promise<void> {
    try {
      await this.#host.trust.admit(name, key);
    } catch (error) {
      if (!(error instanceof IdentityError) || !await this.#isHeldHere(name)) throw error;
    }
    // Asked last: it may have been sent away meanwhile.
    const words = this.#sentAway.get(key.toHex());
    if (words !== undefined) throw new RefusedError(words);
  }

  /** Takes another name, and tells everybody. */
  rename(name: string): void {
    this.#host.name = name;
    this.onRenamed?.(name);
    this.mesh.renamed();
  }

  /**
   * Somebody is here, from now on.
   * @param before the other session with the same member whose place this one takes
   */
  arrived(peer: Peer, before?: Peer): void {
    if (peer.here) return;
    peer.here = true;
    const told = before ?? this.#handovers.take(peer);
    if (!told?.here) return peer.whereabouts.connected();
    this.replaced(told, peer);
    peer.whereabouts.takeOver(told.whereabouts);
  }

  /** A visit goes on in another session with the same member. */
  replaced(peer: Peer, by: Peer): void {
    this.#successors.set(peer, by);
  }

  /** Says what has gone wrong, once: whoever waits for the end of a visit may have to, too. */
  tell(error: P2pError): void {
    if (!error.told) this.#host.output.warn(error.message);
    error.told = true;
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
    await this.mesh.settle();
  }

  /** Resolves when nobody is here. */
  async deserted(): Promise<void> {
    if (!this.#isDeserted) {
      await new Promise<void>((resolve) => this.#waitForNobody.add(resolve));
    }
  }

  /** Whether we have ended every session. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Ends every session. */
  async close(code: number = GoodbyeCode.done): Promise<void> {
    this.#closed = true;
    this.#handovers.close();
    this.mesh.close();
    await Promise.all([...this.#peers].map((peer) => peer.session.end(code)));
  }

  get #isDeserted(): boolean {
    return this.#peers.size + this.#handovers.size === 0;
  }

  #tellDeserted(): void {
    for (const resolve of this.#waitForNobody) resolve();
    this.#waitForNobody.clear();
  }

  #take(peer: Peer, doings: Doings, stream: ByteStream): void {
    if (stream.kind === CHAT_KIND && !peer.talk) {
      peer.talk = this.mesh.talk(peer, new Chat(stream));
      doings.talk = this.#converse(peer, peer.talk);
    } else if (stream.kind === FILES_KIND && doings.transfers.size < MAX_STREAMS) {
      this.#receive(peer, doings, stream);
      this.arrived(peer);
    } else stream.reset(ResetCode.unwanted);
  }

  #receive(peer: Peer, doings: Doings, stream: ByteStream): void {
    const transfer = this.track(this.#receiving.receive(peer, stream)).then((complete) => {
      doings.received ||= complete;
      doings.transfers.delete(transfer);
    });
    doings.transfers.add(transfer);
  }

  async #converse(peer: Peer, talk: Talk): Promise<void> {
    try {
      await talk.run();
    } catch (error) {
      if (error instanceof StreamResetError) {
        this.#host.output.say(`${peer.name} has ended the chat`);
      } else if (error instanceof ProtocolError) {
        await peer.session.fail(error, { code: GoodbyeCode.protocolError, text: error.message });
      } else if (!(error instanceof P2pError)) throw error;
    }
  }

  /** Whether a key is let in no more. */
  isSentAway(key: Uint8Array): boolean {
    return this.#sentAway.size > 0 && this.#sentAway.has(key.toHex());
  }

  /** Whether whom a name is known to belong to is here. */
  async #isHeldHere(name: string): Promise<boolean> {
    const keys = (await this.#host.trust.keysOf(name)).map((key) => key.toHex());
    return this.chatting.some(({ session }) => keys.includes(session.remoteKey.toHex()));
  }

  /** Somebody wants to be called otherwise. */
  async called(peer: Peer, name: string): Promise<void> {
    const { output } = this.#host;
    peer.renames++;
    if (peer.renames === MAX_RENAMES + 1) {
      output.warn(`${peer.name} changes its name again and again: further names are not taken`);
    }
    // Before it would be remembered under that name.
    if (peer.renames > MAX_RENAMES || this.mesh.isTaken(peer, name)) return;
    try {
      await this.admit(name, peer.session.remoteKey);
    } catch (error) {
      if (!(error instanceof P2pError)) throw error;
      output.warn(`${peer.name} wants to be called ${name} and may not: ${error.message}`);
      return;
    }
    this.mesh.takesName(peer, name);
  }

  /** Somebody says more than others can follow: after a while it is sent away. */
  floods(peer: Peer, verdict: FloodVerdict): void {
    const { output } = this.#host;
    const { name } = peer;
    const sentAway = verdict === "sendAway";
    output.event("flooding", { peer: name, sentAway });
    if (!sentAway) {
      const rate = `no more than ${TAKEN_PER_SECOND} lines a second are taken`;
      return output.warn(`${name} says more than others can follow: ${rate}`);
    }
    const tooMuch = `more than anybody can read, for ${FLOOD_ENDED_AFTER_MS / 1_000} s`;
    output.warn(`${name} is sent away, and not let in again until p2p ends: it said ${tooMuch}`);
    this.sendAway([peer], `you said ${tooMuch}`);
  }

  async #announceDeparture(peer: Peer, end: SessionEnd): Promise<void> {
    const { output } = this.#host;
    // There is another session with the same member.
    if (peer.talk?.superfluous) return;
    if (end.code === GoodbyeCode.oneTooMany) return await this.#handOver(peer);
    const forgotten = end.code === GoodbyeCode.unknownSession;
    if (forgotten && isMemberHere(peer) && !await this.#isLost(peer)) return;
    if (!peer.here) {
      const why = end.error?.message ?? "it left before it had said anything";
      return output.say(`Connection from ${peer.session.remote} came to nothing: ${why}`);
    }
    if (end.error && !peer.dialled) this.tell(end.error);
    else if (!end.error && !end.byUs) output.say(`${peer.name} has left`);
    output.event("disconnected", { peer: peer.name });
  }

  /** Whether no other session takes the place of one that the other side has ended, or forgotten. */
  async #isLost(peer: Peer): Promise<boolean> {
    return !this.#closed && await this.#handovers.isLate(peer);
  }

  /** The other side has another session with us: most likely it is about to show here, too. */
  async #handOver(peer: Peer): Promise<void> {
    if (!isMemberHere(peer) || !await this.#isLost(peer)) return;
    const { output } = this.#host;
    output.warn(`Lost ${peer.name}: the session was ended there for another, which has not come`);
    output.event("disconnected", { peer: peer.name });
  }
}

/** Whether somebody was told of as a member of the chat. */
function isMemberHere({ here, talk }: Peer): boolean {
  return here && talk?.member !== undefined;
}

/** Whether the visit of one goes on in the session with the other: the same, or started anew. */
function goesOn({ talk }: Peer, next: Peer): boolean {
  const [before, after] = [talk?.member, next.talk?.member];
  if (!before || !after) return false;
  return compareMembers(before, after) === 0 || succeeds(after, before);
}
