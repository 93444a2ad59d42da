/**
 * The chat of all who are here (protocol/README.md, section 8): each has a session with every other
 * that it can reach. This wires the pure parts, the roster (who is who, and whom to dial) and the
 * replica (who has which lines), with sessions, the memory on disk, and what the user sees.
 */
import { type Address, isLoopback, parseAddress } from "../../protocol/address.ts";
import { equalBytes } from "../../protocol/bytes.ts";
import type { ChatMessage } from "../../protocol/chat.ts";
import { type P2pError, ProtocolError, UnreachableError } from "../../protocol/errors.ts";
import type { FloodVerdict } from "../../protocol/intake.ts";
import type { Line } from "../../protocol/line.ts";
import { signingKeyOf, verifyLine } from "../../protocol/line_signature.ts";
import { MEMBERS_GAP_MS, MESH_SWEEP_MS } from "../../protocol/limits.ts";
import {
  compareMembers,
  type KeyedMember,
  memberId,
  type MemberIdentity,
  type MemberRecord,
  newInstance,
} from "../../protocol/member.ts";
import { ownAddresses } from "../../protocol/member_addresses.ts";
import { FILES_KIND } from "../../protocol/offer.ts";
import { Replica } from "../../protocol/replica.ts";
import { type Departure, Roster } from "../../protocol/roster.ts";
import { GoodbyeCode } from "../../protocol/session_frame.ts";
import { isSuggestionFor, type Shown } from "../../protocol/shown_names.ts";
import type { Chat } from "../../transfer/chat.ts";
import { systemClock } from "../clock.ts";
import type { Party } from "../history/entry.ts";
import type { Host } from "../host.ts";
import type { Peer, Visit } from "../room.ts";
import type { KnownPeer } from "../route.ts";
import type { Session, SessionEnd, SessionState } from "../session.ts";
import { Authors } from "./authors.ts";
import { Dialling } from "./dialling.ts";
import { Hearing } from "./hearing.ts";
import { LineNames } from "./line_names.ts";
import { type Reachable, UNREACHABLE } from "./reachable.ts";
import { Saying } from "./saying.ts";
import { type Due, isToldByReader, Talk, type TalkUser } from "./talk.ts";

/** Milliseconds at the end after which it is told who is waited for. */
const TELL_UNSETTLED_MS = 1_000;

/** What the mesh asks of whoever shows it: the room. */
export interface MeshUser {
  enter(session: Session, dialled: boolean): Promise<Visit>;
  /** @throws {P2pError} if nobody with that key may come in under that name */
  admit(name: string, key: Uint8Array): Promise<void>;
  isSentAway(key: Uint8Array): boolean;
  /** We have to go by another name. */
  rename(name: string): void;
  /** Somebody has said who it is, in another session than `before`, if that was with it, too. */
  arrived(peer: Peer, before: Peer | undefined): void;
  /** A session is one too many: its visit goes on in another with the same member. */
  replaced(peer: Peer, by: Peer): void;
  /** Says what has gone wrong, unless that was said. */
  tell(error: P2pError): void;
  /** Somebody wants to be called otherwise. */
  called(peer: Peer, name: string): Promise<void>;
  /** Somebody says more than others can follow. */
  floods(peer: Peer, verdict: FloodVerdict): void;
}

export class Mesh implements TalkUser {
  readonly #host: Host;
  readonly #user: MeshUser;
  readonly #clock = systemClock;
  readonly #instance: Uint8Array;
  readonly #signingKey: Uint8Array;
  readonly #replica: Replica;
  readonly #authors: Authors;
  readonly #roster: Roster;
  readonly #dialling: Dialling;
  readonly #hearing: Hearing;
  readonly #lineNames: LineNames;
  readonly #saying: Saying;
  readonly #talks = new Map<string, Talk>();
  #reachable = UNREACHABLE;
  #begun = 0;
  /** Whether we have taken another name because somebody told us that ours was taken. */
  #calledOtherwise = false;
  #closed = false;
  /** What of the roster all have been told, and when. */
  #revisionTold = 0;
  #toldAt = -Infinity;
  #cancelTelling: (() => void) | undefined;
  #cancelSweep = () => {};
  readonly #arrival = Promise.withResolvers<void>();
  readonly #unsubscribe: () => void;

