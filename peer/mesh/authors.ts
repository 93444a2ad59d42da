/**
 * With which key each author signs its lines: as it told us itself, or, of those whom we never met,
 * as others told first.
 */
import { MAX_HEARSAY, MAX_MEMBERS } from "../../protocol/limits.ts";
import type { KeyedMember } from "../../protocol/member.ts";

/** A member, as far as its lines are concerned. */
export type Author = Pick<KeyedMember, "key" | "signingKey">;

export class Authors {
  readonly #know: (key: Uint8Array, signingKey: Uint8Array, teller?: Uint8Array) => void;
  readonly #met = new Set<string>();
  /** Who told of each author, in hexadecimal, as the authors are. */
  readonly #heardOf = new Map<string, string>();

  /** @param know takes the signing key of an author from now on, and who told it in its stead */
  constructor(know: (key: Uint8Array, signingKey: Uint8Array, teller?: Uint8Array) => void) {
    this.#know = know;
  }

  /** An author has told us itself. */
  met({ key, signingKey }: Author): void {
    this.#met.add(key.toHex());
    this.#heardOf.delete(key.toHex());
    this.#know(key, signingKey);
  }

  /**
   * Somebody tells of an author: believed of those of whom nothing was told before, and of no more
   * than 64 whom we have not met, so that nobody leaves others without room.
   */
  heardOf({ key, signingKey }: Author, teller: Uint8Array): void {
    const [id, by] = [key.toHex(), teller.toHex()];
    if (this.#met.has(id) || this.#heardOf.has(id) || this.#heardOf.size >= MAX_HEARSAY) return;
    if (this.#heardOf.values().filter((each) => each === by).toArray().length >= MAX_MEMBERS) {
      return;
    }
    this.#heardOf.set(id, by);
    this.#know(key, signingKey, teller);
  }

  /** Whether an author has told us itself. */
  hasMet(key: Uint8Array): boolean {
    return this.#met.has(key.toHex());
  }
}
