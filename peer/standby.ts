/**
 * A port that is kept ready for the next peer who asks for us: the relay is told of it before
 * anybody asks, so that both sides can begin at once. Each is used once; then comes a fresh one.
 */
import type { Clock } from "../protocol/clock.ts";
import type { Address } from "../protocol/address.ts";
import { P2pError } from "../protocol/errors.ts";
import type { Reach } from "../protocol/nat.ts";
import type { Opening, OpenStraight } from "./straight.ts";

/**
 * Milliseconds from the use of one port to the next: who asks again and again gets no more of us,
 * and what STUN is asked takes no port of a NAT that counts while others are counted on.
 */
const FRESH_PORT_MS = 1_000;
/** Milliseconds after which what the relay does not know yet is told again, or found out anew. */
const TELL_AGAIN_MS = 15_000;
/** What there is to tell while no port stands by. */
const NOTHING: Reach = { udp: [], seen: [], mapping: undefined };

export interface StandbyOptions {
  open: OpenStraight;
  clock: Clock;
  /** Tells the relay; rejects if that has not come to know it. */
  register: (reach: Reach) => Promise<void>;
}

export class Standby {
  readonly #options: StandbyOptions;
  readonly #relay: Address;
  #opening: Opening | undefined;
  /** The port that the relay has been told of. */
  #told: Opening | undefined;
  #closed = false;
  #cancelNext = () => {};

  /** @param relay where to ask how a port is seen */
  constructor(relay: Address, options: StandbyOptions) {
    this.#relay = relay;
    this.#options = options;
    this.#open();
  }

  /** What is known by now of the port. */
  get reach(): Reach | undefined {
    return this.#opening?.reach;
  }

  /** The relay knows the port that there is. */
  told(reach: Reach | undefined): void {
    const current = this.#opening;
    if (reach?.mapping !== undefined && current?.reach === reach) this.#told = current;
  }

  /** Has the relay told, if there is something that it does not know. */
  async tell(): Promise<void> {
    const opening = this.#opening;
    if (this.#closed || opening?.reach.mapping === undefined || this.#told === opening) return;
    await this.#register(opening.reach);
  }

  /** The port that the relay has told a peer of, which is the caller's from now on. */
  use(): Opening | undefined {
    const told = this.#told;
    if (!told) return undefined;
    told.onChanged = undefined;
    this.#told = this.#opening = undefined;
    // Who asks next must not be told of a port that is gone, but wait for the fresh one.
    this.#register(NOTHING);
    this.#next();
    return told;
  }

  close(): void {
    this.#closed = true;
    this.#cancelNext();
    this.#opening?.close();
  }

  async #register(reach: Reach): Promise<void> {
    try {
      await this.#options.register(reach);
    } catch (error) {
      // The next control session tells it.
      if (!(error instanceof P2pError)) throw error;
    }
  }

  #next(): void {
    this.#later(FRESH_PORT_MS, () => this.#open());
  }

  /** One thing at a time is to come. */
  #later(ms: number, event: () => void): void {
    this.#cancelNext();
    this.#cancelNext = this.#options.clock.after(ms, event);
  }

  async #open(): Promise<void> {
    const opening = this.#options.open(this.#relay, "target");
    this.#opening = opening;
    opening.onChanged = () => this.#replace(opening);
    await opening.known;
    if (this.#opening !== opening) return;
    this.#later(TELL_AGAIN_MS, () => this.#insist(opening));
    await this.tell();
  }

  /** The relay's name may not have been found for a moment, or the relay not have taken it. */
  #insist(opening: Opening): void {
    if (this.#told === opening) return;
    if (opening.reach.mapping === undefined) return this.#replace(opening);
    this.#later(TELL_AGAIN_MS, () => this.#insist(opening));
    this.tell();
  }

  /** The network has changed. */
  #replace(opening: Opening): void {
    if (this.#opening !== opening) return;
    opening.close();
    this.#told = this.#opening = undefined;
    this.#next();
  }
}
