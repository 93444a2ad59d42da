/**
 * Who is in the mesh (README.md, section 8): the sessions with members, which of two with the same
 * member stays, who is told of whom, and, by its parts, who is dialled (`DialPlan`), who is shown
 * under which name (`ShownNames`), and since when somebody is a member (`Memberships`). Pure.
 */
import { isLoopback } from "./address.ts";
import { compareBytes, equalBytes } from "./bytes.ts";
import { DialPlan, type DialPlanOptions } from "./dial_plan.ts";
import { ProtocolError } from "./errors.ts";
import { MAX_MEMBERS, SECOND_DIALLER_MS } from "./limits.ts";
import {
  compareMembers,
  type KeyedMember,
  memberId,
  type MemberIdentity,
  type MemberRecord,
} from "./member.ts";
import { usableAddresses } from "./member_addresses.ts";
import { type Membership, Memberships } from "./memberships.ts";
import { isSameButForNumber, ShownNames } from "./shown_names.ts";

export interface RosterOptions extends DialPlanOptions {
  /** What we are called. */
  name: string;
  /** Milliseconds since 1970. */
  time(): number;
}

/** A session as both of its sides know it. */
export interface SessionFacts {
  /** Whether it was us who dialled. */
  readonly dialled: boolean;
  /** Its 16 bytes, chosen by whoever dialled. */
  readonly sessionId: Uint8Array;
  /** Whether it is over loopback: only then are loopback addresses told in it of use. */
  readonly onThisMachine: boolean;
}

/** What is to become of a session whose member has said who it is. */
export type Verdict =
  | Membership & {
    readonly keep: true;
    /** The session to be ended with GOODBYE 7: the same member's, or that of its program before. */
    readonly replaces?: string;
  }
  | {
    /** To be ended with GOODBYE 7. */
    readonly keep: false;
    /** The session that stays instead; undefined where it is one with ourselves. */
    readonly other?: string;
  };

/**
 * How a session has ended: with GOODBYE 0 or 1 by either side; with GOODBYE 6 by either side; with
 * GOODBYE 7 by the other; or otherwise.
 */
export type Departure = "goodbye" | "sentAway" | "duplicate" | "lost";

interface Link extends SessionFacts {
  readonly id: string;
  member: KeyedMember;
  /** Since when it has no connection: milliseconds since 1970. */
  awaySince: number | undefined;
}

export class Roster {
  /** Whom to dial, and when. */
  readonly dials: DialPlan;
  /** Who is shown under which name, by session. */
  readonly names: ShownNames;
  readonly memberships: Memberships;
  readonly #self: RosterOptions["self"];
  readonly #time: () => number;
  /** By session, in the order in which they began. */
  readonly #links = new Map<string, Link>();
  #revision = 0;

  constructor(options: RosterOptions) {
    this.dials = new DialPlan(options);
    this.names = new ShownNames(options.name);
    this.memberships = new Memberships(options.time);
    this.#self = options.self;
    this.#time = options.time;
  }

  /** Grows with each change of what `linked` gives. */
  get revision(): number {
    return this.#revision;
  }

