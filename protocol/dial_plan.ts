/**
 * Which members are dialled, and when (README.md, section 8). Pure: it is told who there is, and
 * asked who is due.
 *
 *     told of, lost, remembered                 due                        dialled
 *     ─────────────────────────▶ waiting ───────────────▶ being dialled ─────────────▶ waiting
 *                                   │  linked: a session with it has begun
 *                                   └──────────────────────▶ linked ──── lost ───────▶ waiting
 *                                                             │ ▲└────── gone ───────▶ not wanted
 *                                             its connection  │ │ back, or another session
 *                                                   is lost   ▼ │
 *                                                             away ───── due, as who is waiting
 *
 * All that others tell may be wrong: so an attempt is for a pair of instance and key, whatever the
 * addresses, pauses grow with every failure and outlast the telling, and nobody has us try more
 * than 32 that were never met. Nor may those who came for a moment, and are gone, keep us from the
 * others: some attempts are for these alone.
 */
import type { Address } from "./address.ts";
import {
  DIAL_AWAY_AFTER_MS,
  MAX_DIAL_CANDIDATES,
  MAX_MEMBER_DIALS,
  MAX_MEMBERS,
  MAX_UNMET_PER_TELLER,
  MEMBER_GRACE_MS,
  RESERVED_MEMBER_DIALS,
  SECOND_DIALLER_MS,
  SETTLED_AFTER_MS,
} from "./limits.ts";
import { compareMembers, type KeyedMember, memberId } from "./member.ts";
import { interleaveAddresses, usableAddresses } from "./member_addresses.ts";

/** Milliseconds after the first failure; doubled with each further one, up to the longest. */
const FIRST_PAUSE_MS = 1_000;
/** For whom we have met. */
const LONGEST_PAUSE_MS = 60_000;
/** For whom we have met and lost a short while ago: it is most likely about to be back. */
const LONGEST_PAUSE_AT_FIRST_MS = 10_000;
/** How long that is. */
const AT_FIRST_MS = 300_000;
/** For whom we have never met, and whom we may be unable to reach, or who may not exist. */
const LONGEST_UNMET_PAUSE_MS = 300_000;
/** Milliseconds for a session to show who it is with, before it counts as one that came to nothing. */
const MEETING_MS = 15_000;
/** Milliseconds that a session lasts before it counts as a success. */
const LASTING_MS = 10_000;
/**
 * Milliseconds between two attempts that are made sooner because somebody tells of a member anew;
 * doubled with each.
 */
const HURRY_MS = 30_000;
/** Milliseconds for which it is remembered how often somebody was dialled in vain. */
const MEMORY_MS = 600_000;
/** Attempts at those never met: at once, and then one more in each of so many milliseconds. */
const UNMET_BURST = 64;
const UNMET_EVERY_MS = 500;

/** Whom to dial. */
export interface DialTarget {
  /** What `DialPlan.dialled` is to be told. */
  readonly id: string;
  /** The only key that may answer. */
  readonly key: Uint8Array;
  /** The name under which it may be known at `relay`. */
  readonly name: string;
  /** At most 8. */
  readonly addresses: readonly Address[];
  readonly relay: string | undefined;
}

/** Somebody who was a member once; which instance it is now is not known. */
export interface FormerMember extends Omit<DialTarget, "id"> {
  /** Milliseconds since it was lost; undefined if it has left. */
  readonly lostForMs?: number | undefined;
}

export interface DialPlanOptions {
  /** Who we are. */
  self: { readonly key: Uint8Array; readonly instance: Uint8Array };
  /** Milliseconds on a clock that never goes back. */
  now(): number;
  /** At least 0, below 1. */
  random?: () => number;
  /** Whether a key is not let in: then it is not dialled either. */
  banned?: (key: Uint8Array) => boolean;
}

/** What a member is to the plan. */
type Who = Omit<DialTarget, "id"> & { readonly instance?: Uint8Array };

/** How well we know somebody: met is whom we had a session with that lasted; settled who stayed. */
type Acquaintance = "never met" | "met" | "settled";

/** How many of each. */
type Counts = Record<Acquaintance, number>;

/** Attempts that nobody else gets; those whom we know least come first. */
const RESERVED: Readonly<Counts> = {
  "never met": RESERVED_MEMBER_DIALS,
  "met": 0,
  "settled": RESERVED_MEMBER_DIALS,
};

/** What a session tells of somebody: its addresses are looked at only when it is to be dialled. */
class Telling {
  #usable: Address[] | undefined;