  /** @param user shows what happens, and takes sessions in */
  constructor(host: Host, user: MeshUser) {
    this.#host = host;
    this.#user = user;
    const { publicKey: key } = host.identity;
    const signer = signingKeyOf(host.identity);
    const isMuted = (author: Uint8Array) => user.isSentAway(author);
    this.#instance = newInstance(Date.now(), crypto.getRandomValues(new Uint8Array(2)));
    this.#signingKey = signer.publicKey;
    this.#replica = new Replica({
      key,
      instance: this.#instance,
      signingKey: signer.publicKey,
      sign: (bytes) => signer.sign(bytes),
      verify: verifyLine,
      now: Date.now,
    });
    this.#authors = new Authors((author, signingKey, teller) =>
      this.#replica.know(author, signingKey, teller)
    );
    this.#authors.met({ key, signingKey: signer.publicKey });
    this.#roster = new Roster({
      self: { key, instance: this.#instance },
      name: host.name,
      now: () => this.#clock.now(),
      time: Date.now,
      banned: isMuted,
    });
    this.#lineNames = new LineNames(host.trust);
    this.#hearing = new Hearing(host, {
      write: () => this.#write(),
      written: () => this.#wakeAll(),
      nameOf: (line) => this.#shownName(line),
      isMuted,
    });
    this.#saying = new Saying(host, {
      replica: this.#replica,
      hearing: this.#hearing,
      talks: () => [...this.#talks.values()],
      absent: () => this.absent,
    });
    this.#dialling = new Dialling({
      host,
      dials: this.#roster.dials,
      clock: this.#clock,
      reachable: () => this.#reachable,
      admit: (name, peerKey) => user.admit(name, peerKey),
      enter: (session) => this.#visit(session),
      memberOf: (session) => this.#memberOf(session),
    });
    this.#unsubscribe = host.network.subscribe(() => this.#networkChanged());
    this.#restore();
    this.#sweep();
  }

  /** Resolves when the first member is here, and has told who else is. */
  get arrival(): Promise<void> {
    return this.#arrival.promise;
  }

  /** Where others reach us, from now on. */
  reachableAt(reachable: Reachable): void {
    this.#reachable = reachable;
    this.#tellAll("member");
  }

  /** The chat with somebody, which is still to be run. */
  talk(peer: Peer, chat: Chat): Talk {
    // Others may have told us that it is somebody else, and at another place: it is not to take this
    // for a better way to where it is connected already.
    const waits = peer.dialled && this.#roster.hasKey(peer.session.remoteKey);
    const options = { user: this, clock: this.#clock, since: Date.now(), waits };
    const talk = new Talk(String(++this.#begun), peer, chat, options);
    this.#talks.set(talk.id, talk);
    return talk;
  }

  /** A session has lost its connection, or has one again. */
  changed({ talk }: Peer, state: SessionState): void {
    if (!talk?.member || talk.superfluous || state === "ended") return;
    if (state === "away") this.#lost(talk);
    else {
      this.#roster.back(talk.id);
      this.#replica.back(talk.id);
      talk.excuse();
    }
    this.#dialling.schedule();
    this.#wakeAll();
  }

  /** A session has no connection; the program at its other end may have been started anew. */
  #lost(talk: Talk): void {
    const replaceable = !hasFiles(talk);
    const successor = this.#talks.get(this.#roster.away(talk.id, { replaceable }) ?? "");
    if (!successor) return this.#replica.away(talk.id);
    this.#endSuperfluous(talk, successor);
    this.#takeShownName(successor);
    this.#rosterChanged();
  }

  /** A member is shown under the name that the roster has for it. */
  #takeShownName({ id, peer }: Talk): void {
    const before = peer.name;
    const name = this.#roster.names.of(id) ?? before;
    if (name === before) return;
    peer.name = name;
    this.#host.output.say(`${before} is now called ${name}`);
    this.#host.output.event("renamed", { peer: before, name });
  }

  /** Whether somebody whose session is over may have missed lines. */
  hasMissed({ talk }: Peer, end: SessionEnd): boolean {
    return talk !== undefined && this.#mayMiss(talk, end.undelivered);
  }

  #mayMiss(talk: Talk, undelivered: boolean): boolean {
    return undelivered && talk.linesSent || this.#replica.pending(talk.id).lines > 0;
  }

  /** A session is over. */
  gone({ talk }: Peer, end: SessionEnd): void {
    if (!talk || !this.#talks.delete(talk.id)) return;
    talk.end();
    if (!talk.member || talk.superfluous) return;
    this.#replica.leave(talk.id);
    if (!this.#closed) this.#roster.left(talk.id, departureOf(end));
    this.#rosterChanged();
    this.#write();
  }

  /** A key is let in no more. */
  sentAway(key: Uint8Array): void {
    this.#roster.memberships.absent(key, "left");
  }

  /** @throws as `Saying.toAll` */
  say(text: string): Promise<void> {
    return this.#saying.toAll(text);
  }

  /** @throws as `Saying.toThese` */
  sayPrivately(to: readonly Party[], text: string): Promise<void> {
    return this.#saying.toThese(to, text);
  }

  /** Members who are lost: they are to have what is said when they are back within the hour. */
  get absent(): Party[] {
    const { memberships } = this.#roster;
    return memberships.remembered.filter(({ state, key }) =>
      state === "lost" && memberships.has(key)
    );
  }

  /** Where a member takes connections, as it says itself. */
  addressesOf({ talk }: Peer): readonly Address[] {
    return talk ? this.#roster.memberOf(talk.id)?.addresses ?? [] : [];
  }

  /** Where we take connections. */
  get ownAddresses(): readonly Address[] {
    return this.#reachable.addresses();
  }

  /** Resolves when all that was heard up to now is shown. */
  shown(): Promise<void> {
    return this.#hearing.flushed();
  }

  /** Resolves when all who are here have all that was said, and know that there is no more. */
  async settle(): Promise<void> {
    await this.#hearing.flushed();
    // Who is away and has everything need not come back for the end alone.
    const talks = [...this.#talks.values()].filter((talk) => {
      const { state, delivered } = talk.peer.session;
      return state !== "away" || this.#mayMiss(talk, !delivered);
    });
    const unsettled = new Set(talks);
    const cancel = this.#clock.after(TELL_UNSETTLED_MS, () => this.#tellUnsettled(unsettled));
    const ends = talks.map((talk) => finished(talk).finally(() => unsettled.delete(talk)));
    await Promise.all(ends).finally(cancel);
  }

  #tellUnsettled(talks: Iterable<Talk>): void {
    const peers = Array.from(talks, ({ peer }) => peer).filter(({ here }) => here);
    if (peers.length === 0) return;
    const all = peers.length === 1 ? "has" : "have";
    const who = `${someOf(peers)}, who ${all} not got all that was said`;
    this.#host.output.say(`Waiting for ${who}; Ctrl-C ends at once`);
  }

  /** We go by another name. */
  renamed(): void {
    const { name } = this.#host;
    this.#roster.names.renameUs(name);
    for (const talk of this.#talks.values()) talk.tellOnce({ type: "nick", name });
  }

  /** Whether a name is somebody's here, and not this member's. */
  isTaken({ talk }: Peer, name: string): boolean {
    return this.#roster.names.isTaken(name, talk?.id);
  }

  /** Somebody goes by another name, which is its own to take. */
  takesName(peer: Peer, wanted: string): void {
    const { talk } = peer;
    const member = talk && this.#roster.memberOf(talk.id);
    if (!talk || !member) return;
    this.#roster.changed(talk.id, { ...member, name: wanted });
    const { displaced } = this.#roster.names.take(talk.id, wanted, true);
    this.#takeShownName(talk);
    this.#displace(displaced);
    this.#rosterChanged();
  }

  /** Looks for the members of the last chats, as long as it takes; false if there are none. */
  lookForMembers(): boolean {
    const { memberships, dials } = this.#roster;
    const former = memberships.remembered;
    if (former.length === 0) return false;
    dials.remember(former.map((each) => ({ ...each, lostForMs: memberships.lostFor(each) })));
    this.#dialling.schedule();
    this.#host.output.say(`Looking for those of the last chats: ${someOf(former)}`);
    return true;
  }

  /** Nobody is dialled any more; sessions go on. What is remembered is on disk. */
  close(): void {
    this.#closed = true;
    // To each other we have left, whom we leave.
    for (const { member } of this.#talks.values()) {
      if (member) this.#roster.memberships.absent(member.key, "left");
    }
    this.#dialling.close();
    this.#unsubscribe();
    this.#cancelSweep();
    this.#cancelTelling?.();
    this.#write();
  }

  // What a talk asks

  describe(talk: Talk, due: Due): ChatMessage {
    if (due === "member") return { type: "member", member: this.#record(talk) };
    return { type: "members", members: this.#roster.linked(talk.id) };
  }

  next(talk: Talk): ChatMessage | undefined {
    return talk.member ? this.#replica.next(talk.id) : undefined;
  }

  take(talk: Talk, message: ChatMessage): Promise<void> | void {
    if (talk.superfluous || this.#user.isSentAway(talk.peer.session.remoteKey)) return;
    if (message.type === "member") return this.#takeMember(talk, message.member);
    if (!talk.member) throw new ProtocolError("Chat not accepted: it began without MEMBER");
    switch (message.type) {
      case "line":
        return this.#takeLine(talk, message.line, message.previous);
      case "have":
        this.#arrival.resolve();
        return this.#replica.heard(talk.id, message);
      case "members":
        return this.#takeMembers(talk, message.members);
      case "nick":
        return this.#user.called(talk.peer, message.name);
      case "called":
        return this.#takeCalled(talk, message.name);
    }
  }

  stuck({ peer }: Talk, why: string): void {
    const error = new UnreachableError(`${peer.name} ${why}: the session with them is ended`);
    peer.session.fail(error, { code: GoodbyeCode.busy, text: `this side ${why}` });
  }

  hasOthers({ id }: Talk): boolean {
    return this.#roster.hasOthers(id);
  }

  floods({ peer }: Talk, verdict: FloodVerdict): void {
    this.#user.floods(peer, verdict);
  }

  owes({ id }: Talk): boolean {
    return this.#replica.unsaid(id).lines > 0;
  }

  async #takeMember(talk: Talk, record: MemberRecord): Promise<void> {
    if (!talk.member) return await this.#greet(talk, record);
    const known = this.#roster.memberOf(talk.id);
    this.#roster.changed(talk.id, { ...record, name: known?.name ?? record.name });
    this.#rosterChanged();
  }

  #takeMembers(talk: Talk, members: readonly KeyedMember[]): void {
    talk.told(members, Date.now());
    this.#roster.told(talk.id, members);
    for (const member of members) this.#authors.heardOf(member, talk.peer.session.remoteKey);
    this.#dialling.schedule();
  }

  /** A member says who it is: it is one of us from now on, unless it is already. */
  async #greet(talk: Talk, record: MemberRecord): Promise<void> {
    const { session, dialled } = talk.peer;
    // The name was checked when the session began.
    const who = { ...record, name: session.remoteName, key: session.remoteKey };
    const known = await this.#isKnown(who.name, who.key);
    const facts = { dialled, sessionId: session.id, onThisMachine: isOnThisMachine(session) };
    // Whoever dials anew may know already that the connection of the session before is lost.
    const rival = dialled ? undefined : this.#roster.rivalOf(talk.id, who, facts);
    if (rival !== undefined) await this.#talks.get(rival)?.peer.session.isThere();
    if (talk.over) return;
    const before = talk.waits ? this.#talkWith(who) : undefined;
    if (before && (this.#roster.isHere(who) || hasFiles(before))) {
      return this.#endSuperfluous(talk, before);
    }
    const verdict = this.#roster.joined(talk.id, who, facts);
    if (!verdict.keep) {
      return this.#endSuperfluous(talk, this.#talks.get(verdict.other ?? ""));
    }
    talk.member = who;
    if (talk.waits) talk.tell("member");
    const replaced = this.#talks.get(verdict.replaces ?? "");
    if (replaced) this.#endSuperfluous(replaced, talk);
    this.#authors.met(who);
    // What was said since we were told of it is meant for it, too: on its way through others it
    // goes no further once it has a session with us.
    const told = [...this.#talks.values()].map((each) => each.linkedSince(who.key));
    const since = Math.min(verdict.since, talk.since, ...told);
    this.#replica.join(talk.id, { ...who, since, returning: verdict.returning });
    this.#show(talk, this.#roster.names.of(talk.id) ?? who.name, known);
    if (session.state === "away") this.changed(talk.peer, "away");
    talk.tell("members");
    this.#rosterChanged();
    // Who is shown to be here is found again after a crash.
    this.#write();
    this.#user.arrived(talk.peer, replaced?.peer);
  }

  /** There is another session with the same member, or it is ourselves. */
  #endSuperfluous(talk: Talk, other: Talk | undefined): void {
    talk.superfluous = true;
    if (other) this.#user.replaced(talk.peer, other.peer);
    talk.end();
    if (talk.member) this.#replica.leave(talk.id);
    talk.peer.session.end(GoodbyeCode.oneTooMany);
  }

  /** Shows a member under the name that it wants, or another if that is somebody else's here. */
  #show(talk: Talk, wanted: string, known: boolean): void {
    const { peer } = talk;
    const { name, displaced } = this.#roster.names.take(talk.id, wanted, known);
    peer.name = name;
    // Whoever came to us is told; whom we came to tells us.
    if (name !== wanted && !peer.dialled) talk.tellOnce({ type: "called", name });
    this.#displace(displaced);
  }

  /** Somebody whose key is known under a name has come: who had the name until now goes by another. */
  #displace(displaced: Shown["displaced"]): void {
    const talk = displaced && this.#talks.get(displaced.id);
    if (talk) this.#takeShownName(talk);
  }

  /** Our name is somebody else's there: believed once, of somebody we came to, for its own good. */
  #takeCalled({ peer }: Talk, name: string): void {
    const { output, name: before } = this.#host;
    if (!peer.dialled || this.#calledOtherwise || name === before) return;
    if (!isSuggestionFor(before, name)) return;
    this.#calledOtherwise = true;
    output.say(`Somebody else is called ${before} there: you are called ${name} now`);
    output.event("called", { name });
    this.#user.rename(name);
  }

  async #isKnown(name: string, key: Uint8Array): Promise<boolean> {
    const keys = await this.#host.trust.keysOf(name);
    return keys.some((each) => equalBytes(each, key));
  }

  #record({ peer }: Talk): MemberRecord {
    const { addresses, relay, registered } = this.#reachable;
    return {
      instance: this.#instance,
      signingKey: this.#signingKey,
      name: this.#host.name,
      addresses: ownAddresses(addresses(), isOnThisMachine(peer.session)),
      relay: registered ? relay?.address : undefined,
    };
  }

  /** Somebody has come or gone: others are told, soon, and who is not here is looked for. */
  #rosterChanged(): void {
    if (this.#closed) return;
    this.#dialling.schedule();
    this.#wakeAll();
    if (this.#roster.revision === this.#revisionTold) return;
    // A line that is handed on counts with who knows its author only.
    for (const talk of this.#talks.values()) if (talk.member) talk.tellFirst("members");
    if (this.#cancelTelling) return;
    const wait = Math.max(0, this.#toldAt + MEMBERS_GAP_MS - this.#clock.now());
    this.#cancelTelling = this.#clock.after(wait, () => {
      this.#cancelTelling = undefined;
      this.#toldAt = this.#clock.now();
      this.#revisionTold = this.#roster.revision;
      this.#tellAll("members");
    });
  }

  #visit(session: Session): Promise<void> {
    return this.#user.enter(session, true).then(({ end, peer }) => {
      if (end.error && peer.here) this.#user.tell(end.error);
    });
  }

  /** Which member a session is with; undefined before it has said so. */
  #memberOf(session: KnownPeer): string | undefined {
    const talk = [...this.#talks.values()].find(({ peer }) => peer.session === session);
    return talk?.member && memberId(talk.member);
  }

  #networkChanged(): void {
    this.#roster.dials.networkChanged();
    // What we dialled looks after itself; who dialled us may look for us where we were.
    for (const { peer } of this.#talks.values()) if (!peer.dialled) peer.session.check();
    this.#dialling.schedule();
    this.#tellAll("member");
  }

  // Lines

  #takeLine(talk: Talk, line: Line, previous: number): Promise<void> | void {
    const looked = this.#lineNames.look(line);
    if (looked) return looked.then(() => this.#takeLine(talk, line, previous));
    const fresh = this.#replica.take(talk.id, line, previous);
    if (fresh) this.#hearing.hear(fresh, this.#authors.hasMet(line.author) ? undefined : talk.peer);
    else talk.wake();
  }

  #shownName({ author, instance, name }: Line): string {
    const who = { key: author, instance };
    const talk = this.#talkWith(who);
    if (talk) return talk.peer.name;
    const { names } = this.#roster;
    const isOurs = equalBytes(author, this.#host.identity.publicKey);
    if (isOurs) return name;
    const isAnothers = names.isTaken(name) || this.#lineNames.isAnothers({ author, name });
    return isAnothers ? names.suggest(name) : name;
  }

  #talkWith(who: MemberIdentity): Talk | undefined {
    return this.#talks.values().find(({ member, superfluous }) =>
      member !== undefined && !superfluous && compareMembers(member, who) === 0
    );
  }

  #tellAll(due: Due): void {
    for (const talk of this.#talks.values()) if (talk.member) talk.tell(due);
  }

  #wakeAll(): void {
    for (const talk of this.#talks.values()) talk.wake();
  }

  // Memory

  #restore(): void {
    const { lines, positions, members } = this.#host.memory.restore();
    this.#roster.memberships.restore(members);
    for (const member of members) this.#authors.met(member);
    const hasMet = members.some(({ key }) => this.#roster.memberships.has(key));
    this.#replica.restore(lines, positions, hasMet);
  }

  /** What has changed is on disk when this returns. */
  #write(): void {
    const { lines, positions } = this.#replica.changes();
    const members = this.#roster.memberships.takeChanges();
    if (lines.length + positions.length + members.length === 0) return;
    this.#host.memory.write({ lines, positions, members });
  }

  #sweep(): void {
    this.#replica.expire();
    this.#lineNames.forget();
    this.#write();
    this.#wakeAll();
    this.#cancelSweep = this.#clock.after(MESH_SWEEP_MS, () => this.#sweep());
  }
}

/** Resolves when the other side has all, or whoever reads tells that it never will. */
async function finished(talk: Talk): Promise<void> {
  try {
    await talk.finish();
  } catch (error) {
    if (!isToldByReader(error)) throw error;
  }
}

/** Whether files are under way: they go on with the session, and with no other. */
function hasFiles({ peer }: Talk): boolean {
  return peer.session.unfinished.includes(FILES_KIND);
}

/** "alice, bob, carol and 5 more" */
function someOf(members: readonly { name: string }[]): string {
  const names = members.slice(0, 3).map(({ name }) => name).join(", ");
  return members.length > 3 ? `${names} and ${members.length - 3} more` : names;
}

function departureOf({ error, code }: SessionEnd): Departure {
  if (code === GoodbyeCode.oneTooMany) return "duplicate";
  if (code === GoodbyeCode.sentAway) return "sentAway";
  return error ? "lost" : "goodbye";
}

function isOnThisMachine({ remote }: Session): boolean {
  try {
    return isLoopback(parseAddress(remote).host);
  } catch {
    // What comes through a relay has no address of its own.
    return false;
  }
}
