/**
 * Whom of a plain mesh to dial, and when: those that others told of, and those that the user named.
 * Pure: it is told the time, and who is here.
 */
import { type Address, formatAddress } from "../protocol/address.ts";

/** Milliseconds from one dialling of an address to the next. */
export const DIAL_AGAIN_MS = 60_000;
/** Addresses that others told of and that are kept. */
const MAX_TOLD = 64;
/** Addresses that are dialled at once. */
const MAX_DIALS = 8;

/** Somebody to dial. */
export interface Prospect {
  readonly address: Address;
  /** Undefined for whom the user named. */
  readonly nodeId: string | undefined;
}

interface Entry extends Prospect {
  /** Who told of it: any value that is that one's alone. */
  readonly teller: object;
  /** When it is dialled next, in milliseconds. */
  at: number;
  dialling: boolean;
  dialled: boolean;
}

export class PlainRoster {
  /** By address, as text. */
  readonly #entries = new Map<string, Entry>();
  readonly #isHere: (prospect: Prospect) => boolean;

  /** @param isHere whether there is no need to dial somebody */
  constructor(isHere: (prospect: Prospect) => boolean) {
    this.#isHere = isHere;
  }

  /** The user wants that address dialled, now, and whenever nobody from there is here. */
  name(address: Address, now: number): void {
    this.#add({ address, nodeId: undefined, teller: this, at: now });
  }

  /**
   * Somebody told of somebody. Where there is no more room it takes the place of the latest of
   * whoever told most.
   * @param at when it is to be dialled
   */
  told(prospect: Prospect, teller: object, at: number): void {
    if (this.#entries.has(formatAddress(prospect.address))) return;
    if (this.#told.length >= MAX_TOLD && !this.#makeRoom(teller)) return;
    this.#add({ ...prospect, teller, at });
  }

  /** Whom to dial now; `over` is to be called for each when its dialling is. */
  due(now: number): Prospect[] {
    this.#forget(now);
    const due: Entry[] = [];
    for (let next = this.#next(now); next; next = this.#next(now)) {
      next.dialling = next.dialled = true;
      next.at = now + DIAL_AGAIN_MS;
      due.push(next);
    }
    return due;
  }

  /** A dialling has ended, well or not. */
  over({ address }: Prospect): void {
    const entry = this.#entries.get(formatAddress(address));
    if (entry) entry.dialling = false;
  }

  /** Milliseconds until somebody may be due; undefined if nobody will be before a dialling is over. */
  wait(now: number): number | undefined {
    const entries = [...this.#entries.values()];
    const waiting = entries.filter(({ dialling }) => !dialling);
    if (waiting.length === 0 || entries.length - waiting.length >= MAX_DIALS) return undefined;
    return Math.max(0, Math.min(...waiting.map(({ at }) => at)) - now);
  }

  /** Whether somebody that others told of is yet to be dialled, or is being dialled. */
  get pending(): boolean {
    return this.#told.some(({ dialled, dialling }) => !dialled || dialling);
  }

  get #told(): Entry[] {
    return [...this.#entries.values()].filter(({ teller }) => teller !== this);
  }

  #add(entry: Omit<Entry, "dialling" | "dialled">): void {
    const text = formatAddress(entry.address);
    this.#entries.set(text, { ...entry, dialling: false, dialled: false });
  }

  /** Who is here, or was dialled a minute ago, is dialled again when it is named, or told of, again. */
  #forget(now: number): void {
    for (const [text, entry] of this.#entries) {
      if (entry.dialling || entry.at > now) continue;
      const here = this.#isHere(entry);
      if (entry.teller === this && here) entry.at = now + DIAL_AGAIN_MS;
      else if (entry.teller !== this && (here || entry.dialled)) this.#entries.delete(text);
    }
  }

  /** The earliest that is due, of those whose teller has fewest under way: nobody takes all places. */
  #next(now: number): Entry | undefined {
    const entries = [...this.#entries.values()];
    const dialling = entries.filter((each) => each.dialling);
    if (dialling.length >= MAX_DIALS) return undefined;
    const load = countBy(dialling);
    return entries.filter((each) => !each.dialling && each.at <= now)
      .sort((a, b) => (load.get(a.teller) ?? 0) - (load.get(b.teller) ?? 0) || a.at - b.at)[0];
  }

  /** @returns whether there is room for one more that this one tells of */
  #makeRoom(teller: object): boolean {
    const counts = countBy(this.#told);
    const most = Math.max(...counts.values());
    if ((counts.get(teller) ?? 0) + 1 >= most) return false;
    const last = this.#told.findLast((each) => counts.get(each.teller) === most && !each.dialled);
    if (!last) return false;
    this.#entries.delete(formatAddress(last.address));
    return true;
  }
}

/** How many of these each teller told of. */
function countBy(entries: readonly Entry[]): Map<object, number> {
  const counts = new Map<object, number>();
  for (const { teller } of entries) counts.set(teller, (counts.get(teller) ?? 0) + 1);
  return counts;
}
