/**
 * The way to a member of the mesh (protocol/README.md, section 8): by the addresses that it, and
 * others, have told, and through the relay that we share with it. All of that is others' word; its
 * key is not, and nobody who has another learns ours.
 */
import { type Address, formatAddress, isLocal } from "../protocol/address.ts";
import { type Clock, sleep } from "../protocol/clock.ts";
import type { DialTarget } from "../protocol/dial_plan.ts";
import { P2pError, UnreachableError } from "../protocol/errors.ts";
import type { SecureConnection } from "../protocol/secure.ts";
import { abortable } from "./abortable.ts";
import { systemClock } from "./clock.ts";
import { type Dial, dialSecure } from "./dial_secure.ts";
import { firstFound } from "./first_found.ts";
import { lowerFirst } from "./lower_first.ts";
import { pinnedTo } from "./pinned_key.ts";
import { type Contender, Race } from "./race.ts";
import type { Found, KnownPeer, Route, RouteOptions } from "./route.ts";

/** Milliseconds before the next address is dialled, unless the one before has failed (RFC 8305). */
export const STAGGER_MS = 250;
/** Milliseconds that addresses have for themselves before the relay is asked. */
export const RELAY_AFTER_MS = 500;

/** Who is dialled, and where it may be. */
export type MemberTarget = Pick<DialTarget, "key" | "name" | "addresses" | "relay">;

/** The relay that we use. */
export interface OwnRelay {
  /** "host:port". */
  readonly address: string;
  /** The way to whom it knows by a name. */
  route(name: string): Route;
}

export interface MemberRouteOptions extends Pick<RouteOptions, "identity" | "clock"> {
  /**
   * Asked for each attempt: where a member is may change while a session with it goes on.
   * @param session that is to go on; undefined before it has begun
   */
  member: (session?: KnownPeer) => MemberTarget;
  /** Whether it may come in under its name; as `Route.admit`. */
  admit: (name: string, key: Uint8Array) => Promise<void>;
  /** Where we take connections ourselves: nobody else does there. */
  ownAddresses: () => readonly Address[];
  relay?: OwnRelay | undefined;
  /** Whether all bytes are to go through the relay. */
  relayOnly?: boolean;
  /** How addresses are reached. Default: over TCP. */
  dial?: Dial | undefined;
}

export class MemberRoute implements Route {
  readonly #options: MemberRouteOptions;
  readonly #clock: Clock;
  /** The way through the relay: it remembers what has fallen silent. */
  #byRelay: Route | undefined;

  constructor(options: MemberRouteOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  get target(): string {
    return this.#options.member().name;
  }

  /**
   * As `Route.connect`.
   * @throws {UnreachableError} also where another key answers: the addresses are others' word, and
   *   the member may be back at one of them
   */
  async connect(signal: AbortSignal, peer?: KnownPeer): Promise<Found> {
    const member = this.#options.member(peer);
    const key = peer?.remoteKey ?? member.key;
    const failed = Promise.withResolvers<void>();
    const straight = (signal: AbortSignal) =>
      this.#straight(member, key, signal).catch((error) => {
        failed.resolve();
        throw error;
      });
    const relay = this.#relayOf(member);
    const relayed = async (signal: AbortSignal) => {
      await this.#headStart(failed.promise, signal);
      return await relay!.connect(signal, { remoteName: member.name, remoteKey: key });
    };
    try {
      return (await firstFound(relay ? [straight, relayed] : [straight], signal)).found;
    } catch (error) {
      signal.throwIfAborted();
      // The relay would have led to it in any case.
      throw notReached(member.name, (error as AggregateError).errors.at(-1));
    }
  }

  admit(name: string, key: Uint8Array): Promise<void> {
    return this.#options.admit(name, key);
  }

  /** Races the addresses. */
  async #straight({ addresses }: MemberTarget, key: Uint8Array, signal: AbortSignal) {
    const own = new Set(this.#options.ownAddresses().map(formatAddress));
    const others = addresses.filter((address) => !own.has(formatAddress(address)));
    if (this.#options.relayOnly || others.length === 0) {
      throw new UnreachableError("There is no address to reach it at");
    }
    const race = new Race<SecureConnection>({ clock: this.#clock, signal });
    let turn: Promise<unknown> = Promise.resolve();
    for (const address of others) {
      const next = Promise.withResolvers<void>();
      race.add(this.#contender(address, key, turn, next.resolve));
      turn = next.promise;
    }
    race.complete();
    try {
      return { connection: await race.winner, better: race.better, close: () => {} };
    } catch (error) {
      signal.throwIfAborted();
      throw race.failures[0]?.error ?? error;
    }
  }

  /** Dials when it is its turn; the next one's comes after a moment, or when this has failed. */
  #contender(
    address: Address,
    key: Uint8Array,
    turn: Promise<unknown>,
    next: () => void,
  ): Contender<SecureConnection> {
    const { identity, dial } = this.#options;
    const clock = this.#clock;
    return {
      path: isLocal(address.host) ? "lan" : "direct",
      dial: async (signal) => {
        await abortable(turn, signal);
        const cancel = clock.after(STAGGER_MS, next);
        try {
          const checkKey = pinnedTo(key);
          return await dialSecure(address, { identity, clock, dial, signal, checkKey });
        } finally {
          cancel();
          next();
        }
      },
    };
  }

  #relayOf({ name, relay: told }: MemberTarget): Route | undefined {
    const { relay } = this.#options;
    if (!relay || told?.toLowerCase() !== relay.address.toLowerCase()) return undefined;
    if (this.#byRelay?.target !== name) this.#byRelay = relay.route(name);
    return this.#byRelay;
  }

  /** Resolves when the addresses have failed, or a moment has passed. */
  async #headStart(failed: Promise<void>, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const moment = sleep(this.#clock, RELAY_AFTER_MS, AbortSignal.any([signal, over.signal]));
    moment.catch(() => {});
    await Promise.race([moment, failed]);
    over.abort();
    signal.throwIfAborted();
  }
}

function notReached(name: string, error: unknown): unknown {
  if (!(error instanceof P2pError)) return error;
  const message = error.message.includes(name)
    ? error.message
    : `Could not reach ${name}: ${lowerFirst(error.message)}`;
  const hint =
    "A firewall or a NAT may keep others from its port; a relay that both use gets through.";
  return new UnreachableError(message, { hint: error.hint ?? hint, cause: error });
}
