/**
 * Members whose session the other side has ended because there is another between the two, or
 * because its program was started anew: they are there all the while, and the session that takes the
 * place is about to show here. So nothing is told of it.
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
  readonly #goesOn: (peer: Peer, next: Peer) => boolean;
  readonly #all = new Set<Handover<Peer>>();

  /** @param goesOn whether the visit of one peer goes on in the session with the next */
  constructor(clock: Clock, goesOn: (peer: Peer, next: Peer) => boolean) {
    this.#clock = clock;
    this.#goesOn = goesOn;
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
  async isLate(peer: Peer): Promise<boolean> {
    this.take(peer);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const cancel = this.#clock.after(HANDOVER_MS, () => {
      this.#all.delete(handover);
      resolve(true);
    });
    const end = () => {
      cancel();
      this.#all.delete(handover);
      resolve(false);
    };
    const handover = { peer, end };
    this.#all.add(handover);
    return await promise;
  }

  /** A session with a member shows. @returns whose place it takes */
  take(next: Peer): Peer | undefined {
    const found = [...this.#all].find(({ peer }) => this.#goesOn(peer, next));
    found?.end();
    return found?.peer;
  }

  /** Nobody is waited for any more. */
  close(): void {
    for (const { end } of this.#all) end();
  }
}
