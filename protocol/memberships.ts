/**
 * Since when each key is a member, and whether it still is (README.md, section 8):
 *
 *              joined               lost                 an hour passed
 *     nobody ─────────▶ present ───────────▶ lost ──────────────────────▶ nobody
 *                         │  ▲                │ joined: a member all the while
 *            said goodbye │  └────────────────┘
 *                         └──▶ left ── joined: a member from now on ──▶ present
 */
import type { Address } from "./address.ts";
import { MAX_REMEMBERED_MEMBERS, MEMBER_GRACE_MS, SETTLED_AFTER_MS } from "./limits.ts";
import type { KeyedMember } from "./member.ts";

/** What is kept of somebody who is, or was, a member. */
export interface RememberedMember {
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly name: string;
  /** 32 bytes: with which it signs its lines. */
  readonly signingKey: Uint8Array;
  readonly addresses: readonly Address[];
  readonly relay: string | undefined;
  /** Milliseconds since 1970. */
  readonly memberSince: number;
  /** Milliseconds since 1970; of somebody who is present, when it was last noted. */
  readonly lastSeen: number;
  readonly state: "present" | "lost" | "left";
}

/** Since when somebody is a member. */
export interface Membership {
  /** Milliseconds since 1970: what is said from then on is meant for it. */
  readonly since: number;
  /** Whether it was a member before it came. */
  readonly returning: boolean;
}

export class Memberships {
  /** By the key in hexadecimal. */
  readonly #all = new Map<string, RememberedMember>();
  readonly #changed = new Set<string>();
  readonly #time: () => number;

  /** @param time milliseconds since 1970 */
  constructor(time: () => number) {
    this.#time = time;
  }

  /** Takes up what was kept. Who was present then was lost when the program ended. */
  restore(members: readonly RememberedMember[]): void {
    for (const member of members) {
      // A clock that was ahead would make members for longer than an hour.
      const lastSeen = Math.min(member.lastSeen, this.#time());
      const state = member.state === "present" ? "lost" : member.state;
      this.#all.set(member.key.toHex(), { ...member, lastSeen, state });
    }
    this.#bound();
  }

  /** Somebody is here, under a session; again where it tells something new of itself. */
  present(member: KeyedMember): Membership {
    const id = member.key.toHex();
    const [known, now] = [this.#all.get(id), this.#time()];
    const returning = known !== undefined && this.#isMember(known);
    const memberSince = returning ? known.memberSince : now;
    const { key, name, signingKey, addresses, relay } = member;
    const state = "present";
    const record = { key, name, signingKey, addresses, relay, memberSince, lastSeen: now, state };
    this.#set(id, record as RememberedMember);
    this.#bound();
    return { since: memberSince, returning };
  }

  /**
   * The last session with a key has ended.
   * @param lastSeen when it lost its connection, if it had none: a session is kept without one for
   *   longer than some stay. Default: now
   */
  absent(key: Uint8Array, state: "lost" | "left", lastSeen: number = this.#time()): void {
    const known = this.#all.get(key.toHex());
    if (known) this.#set(key.toHex(), { ...known, lastSeen, state });
  }

  /** Whether a key is a member: present, or lost less than an hour ago. */
  has(key: Uint8Array): boolean {
    const known = this.#all.get(key.toHex());
    return known !== undefined && this.#isMember(known);
  }

  /**
   * All that are kept in mind, those last seen first; behind them those who stayed a moment only, for
   * anybody can come by as many as they like.
   */
  get remembered(): RememberedMember[] {
    return [...this.#all.values()]
      .sort((a, b) => Number(hasStayed(b)) - Number(hasStayed(a)) || b.lastSeen - a.lastSeen);
  }

  /** Milliseconds since somebody was lost; undefined if it is here, or has left. */
  lostFor({ state, lastSeen }: RememberedMember): number | undefined {
    return state === "lost" ? this.#time() - lastSeen : undefined;
  }

  /** What has changed since this was last asked, for whoever keeps it. */
  takeChanges(): RememberedMember[] {
    const changed = [...this.#changed].flatMap((id) => this.#all.get(id) ?? []);
    this.#changed.clear();
    return changed;
  }

  #isMember({ state, lastSeen }: RememberedMember): boolean {
    if (state !== "lost") return state === "present";
    return this.#time() - lastSeen < MEMBER_GRACE_MS;
  }

  #set(id: string, member: RememberedMember): void {
    this.#all.set(id, member);
    this.#changed.add(id);
  }

  /** The last of those remembered are forgotten first; who is present is not. */
  #bound(): void {
    for (const { key, state } of this.remembered.slice(MAX_REMEMBERED_MEMBERS)) {
      if (state !== "present") this.#all.delete(key.toHex());
    }
  }
}

function hasStayed({ memberSince, lastSeen }: RememberedMember): boolean {
  return lastSeen - memberSince >= SETTLED_AFTER_MS;
}
