/** The way to whoever announces a name on our networks (protocol/README.md, section 13). */
import type { Address } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import { IdentityError, P2pError, ProtocolError, UnreachableError } from "../protocol/errors.ts";
import { fingerprint } from "../protocol/fingerprint.ts";
import type { NearbyPeer } from "../protocol/nearby.ts";
import type { SecureConnection } from "../protocol/secure.ts";
import type { OpenMulticast } from "./carrier/multicast_socket.ts";
import { systemClock } from "./clock.ts";
import { type Dial, dialSecure } from "./dial_secure.ts";
import type { Link } from "./links.ts";
import { lowerFirst } from "./lower_first.ts";
import { findNearby, type FoundNearby } from "./nearby_finder.ts";
import { pinnedTo } from "./pinned_key.ts";
import { Race } from "./race.ts";
import type { Found, KnownPeer, Route, RouteOptions } from "./route.ts";

export interface NearbyRouteOptions extends RouteOptions {
  /** Told what people should know of the peer. */
  say: (line: string) => void;
  /** As `say`, but also where nothing else is said. */
  warn: (line: string) => void;
  /** How the network is spoken to. Default: by sockets. */
  open?: OpenMulticast | undefined;
  /** This machine's interfaces. Default: as the system tells them. */
  links?: (() => Link[]) | undefined;
  /** How the peer's addresses are reached. Default: over TCP. */
  dialPeer?: Dial | undefined;
}

export class NearbyRoute implements Route {
  readonly target: string;
  readonly #options: NearbyRouteOptions;
  readonly #clock: Clock;
  /** Where the peer was when it was last reached. */
  #addresses: readonly Address[] = [];

  /** @param name that the peer announces */
  constructor(name: string, options: NearbyRouteOptions) {
    this.target = name;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** As `Route.connect`. A peer of a session that goes on is also looked for where it was. */
  async connect(signal: AbortSignal, peer?: KnownPeer): Promise<Found> {
    const race = new Race<SecureConnection>({ clock: this.#clock, signal });
    if (peer) this.#add(race, this.#addresses, peer.remoteKey);
    const searching = this.#search(race, peer).catch((error) => error as Error);
    try {
      return { connection: await race.winner, better: race.better, close: () => {} };
    } catch (error) {
      signal.throwIfAborted();
      throw await searching ?? this.#notReached(race.failures[0]?.error ?? error);
    }
  }

  async admit(name: string, key: Uint8Array): Promise<void> {
    await this.#options.trust.admit(name, key, this.target);
    if (name === this.target) return;
    this.#options.say(`Who announces the name ${this.target} goes by the name ${name}`);
  }

  async #search(
    race: Race<SecureConnection>,
    known: KnownPeer | undefined,
  ): Promise<void> {
    try {
      const keys = known ? [known.remoteKey] : await this.#options.trust.keysOf(this.target);
      const { open, links } = this.#options;
      const options = { clock: this.#clock, signal: race.over, open, links };
      const found = await findNearby(this.target, keys, options);
      const peer = found.peer ?? await this.#refuse(found, known);
      if (!known) this.#warnOf(found.strangers);
      this.#addresses = peer.addresses;
      this.#add(race, peer.addresses, peer.key);
    } finally {
      race.complete();
    }
  }

  /** Nobody but strangers announces a name that is known. */
  async #refuse({ strangers }: FoundNearby, known: KnownPeer | undefined): Promise<never> {
    if (known) {
      throw new UnreachableError(`Lost ${this.target}: another key announces that name now`);
    }
    await this.#options.trust.check(this.target, strangers[0]!.key);
    // Somebody has forgotten the name meanwhile.
    throw new UnreachableError(`Could not reach ${this.target}: its key was forgotten meanwhile`);
  }

  #warnOf(strangers: readonly NearbyPeer[]): void {
    for (const { key } of strangers) {
      this.#options.warn(
        `Somebody else on this network announces the name ${this.target}, too, with another key ` +
          `(${fingerprint(key)}): not asked`,
      );
    }
  }

  #add(race: Race<SecureConnection>, addresses: readonly Address[], key: Uint8Array): void {
    const { identity, dialPeer: dial } = this.#options;
    const clock = this.#clock;
    const checkKey = pinnedTo(key);
    for (const address of addresses) {
      race.add({
        path: "lan",
        dial: (signal) => dialSecure(address, { identity, checkKey, signal, clock, dial }),
      });
    }
  }

  #notReached(error: unknown): unknown {
    if (!(error instanceof P2pError)) return error;
    const message = `Could not reach ${this.target} on this network: ${lowerFirst(error.message)}`;
    const Kind = [IdentityError, ProtocolError].find((each) => error instanceof each) ??
      UnreachableError;
    const hint = error instanceof IdentityError
      ? "Somebody else announces their key, or is in between. Ask them for their address."
      : "A firewall may keep others from their port; a relay gets through: --relay HOST:PORT";
    return new Kind(message, { hint, cause: error });
  }
}
