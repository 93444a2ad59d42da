/** The way to somebody who may be found at a relay, and on our own networks as well. */
import { IdentityError, UnreachableError } from "../protocol/errors.ts";
import { firstFound } from "./first_found.ts";
import { SeveralError } from "./nearby_finder.ts";
import type { Found, KnownPeer, Route } from "./route.ts";
import type { Trust } from "./trust.ts";

/**
 * Both ways are tried at once, if a key is known that tells who is meant. A new name is the relay's
 * to tell: the network counts only where the relay does not have it, or cannot be reached.
 */
export class EitherRoute implements Route {
  readonly target: string;
  readonly #relayed: Route;
  readonly #nearby: Route;
  readonly #trust: Pick<Trust, "keysOf">;
  /** The one that was last taken: it knows what it has led to. */
  #taken: Route;

  constructor(relayed: Route, nearby: Route, trust: Pick<Trust, "keysOf">) {
    this.target = relayed.target;
    this.#relayed = this.#taken = relayed;
    this.#nearby = nearby;
    this.#trust = trust;
  }

  async connect(signal: AbortSignal, peer?: KnownPeer): Promise<Found> {
    const known = peer !== undefined || (await this.#trust.keysOf(this.target)).length > 0;
    return known ? await this.#both(signal, peer) : await this.#relayFirst(signal);
  }

  admit(name: string, key: Uint8Array): Promise<void> {
    return this.#taken.admit(name, key);
  }

  async #relayFirst(signal: AbortSignal): Promise<Found> {
    this.#taken = this.#relayed;
    try {
      return await this.#relayed.connect(signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof UnreachableError)) throw error;
      this.#taken = this.#nearby;
      return await this.#nearby.connect(signal).catch((second) => {
        signal.throwIfAborted();
        throw moreTelling(error, second);
      });
    }
  }

  /** The first to connect is taken, and the other called off. */
  async #both(signal: AbortSignal, peer: KnownPeer | undefined): Promise<Found> {
    const routes = [this.#relayed, this.#nearby];
    try {
      const ways = routes.map((route) => (signal: AbortSignal) => route.connect(signal, peer));
      const { found, at } = await firstFound(ways, signal);
      this.#taken = routes[at]!;
      return found;
    } catch (error) {
      signal.throwIfAborted();
      const [relayed, nearby] = (error as AggregateError).errors;
      throw moreTelling(relayed, nearby);
    }
  }
}

/** What somebody has to decide outweighs that nobody is there. */
function moreTelling(relayed: unknown, nearby: unknown): unknown {
  if (relayed instanceof IdentityError) return relayed;
  const tells = nearby instanceof IdentityError || nearby instanceof SeveralError;
  return tells ? nearby : relayed;
}
