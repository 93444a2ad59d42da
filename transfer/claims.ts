/**
 * Who writes to which part file, within one process. Processes keep apart by a lock on the state
 * file (part.ts).
 */
export interface ClaimOwner {
  /** The sender's fingerprint. */
  readonly from: string;
  /** Whether the sender is no longer there and only has not been given up yet. May take seconds. */
  isStale(): Promise<boolean>;
  /** Stops the receive, which then releases its claims. */
  cancel(): void;
}

/** What became of a wish for a part file. */
export type ClaimResult = "claimed" | "busy" | "foreign";

interface Held {
  owner: ClaimOwner;
  released: PromiseWithResolvers<void>;
}

export class Claims {
  readonly #held = new Map<string, Held>();

  /**
   * Claims a part file for an owner. One that a stale owner holds is taken over once that owner has
   * let go. "busy" means that the same sender holds it, "foreign" that another does.
   */
  async claim(part: string, owner: ClaimOwner): Promise<ClaimResult> {
    for (;;) {
      const held = this.#held.get(part);
      if (!held) break;
      if (held.owner.from !== owner.from) return "foreign";
      if (held.owner === owner) return "busy";
      const stale = await held.owner.isStale();
      // Meanwhile it may have been released, and claimed by another.
      if (this.#held.get(part) !== held) continue;
      if (!stale) return "busy";
      held.owner.cancel();
      await held.released.promise;
    }
    this.#held.set(part, { owner, released: Promise.withResolvers() });
    return "claimed";
  }

  /** Lets go of a part file. */
  release(part: string): void {
    const held = this.#held.get(part);
    this.#held.delete(part);
    held?.released.resolve();
  }
}
