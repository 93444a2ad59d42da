/** Straight ways to those who ask for us at a relay: what the relay is told of, and each try. */
import type { Address } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import { P2pError, UnreachableError } from "../protocol/errors.ts";
import type { PunchPlan, Reach } from "../protocol/nat.ts";
import type { PeerInfo } from "../protocol/rendezvous.ts";
import { reachOf, simultaneousOf } from "./candidates.ts";
import { Deadline } from "./deadline.ts";
import type { RelayClient } from "./relay_client.ts";
import { Standby } from "./standby.ts";
import type { Opening, OpenStraight, StraightOptions } from "./straight.ts";

/** Tries at once. */
const MAX_TRIES = 8;
/**
 * Of those, the ones of each sort: guesses last eight times as long as the rest, so that a few askers
 * could keep all others away, and "spread" needs many sockets besides.
 */
const MAX_OF_SORT = { none: MAX_TRIES, probe: MAX_TRIES, spray: 2, spread: 1 } as const;
/** Milliseconds after which a try is given up, whatever it waits for. */
const TRY_MS = 35_000;

export interface StraightTargetOptions {
  open: OpenStraight;
  relay: Address;
  clock: Clock;
  /** Tells the relay of a port; rejects if that has not come to know it. */
  register: (reach: Reach) => Promise<void>;
  /** Takes a connection that came of it. */
  take: (connection: Connection) => void;
}

export class StraightTarget {
  readonly #options: StraightTargetOptions;
  readonly #standby: Standby;
  /** The plans of the tries under way. */
  readonly #plans = new Set<PunchPlan>();
  readonly #closing = new AbortController();

  constructor(options: StraightTargetOptions) {
    this.#options = options;
    this.#standby = new Standby(options.relay, options);
  }

  /** What the relay may be told of the port that stands by. */
  get reach(): Reach | undefined {
    return this.#standby.reach;
  }

  /** The relay has been told this. */
  told(reach: Reach | undefined): void {
    this.#standby.told(reach);
  }

  /** Has the relay told what it does not know yet. */
  tell(): Promise<void> {
    return this.#standby.tell();
  }

  /** Looks for a way to who asks for us, from the port that the relay has told them. */
  async answer(
    info: PeerInfo,
    client: Pick<RelayClient, "address" | "localPort">,
  ): Promise<void> {
    const peer = reachOf(info, client.address);
    if (!info.secret || peer.mapping === undefined) return;
    const opening = this.#standby.use();
    if (!opening) return;
    const plan = opening.plan(peer);
    if (!this.#hasRoom(plan)) return opening.close();
    const tcp = simultaneousOf(info, client);
    this.#plans.add(plan);
    await this.#try(opening, { secret: info.secret, peer, tcp });
    this.#plans.delete(plan);
  }

  /** Ends all tries. */
  close(): void {
    this.#standby.close();
    this.#closing.abort(new UnreachableError("The relay is not asked any more"));
  }

  #hasRoom({ udp }: PunchPlan): boolean {
    const alike = [...this.#plans].filter((each) => each.udp === udp);
    return this.#plans.size < MAX_TRIES && alike.length < MAX_OF_SORT[udp];
  }

  /** Who asked says what became of it. */
  async #try(opening: Opening, options: Omit<StraightOptions, "signal">): Promise<void> {
    const { clock, take } = this.#options;
    const reason = new UnreachableError("Late");
    using deadline = new Deadline(clock, this.#closing.signal, TRY_MS, reason);
    try {
      take(await opening.connect({ ...options, signal: deadline.signal }));
    } catch (error) {
      if (!(error instanceof P2pError)) throw error;
    }
  }
}
