/**
 * Who holds which name, over all carriers. Time is passed in, and nothing here waits.
 *
 *     free ──register──▶ held ──leave, or lost without a key──▶ free
 *                         │ lost with a key         ▲
 *                         ▼                         │
 *                        kept for the key ──NAME_GRACE_MS──▶ free
 *                         └──register by the same key──▶ held
 */
import { equalBytes } from "../protocol/bytes.ts";
import { NAME_GRACE_MS } from "../protocol/limits.ts";
import { checkName } from "../protocol/name.ts";
import type { Refusal } from "../protocol/rendezvous.ts";
import type { RelayLimits } from "./limits.ts";

/**
 * The part of all names that may be held over UDP: registrations there cost nothing, and may come in
 * the names of any number of addresses. So they leave room for those who have proven theirs.
 */
const UDP_SHARE = 1 / 2;

/** What a name was registered over. */
export type HolderKind = "control" | "udp" | "websocket";

/** Whoever holds a name: each carrier's own object, so that a look-up gives what can be written to. */
export interface Holder {
  readonly kind: HolderKind;
  /** The IP address that the relay sees. */
  readonly ip: string;
  /** Whom its name counts for: `sourceOf(ip)`. */
  readonly source: string;
  /** The static key, where the carrier proves one. */
  readonly key?: Uint8Array | undefined;
  /** The name that it holds, in NFC. Written by Names only. */
  name: string | undefined;
  /** Called when its name has gone to another: its key on another connection, or one that has a key. */
  replaced(): void;
}

/** A name whose connection was lost, kept for its key. */
interface Kept {
  /** What it was registered over. */
  readonly kind: HolderKind;
  readonly source: string;
  readonly key: Uint8Array;
  readonly until: number;
}

export interface NamesOptions {
  limits: Pick<RelayLimits, "maxRegistrations" | "registrationsPerAddress">;
  /** Where the names of each carrier are counted. */
  registrations: Record<HolderKind, number>;
}

export class Names {
  readonly #limits: NamesOptions["limits"];
  readonly #registrations: NamesOptions["registrations"];
  readonly #held = new Map<string, Holder>();
  /** In the order in which they fall free. */
  readonly #kept = new Map<string, Kept>();
  /** How many names count for each source, those over UDP apart from the others. */
  readonly #perSource = new Map<string, number>();

  constructor(options: NamesOptions) {
    this.#limits = options.limits;
    this.#registrations = options.registrations;
  }

  /** Names that are held or kept. */
  get size(): number {
    return this.#held.size + this.#kept.size;
  }

  /**
   * Gives a holder a name, instead of the one that it had.
   * @param now milliseconds on the relay's clock
   * @returns why not, if it does not get it; it keeps the one that it had then
   */
  register(text: string, holder: Holder, now: number): Refusal | undefined {
    this.forgetKept(now);
    const { name } = checkName(text);
    if (name === undefined) return "BadName";
    if (holder.name === name) return undefined;
    const refusal = this.#refusal(name, holder);
    if (refusal) return refusal;
    this.leave(holder);
    this.#vacate(name);
    this.#held.set(name, holder);
    holder.name = name;
    this.#count(holder, 1);
    return undefined;
  }

  /**
   * Who holds a name over this carrier; not while it is only kept.
   * @param carrier the class of the carrier's holders
   */
  find<H extends Holder>(
    text: string,
    // deno-lint-ignore no-explicit-any
    carrier: abstract new (...args: any[]) => H,
  ): H | undefined {
    const { name } = checkName(text);
    const holder = name === undefined ? undefined : this.#held.get(name);
    return holder instanceof carrier ? holder : undefined;
  }

  /** The holder's name is free at once. Without effect on one that holds none. */
  leave(holder: Holder): void {
    if (holder.name === undefined) return;
    this.#held.delete(holder.name);
    holder.name = undefined;
    this.#count(holder, -1);
  }

  /** The holder's connection was lost: its name is kept for its key, if it has one. */
  lost(holder: Holder, now: number): void {
    const { name, key, source, kind } = holder;
    this.leave(holder);
    if (name === undefined || key === undefined) return;
    const kept: Kept = { kind, source, key, until: now + NAME_GRACE_MS };
    this.#kept.set(name, kept);
    this.#count(kept, 1);
  }

  /** Frees the names that were kept for long enough: called before they are counted. */
  forgetKept(now: number): void {
    for (const [name, { until }] of this.#kept) {
      if (until > now) return;
      this.#free(name);
    }
  }

  #refusal(name: string, holder: Holder): Refusal | undefined {
    const rival = this.#held.get(name) ?? this.#kept.get(name);
    if (rival && !yields(rival, holder)) return "NameTaken";
    const hadOne = holder.name !== undefined;
    if (!rival && !hadOne && this.#isFull(holder.kind)) return "Full";
    const account = accountOf(holder);
    if (hadOne || (rival && accountOf(rival) === account)) return undefined;
    const count = this.#perSource.get(account) ?? 0;
    return count >= this.#limits.registrationsPerAddress ? "TooMany" : undefined;
  }

  #isFull(kind: HolderKind): boolean {
    const { maxRegistrations } = this.#limits;
    return this.size >= maxRegistrations ||
      (kind === "udp" && this.#registrations.udp >= maxRegistrations * UDP_SHARE);
  }

  /** Takes a name from whoever has it. */
  #vacate(name: string): void {
    this.#free(name);
    const holder = this.#held.get(name);
    if (!holder) return;
    this.leave(holder);
    holder.replaced();
  }

  /** Ends the keeping of a name. */
  #free(name: string): void {
    const kept = this.#kept.get(name);
    if (!kept) return;
    this.#kept.delete(name);
    this.#count(kept, -1);
  }

  #count(owner: Holder | Kept, change: 1 | -1): void {
    this.#registrations[owner.kind] += change;
    const account = accountOf(owner);
    const count = (this.#perSource.get(account) ?? 0) + change;
    if (count === 0) this.#perSource.delete(account);
    else this.#perSource.set(account, count);
  }
}

/** Whose limit a name counts for: who forges an address over UDP must not use up its owner's. */
function accountOf({ kind, source }: Holder | Kept): string {
  return kind === "udp" ? `udp ${source}` : source;
}

/** Whether who has a name loses it to who asks for it. */
function yields(rival: Holder | Kept, holder: Holder): boolean {
  if ("until" in rival || rival.key) {
    return holder.key !== undefined && equalBytes(rival.key!, holder.key);
  }
  if (holder.key) return true;
  return rival.kind === "udp" && holder.kind === "udp" && rival.ip === holder.ip;
}