  constructor(readonly who: Who, readonly onThisMachine: boolean) {}

  get addresses(): Address[] {
    return this.#usable ??= usableAddresses(this.who.addresses, this.onThisMachine);
  }
}

interface Candidate {
  readonly id: string;
  /** In hexadecimal. */
  readonly key: string;
  /** As it has told itself, or else as it was told of at first. */
  who: Who;
  /** Whether it is as it has told itself. */
  own: boolean;
  acquaintance: Acquaintance;
  /** What is told of it now, by the session in which it is. */
  readonly told: Map<string, Telling>;
  /** Those who have told of it, in hexadecimal: for each it counts as one of theirs. */
  readonly tellers: Set<string>;
  /** Until when it is dialled though nobody tells of it. */
  wantedUntil: number;
  /** Until when it counts as lost a short while ago. */
  freshUntil: number;
  /** Until when it is not dialled though somebody tells of it: it said goodbye. */
  goneUntil: number;
  failures: number;
  nextAt: number;
  triedAt: number;
  hurriedAt: number;
  hurries: number;
  /** Since when there is a session with it, and has a connection, or had one. */
  linkedAt: number | undefined;
  /** Whether that has none. */
  away: boolean;
  /** Whether it is dialled though there is a session with it. */
  dialAway: boolean;
  dialling: boolean;
}

/** Whoever tells of others, in one session. */
interface Teller {
  /** In hexadecimal. */
  readonly key: string;
  readonly onThisMachine: boolean;
  readonly members: readonly KeyedMember[];
}

export class DialPlan {
  readonly #options: DialPlanOptions;
  readonly #random: () => number;
  readonly #candidates = new Map<string, Candidate>();
  /** Those with whom there is a session. */
  readonly #linked = new Set<Candidate>();
  /** What each session tells, and whose session it is. */
  readonly #tellers = new Map<string, Teller>();
  #unmetBudget = UNMET_BURST;
  #budgetAt: number;
  #networkChangedAt = -Infinity;

  constructor(options: DialPlanOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#budgetAt = options.now();
  }