  /**
   * The member at the other end of a session has said who it is.
   * @param id the session's, here: any text that no other session has
   * @param who with the key that the session has proven
   */
  joined(id: string, who: KeyedMember, facts: SessionFacts): Verdict {
    if (compareMembers(this.#self, who) === 0) return { keep: false };
    const link: Link = { ...facts, id, member: usable(who, facts), awaySince: undefined };
    const other = this.#rivalOf(link);
    if (other) return { keep: false, other: other.id };
    const replaced = this.#linkOf(memberId(who)) ?? this.#predecessorOf(link);
    if (replaced) this.#replace(replaced, link);
    this.#links.set(id, link);
    this.dials.linked(link.member);
    this.dials.back(memberId(link.member));
    this.#revision++;
    const membership = this.memberships.present(link.member);
    return { keep: true, ...membership, ...replaced && { replaces: replaced.id } };
  }

  /**
   * The session that would stay instead of one in which a member says who it is. If the other side
   * has no use for it any more, which may have lost its connection sooner, that is to be found out
   * first.
   */
  rivalOf(id: string, who: KeyedMember, facts: SessionFacts): string | undefined {
    return this.#rivalOf({ ...facts, id, member: who, awaySince: undefined })?.id;
  }

  /**
   * A member says something else of itself.
   * @throws {ProtocolError} if it is not the same member any more
   */
  changed(id: string, record: MemberRecord): void {
    const link = this.#links.get(id);
    if (!link) return;
    const { key, instance, signingKey } = link.member;
    if (!equalBytes(instance, record.instance) || !equalBytes(signingKey, record.signingKey)) {
      throw new ProtocolError("Member changed: its instance and signing key stay for a session");
    }
    link.member = usable({ ...record, key }, link);
    this.dials.linked(link.member);
    this.memberships.present(link.member);
    this.#revision++;
  }

  /**
   * The connection of a session is lost; the session waits for another.
   * @param options.replaceable whether another session is to take its place, if this machine can
   *   begin one sooner. Default: yes
   * @returns the session that has taken its place, and its name here, if its program has been started
   *   anew meanwhile: this one is then to be ended with GOODBYE 7
   */
  away(id: string, { replaceable = true } = {}): string | undefined {
    const link = this.#links.get(id);
    if (!link) return undefined;
    link.awaySince ??= this.#time();
    const successor = this.#successorOf(link);
    if (successor) this.#replace(link, successor);
    // Whoever dialled dials again.
    else this.dials.away(memberId(link.member), { dial: !link.dialled && replaceable });
    return successor?.id;
  }

  /** The session goes on. */
  back(id: string): void {
    const link = this.#links.get(id);
    if (!link) return;
    link.awaySince = undefined;
    this.dials.back(memberId(link.member));
  }

  /** A session is over. One that was to be ended by a verdict has no part in this any more. */
  left(id: string, how: Departure): void {
    const link = this.#links.get(id);
    if (!link) return;
    this.#remove(link);
    const { member } = link;
    const gone = how === "goodbye" || how === "sentAway";
    if (gone) this.dials.gone(memberId(member));
    // Another session is there for the other side: most likely it is about to show here, too.
    else this.dials.lost(memberId(member), how === "duplicate" ? SECOND_DIALLER_MS : 0);
    const others = [...this.#links.values()].some((each) =>
      equalBytes(each.member.key, member.key)
    );
    if (!others) this.memberships.absent(member.key, gone ? "left" : "lost", link.awaySince);
  }

  /** The member of a session says with whom else it has one. */
  told(id: string, members: readonly KeyedMember[]): void {
    const link = this.#links.get(id);
    if (!link) return;
    this.dials.tell(id, link.member.key, members, link.onThisMachine);
  }

  /** What MEMBERS says to the member of a session: those with whom we have another, 64 at most. */
  linked(id: string): KeyedMember[] {
    const to = this.#links.get(id);
    const others = [...this.#links.values()].filter((link) => link !== to);
    // Where there are too many, the others have been told of those who came first.
    return others.slice(-MAX_MEMBERS).map(({ member }) => {
      if (to?.onThisMachine) return member;
      return { ...member, addresses: member.addresses.filter(({ host }) => !isLoopback(host)) };
    });
  }

  /** Whether MEMBERS names somebody to the member of a session. */
  hasOthers(id: string): boolean {
    return this.#links.size > (this.#links.has(id) ? 1 : 0);
  }

  /** Whether there is a session with somebody who has this key. */
  hasKey(key: Uint8Array): boolean {
    return [...this.#links.values()].some(({ member }) => equalBytes(member.key, key));
  }

  /** Whether there is a session with this member, and it has a connection. */
  isHere(member: MemberIdentity): boolean {
    const link = this.#linkOf(memberId(member));
    return link !== undefined && !isAway(link);
  }

  /** Who there is a session with, by its id here. */
  memberOf(id: string): KeyedMember | undefined {
    return this.#links.get(id)?.member;
  }

  #linkOf(member: string): Link | undefined {
    return [...this.#links.values()].find((each) => memberId(each.member) === member);
  }

  #rivalOf(link: Link): Link | undefined {
    const same = this.#linkOf(memberId(link.member));
    return same && !isAway(same) && !this.#precedes(link, same) ? same : undefined;
  }

  /** Whether of two sessions with the same member the first stays. Both sides see it alike. */
  #precedes(one: Link, other: Link): boolean {
    if (one.dialled === other.dialled) {
      return compareBytes(one.sessionId, other.sessionId) < 0;
    }
    const ours = compareMembers(this.#self, one.member) < 0;
    return one.dialled === ours;
  }

  /** The session of the program that somebody who comes ran before, if it shows no sign of life. */
  #predecessorOf(link: Link): Link | undefined {
    return [...this.#links.values()].find((each) =>
      isAway(each) && succeeds(link.member, each.member)
    );
  }

  /** The session of a program that was started after the one of this session, which is away. */
  #successorOf(link: Link): Link | undefined {
    return [...this.#links.values()].find((each) =>
      !isAway(each) && succeeds(each.member, link.member)
    );
  }

  #replace(link: Link, by: Link): void {
    this.names.move(link.id, by.id);
    this.#remove(link);
    if (memberId(link.member) !== memberId(by.member)) this.dials.gone(memberId(link.member));
  }

  #remove(link: Link): void {
    this.#links.delete(link.id);
    this.names.release(link.id);
    this.dials.untell(link.id);
    this.#revision++;
  }
}

function isAway({ awaySince }: Link): boolean {
  return awaySince !== undefined;
}

/** Whether a member's program was started later than another's, by the same key and name. */
export function succeeds(later: KeyedMember, earlier: KeyedMember): boolean {
  return equalBytes(later.key, earlier.key) && isSameButForNumber(later.name, earlier.name) &&
    compareMembers(later, earlier) > 0;
}

/** A member with those of its addresses that are of use to whoever has this session. */
function usable(member: KeyedMember, { onThisMachine }: { onThisMachine: boolean }): KeyedMember {
  return { ...member, addresses: usableAddresses(member.addresses, onThisMachine) };
}
