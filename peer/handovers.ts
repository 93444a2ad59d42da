/**
 * Members whose session the other side has ended because there is another between the two, which is
 * about to show here: they are there all the while, so nothing is told of it.
 */
import type { Clock } from "../protocol/clock.ts";

/** Milliseconds for the other session to show. */
const HANDOVER_MS = 10_000;

interface Handover<Peer> {
  readonly peer: Peer;
  readonly end: () => void;
}

export class Handovers<Peer> {
  readonly #clock: Clock;
  /** By whom the session was with. */
  readonly #all = new Map<string, Handover<Peer>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many are waited for. */
  get size(): number {
    return this.#all.size;
  }

  /**
   * Waits for the other session with a member.
   * @param peer with whom the session was that has ended
   * @returns whether it does not show in time
   */
  async isLate(member: string, peer: Peer): Promise<boolean> {
    this.take(member);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const cancel = this.#clock.after(HANDOVER_MS, () => {
      this.#all.delete(member);
      resolve(true);
    });
    const end = () => {
      cancel();
      resolve(false);
    };
    this.#all.set(member, { peer, end });
    return await promise;
  }

  /** A session with a member shows. @returns whose place it takes */
  take(member: string): Peer | undefined {
    const found = this.#all.get(member);
    this.#all.delete(member);
    found?.end();
    return found?.peer;
  }

  /** Nobody is waited for any more. */
  close(): void {
    for (const member of this.#all.keys()) this.take(member);
  }
}