  /**
   * A session tells who else there is, instead of what it told before.
   * @param session by which it is told
   * @param teller whose key that session has proven
   * @param onThisMachine whether it is over loopback: only then are loopback addresses of use
   */
  tell(
    session: string,
    teller: Uint8Array,
    members: readonly KeyedMember[],
    onThisMachine = false,
  ): void {
    const bounded = members.slice(0, MAX_MEMBERS);
    this.#tellers.set(session, { key: teller.toHex(), onThisMachine, members: bounded });
    const named = new Set(bounded.map(memberId));
    for (const { id, told } of this.#candidates.values()) if (!named.has(id)) told.delete(session);
    this.#forget();
    this.#consider(session);
  }

  /** A session has ended: what it told is told no more. */
  untell(session: string): void {
    this.#tellers.delete(session);
    for (const { told } of this.#candidates.values()) told.delete(session);
  }

  /** A session with a member has begun, or it says something else of itself in it. */
  linked(member: KeyedMember): void {
    const candidate = this.#of(memberId(member), member);
    candidate.who = member;
    candidate.own = true;
    candidate.linkedAt ??= this.#now;
    this.#linked.add(candidate);
    candidate.wantedUntil = candidate.goneUntil = 0;
    // Whoever of the key was lost, or remembered, is most likely this one, started anew.
    for (const other of this.#ofKey(member.key)) other.wantedUntil = 0;
    for (const session of this.#tellers.keys()) this.#consider(session);
  }

  /**
   * The session with a member has ended, and it did not say goodbye.
   * @param soon milliseconds before it is dialled, at least
   */
  lost(id: string, soon = 0): void {
    const candidate = this.#candidates.get(id);
    if (candidate?.linkedAt === undefined) return;
    this.#noteStay(candidate);
    this.#unlink(candidate);
    candidate.wantedUntil = this.#now + MEMBER_GRACE_MS;
    this.#pause(candidate, soon + this.#turn(candidate.who));
  }

  /**
   * The connection of a session with a member is lost.
   * @param options.dial whether the member is to find another, but may be unable to: then we begin
   *   another session, if it is not back soon
   */
  away(id: string, { dial }: { dial: boolean }): void {
    const candidate = this.#candidates.get(id);
    if (!candidate || candidate.away) return;
    this.#noteStay(candidate);
    candidate.away = true;
    candidate.dialAway = dial;
    // Who looks for us where we were will not come back by itself.
    const moved = this.#now - this.#networkChangedAt < DIAL_AWAY_AFTER_MS;
    const soonest = this.#now + (moved ? 0 : DIAL_AWAY_AFTER_MS);
    candidate.nextAt = Math.max(candidate.nextAt, soonest);
  }

  /** That session goes on, or there is another with a connection. */
  back(id: string): void {
    const candidate = this.#candidates.get(id);
    if (!candidate?.away) return;
    candidate.away = candidate.dialAway = false;
    // Whose connections do not last is not dialled any faster for it.
    candidate.linkedAt = this.#now;
  }

  /** A member has said goodbye, or one of us has sent the other away. */
  gone(id: string): void {
    const candidate = this.#candidates.get(id);
    if (!candidate) return;
    this.#unlink(candidate);
    candidate.wantedUntil = 0;
    candidate.goneUntil = this.#now + MEMBER_GRACE_MS;
  }

  /** Has members of another time, the first 64, dialled until one with their key is here. */
  remember(members: readonly FormerMember[]): void {
    for (const member of members.slice(0, MAX_MEMBERS)) {
      if (this.#ofKey(member.key).some(({ linkedAt }) => linkedAt !== undefined)) continue;
      const candidate = this.#of(member.key.toHex(), member);
      candidate.own = true;
      candidate.acquaintance = "settled";
      candidate.wantedUntil = Infinity;
      candidate.freshUntil = this.#now + AT_FIRST_MS - (member.lostForMs ?? Infinity);
    }
  }

  /** Whom to dial now: each is then being dialled until `dialled` is called. */
  due(): DialTarget[] {
    this.#forget();
    const waiting = this.#waiting()
      .filter(({ nextAt }) => nextAt <= this.#now)
      .sort((a, b) => Number(isMet(b)) - Number(isMet(a)) || a.nextAt - b.nextAt);
    const targets: DialTarget[] = [];
    const dialling = this.#countDialling();
    for (const candidate of waiting) {
      if (!hasRoom(dialling, candidate)) continue;
      if (!isMet(candidate) && !this.#spend()) continue;
      dialling[candidate.acquaintance]++;
      targets.push(this.#begin(candidate));
    }
    return targets;
  }

  /**
   * Milliseconds until somebody may be due; Infinity if that depends on what is told first, the end
   * of an attempt among it.
   */
  nextDue(): number {
    const dialling = this.#countDialling();
    const waits = this.#waiting().filter((each) => hasRoom(dialling, each)).map((each) =>
      Math.max(0, each.nextAt - this.#now, isMet(each) ? 0 : this.#untilBudget())
    );
    return Math.ceil(Math.min(Infinity, ...waits));
  }

  /**
   * An attempt is over.
   * @param result "ok" if there is a session: with whom, `linked` tells
   */
  dialled(id: string, result: "ok" | "failed"): void {
    const candidate = this.#candidates.get(id);
    if (!candidate?.dialling) return;
    candidate.dialling = false;
    // Who lets us in and shows to be somebody else, or nobody, is not dialled any faster for it.
    this.#pause(candidate, 0);
    if (result === "failed") return;
    candidate.nextAt = Math.max(candidate.nextAt, this.#now + MEETING_MS);
    candidate.hurriedAt = this.#now;
  }

  /** Where somebody may be now; undefined if there is nothing of it any more. */
  where(id: string): DialTarget | undefined {
    const candidate = this.#candidates.get(id);
    return candidate && { id, ...this.#where(candidate) };
  }

  /** This machine is on another network: what failed may succeed. */
  networkChanged(): void {
    this.#networkChangedAt = this.#now;
    for (const candidate of this.#candidates.values()) {
      candidate.failures = 0;
      candidate.nextAt = Math.min(candidate.nextAt, this.#now);
    }
  }

  get #now(): number {
    return this.#options.now();
  }

  /** How long somebody stayed, who is not here any more: it is known better then, and dialled anew. */
  #noteStay(candidate: Candidate): void {
    if (candidate.away || candidate.linkedAt === undefined) return;
    const stayed = this.#now - candidate.linkedAt;
    if (stayed < LASTING_MS) return;
    candidate.failures = candidate.hurries = 0;
    if (stayed >= SETTLED_AFTER_MS) candidate.acquaintance = "settled";
    else if (!isMet(candidate)) candidate.acquaintance = "met";
    candidate.freshUntil = this.#now + AT_FIRST_MS;
  }

  #unlink(candidate: Candidate): void {
    candidate.linkedAt = undefined;
    candidate.away = candidate.dialAway = false;
    candidate.triedAt = this.#now;
    this.#linked.delete(candidate);
  }

  #begin(candidate: Candidate): DialTarget {
    candidate.dialling = true;
    candidate.triedAt = this.#now;
    return { id: candidate.id, ...this.#where(candidate) };
  }

  #countDialling(): Counts {
    const counts: Counts = { "never met": 0, "met": 0, "settled": 0 };
    for (const { dialling, acquaintance } of this.#candidates.values()) {
      if (dialling) counts[acquaintance]++;
    }
    return counts;
  }

  #ofKey(key: Uint8Array): Candidate[] {
    const text = key.toHex();
    return [...this.#candidates.values()].filter((each) => each.key === text);
  }

  #of(id: string, who: Who): Candidate {
    const found = this.#candidates.get(id);
    if (found) return found;
    this.#makeRoom();
    const candidate: Candidate = {
      id,
      key: who.key.toHex(),
      who,
      own: false,
      acquaintance: "never met",
      told: new Map(),
      tellers: new Set(),
      wantedUntil: 0,
      freshUntil: 0,
      goneUntil: 0,
      failures: 0,
      nextAt: this.#now,
      triedAt: this.#now,
      hurriedAt: -Infinity,
      hurries: 0,
      linkedAt: undefined,
      away: false,
      dialAway: false,
      dialling: false,
    };
    this.#candidates.set(id, candidate);
    return candidate;
  }

  /** Takes up those whom a session tells of, as far as there is room for its teller's. */
  #consider(session: string): void {
    const teller = this.#tellers.get(session)!;
    const { key, members } = teller;
    let unmet = [...this.#candidates.values()]
      .filter(({ own, tellers }) => !own && tellers.has(key)).length;
    for (const member of members) {
      const id = memberId(member);
      const known = this.#candidates.get(id);
      const counts = !known?.own && !known?.tellers.has(key);
      if (counts && unmet >= MAX_UNMET_PER_TELLER) continue;
      if (this.#isSelf(member)) continue;
      if (!known && this.#candidates.size >= MAX_DIAL_CANDIDATES) continue;
      if (counts) unmet++;
      this.#told(this.#of(id, member), session, teller, member);
    }
  }

  #told(candidate: Candidate, session: string, teller: Teller, member: KeyedMember): void {
    const isNew = !candidate.told.has(session);
    const isFirst = candidate.tellers.size === 0;
    if (candidate.told.get(session)?.who !== member) {
      candidate.told.set(session, new Telling(member, teller.onThisMachine));
    }
    if (candidate.tellers.size < MAX_DIAL_CANDIDATES) candidate.tellers.add(teller.key);
    if (isFirst && !candidate.own) candidate.nextAt = this.#now + this.#turn(member);
    else if (isNew) this.#hurry(candidate);
  }

  /** Somebody reaches it now: so we may. Who tells of it again and again is believed ever less often. */
  #hurry(candidate: Candidate): void {
    const { hurriedAt, hurries, linkedAt, dialling } = candidate;
    if (linkedAt !== undefined || dialling) return;
    if (this.#now - hurriedAt < HURRY_MS * 2 ** hurries) return;
    candidate.hurriedAt = this.#now;
    candidate.hurries++;
    candidate.nextAt = Math.min(candidate.nextAt, this.#now + this.#turn(candidate.who));
  }

  /** Milliseconds for which the other side has the first try: both at once would make two sessions. */
  #turn({ key, instance }: Who): number {
    if (!instance) return 0;
    return compareMembers(this.#options.self, { key, instance }) < 0 ? 0 : SECOND_DIALLER_MS;
  }

  #pause(candidate: Candidate, extraMs: number): void {
    const longest = this.#longestPause(candidate);
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** candidate.failures, longest);
    candidate.failures++;
    candidate.nextAt = this.#now + Math.min(pause * (0.5 + this.#random()), longest) + extraMs;
  }

  #longestPause(candidate: Candidate): number {
    if (candidate.freshUntil > this.#now) return LONGEST_PAUSE_AT_FIRST_MS;
    // Who is looked for may have been gone for years.
    if (isMet(candidate) && candidate.wantedUntil < Infinity) return LONGEST_PAUSE_MS;
    return LONGEST_UNMET_PAUSE_MS;
  }

  #isSelf({ key, instance }: KeyedMember): boolean {
    return compareMembers(this.#options.self, { key, instance }) === 0;
  }

  #isWanted(candidate: Candidate): boolean {
    const { told, linkedAt, dialAway, wantedUntil, goneUntil, who } = candidate;
    if (linkedAt !== undefined && !dialAway) return false;
    if (goneUntil > this.#now || this.#isOther(candidate)) return false;
    if (!dialAway && told.size === 0 && wantedUntil <= this.#now) return false;
    return this.#options.banned?.(who.key) !== true;
  }

  /** Whether somebody remembered is, for all we know, somebody else on the list. */
  #isOther({ id, key, who }: Candidate): boolean {
    if (who.instance) return false;
    return [...this.#candidates.values()]
      .some((each) => each.key === key && each.id !== id && each.told.size > 0);
  }

  #waiting(): Candidate[] {
    return [...this.#candidates.values()].filter((candidate) => {
      if (candidate.dialling || !this.#isWanted(candidate)) return false;
      const { addresses, relay } = this.#where(candidate);
      return addresses.length > 0 || relay !== undefined;
    });
  }

  /** What itself said of where it is comes first of each, then what others say. */
  #where(candidate: Candidate): Omit<DialTarget, "id"> {
    const { who, told, own } = candidate;
    const taken = this.#placesOfOthers(candidate);
    const others = [...told.values()];
    const lists = others.map(({ addresses }) => addresses);
    const addresses = interleaveAddresses(own ? [who.addresses, ...lists] : lists)
      .filter((each) => !taken.some(({ host, port }) => host === each.host && port === each.port));
    // Where it has not told itself, who told of it first is believed: later ones change nothing.
    const { name, relay } = own ? who : others[0]?.who ?? who;
    return { key: who.key, name, addresses, relay };
  }

  /** Where other instances of the key are now: whoever was there before them is not any more. */
  #placesOfOthers(candidate: Candidate): Address[] {
    return [...this.#linked].filter((each) => each !== candidate && each.key === candidate.key)
      .flatMap(({ who }) => who.addresses);
  }

  /** Takes an attempt at somebody never met from what there is of them. */
  #spend(): boolean {
    if (this.#untilBudget() > 0) return false;
    this.#unmetBudget--;
    return true;
  }

  /** Milliseconds until there may be another attempt at somebody never met. */
  #untilBudget(): number {
    const gained = (this.#now - this.#budgetAt) / UNMET_EVERY_MS;
    this.#unmetBudget = Math.min(UNMET_BURST, this.#unmetBudget + gained);
    this.#budgetAt = this.#now;
    return Math.max(0, 1 - this.#unmetBudget) * UNMET_EVERY_MS;
  }

  /**
   * Somebody whom we meet is taken up in any case, in place of whoever was tried longest ago, of
   * those whom we know least.
   */
  #makeRoom(): void {
    if (this.#candidates.size < MAX_DIAL_CANDIDATES) return;
    const idle = [...this.#candidates.values()]
      .filter((each) => !each.dialling && !this.#linked.has(each))
      .sort((a, b) => rankOf(a) - rankOf(b) || a.triedAt - b.triedAt);
    if (idle[0]) this.#candidates.delete(idle[0].id);
  }

  /** Drops those whom nobody tells of, and with whom there was nothing for a while. */
  #forget(): void {
    for (const [id, candidate] of this.#candidates) {
      const { told, linkedAt, dialling, wantedUntil, goneUntil, triedAt } = candidate;
      const until = Math.max(wantedUntil, goneUntil, triedAt + MEMORY_MS);
      if (told.size === 0 && linkedAt === undefined && !dialling && until <= this.#now) {
        this.#candidates.delete(id);
      }
    }
  }
}

/** Whether there may be another attempt, and it need not be left to those whom we know otherwise. */
function hasRoom(dialling: Counts, { acquaintance }: Candidate): boolean {
  let taken = 0;
  for (const [each, reserved] of Object.entries(RESERVED)) {
    const count = dialling[each as Acquaintance];
    taken += each === acquaintance ? count : Math.max(count, reserved);
  }
  return taken < MAX_MEMBER_DIALS;
}

function isMet({ acquaintance }: Candidate): boolean {
  return acquaintance !== "never met";
}

/** More for whom we know better. */
function rankOf({ acquaintance }: Candidate): number {
  return Object.keys(RESERVED).indexOf(acquaintance);
}
