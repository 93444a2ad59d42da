/**
 * Looks for a straight way to a peer to which a relay has introduced us: tries, and where a try
 * comes to nothing asks the relay anew and tries from a fresh port, for another NAT mapping may do
 * better.
 */
import { type Clock, sleep } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import type { Reach } from "../protocol/nat.ts";
import type { PeerInfo } from "../protocol/rendezvous.ts";
import type { SecureConnection } from "../protocol/secure.ts";
import { reachOf, simultaneousOf } from "./candidates.ts";
import { lowerFirst } from "./lower_first.ts";
import type { Race } from "./race.ts";
import type { RelayClient } from "./relay_client.ts";
import type { Opening, StraightOptions } from "./straight.ts";

/** Tries one behind the other. */
const MAX_TRIES = 3;
/** Milliseconds after which no further try follows at once. */
const ROUND_MS = 6_000;
/** Milliseconds in which a peer that has told nothing of its port yet may come to know it. */
const PEER_LEARNS_MS = 1_000;
/** Milliseconds that an introduction waits for what STUN has to say: the circuit waits with it. */
const KNOWN_WITHIN_MS = 30;

const UNKNOWN = "the relay or the other side tells nothing of the networks";

/** Why there is no straight way, for people. */
export interface NoWay {
  readonly because: string;
  /** Whether trying again is of no use as long as both networks are what they are. */
  readonly forGood: boolean;
}

/** What a search needs once the relay has introduced us. */
export interface Introducer {
  client: Pick<RelayClient, "address" | "localPort">;
  /** Has the relay introduce us anew. */
  introduce: (reach: Reach) => Promise<PeerInfo>;
  /** Has the peer prove its key. */
  secure: (connection: Connection) => Promise<SecureConnection>;
}

export class StraightSearch implements Disposable {
  readonly #race: Race<SecureConnection>;
  readonly #open: () => Opening;
  readonly #clock: Clock;
  #opening: Opening;
  /** What the relay was told of the opening. */
  #told: Reach | undefined;
  /** Whether the opening is used up. */
  #used = false;

  /** @param open begins a try: the first one at once */
  constructor(race: Race<SecureConnection>, open: () => Opening, clock: Clock) {
    this.#race = race;
    this.#open = open;
    this.#clock = clock;
    this.#opening = open();
  }

  /** What to tell the peer: all of it, if it is known soon. */
  async reach(): Promise<Reach> {
    const late = Promise.withResolvers<void>();
    const cancel = this.#clock.after(KNOWN_WITHIN_MS, late.resolve);
    await Promise.race([this.#opening.known, late.promise]);
    cancel();
    this.#told = this.#opening.reach;
    return this.#told;
  }

  /**
   * Resolves with the reason when no way was found, or with undefined when one was, or is not
   * wanted any more.
   * @param info the introduction for which `reach` was told
   */
  async run(info: PeerInfo, introducer: Introducer): Promise<NoWay | undefined> {
    const begun = this.#clock.now();
    for (let tries = 1;; tries++) {
      const noWay = await this.#try(info, introducer);
      if (!this.#race.wants("punched")) return undefined;
      const late = tries >= MAX_TRIES || this.#clock.now() - begun >= ROUND_MS;
      if (noWay && (noWay.forGood || late)) return noWay;
      info = await introducer.introduce(await this.#freshReach());
    }
  }

  [Symbol.dispose](): void {
    this.#opening.close();
  }

  /** One try, if both sides know enough for one; undefined if another is worth while at once. */
  async #try(info: PeerInfo, introducer: Introducer): Promise<NoWay | undefined> {
    const peer = reachOf(info, introducer.client.address);
    if (this.#told?.mapping === undefined) {
      await this.#opening.known;
      if (this.#opening.reach.mapping !== undefined) return undefined;
    } else if (info.secret && peer.mapping !== undefined) {
      const tcp = simultaneousOf(info, introducer.client);
      return await this.#attempt({ secret: info.secret, peer, tcp }, introducer);
    } else {
      await sleep(this.#clock, PEER_LEARNS_MS, this.#race.over).catch(() => {});
    }
    return { because: this.#opening.plan(peer).relayedBecause ?? UNKNOWN, forGood: false };
  }

  async #attempt(
    options: Omit<StraightOptions, "signal">,
    { secure }: Introducer,
  ): Promise<NoWay | undefined> {
    if (!this.#race.wants("punched")) return undefined;
    const opening = this.#opening;
    this.#used = true;
    const plan = opening.plan(options.peer);
    const outcome = Promise.withResolvers<NoWay | undefined>();
    const dial = async (signal: AbortSignal) => {
      try {
        const found = await opening.connect({ ...options, signal });
        const secured = await secure(found);
        outcome.resolve(undefined);
        return secured;
      } catch (error) {
        const because = plan.relayedBecause ?? messageOf(error);
        outcome.resolve({ because, forGood: plan.udp === "none" });
        throw error;
      }
    };
    this.#race.add({ path: "punched", patient: true, dial });
    return await outcome.promise;
  }

  /** What is known of a port that was not used yet. */
  async #freshReach(): Promise<Reach> {
    if (this.#used) {
      this.#opening.close();
      this.#opening = this.#open();
      this.#used = false;
    }
    await this.#opening.known;
    this.#told = this.#opening.reach;
    return this.#told;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? lowerFirst(error.message) : String(error);
}
