/** Looks for those who announce themselves on our networks (protocol/README.md, section 13). */
import { encodeQuery } from "../protocol/announcement.ts";
import type { Clock } from "../protocol/clock.ts";
import { MAX_QUERY_MS, QUERY_MS } from "../protocol/limits.ts";
import { Nearby, type NearbyOptions, type NearbyPeer } from "../protocol/nearby.ts";
import type { Subnet } from "../protocol/subnet.ts";
import { type Multicast, MulticastSocket, type OpenMulticast } from "./carrier/multicast_socket.ts";
import { systemClock } from "./clock.ts";
import { type Link, ownLinks } from "./links.ts";

export interface NearbySearchOptions {
  /** Whom to look for. Default: everybody. */
  whom?: NearbyOptions;
  /** Told of everybody who is found, and again of whom there is more to tell. */
  onFound: (peer: NearbyPeer) => void;
  clock?: Clock | undefined;
  open?: OpenMulticast | undefined;
  /** This machine's interfaces. Default: as the system tells them. */
  links?: (() => Link[]) | undefined;
}

export class NearbySearch implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #nearby: Nearby;
  readonly #links: () => Link[];
  readonly #socket: Promise<Multicast>;
  /** The networks that we were on when we last asked. */
  #subnets: Subnet[] = [];
  #cancel = () => {};
  #over = false;

  private constructor({ whom, onFound, clock, open, links }: NearbySearchOptions) {
    this.#clock = clock ?? systemClock;
    this.#nearby = new Nearby(whom);
    this.#links = links ?? ownLinks;
    this.#socket = (open ?? MulticastSocket.open)((bytes, source) => {
      if (this.#over) return;
      const found = this.#nearby.take(bytes, source, this.#subnets, this.#clock.now());
      for (const peer of found) onFound(peer);
    });
  }

  /**
   * Begins to ask.
   * @throws {P2pError} if the network cannot be spoken to
   */
  static async begin(options: NearbySearchOptions): Promise<NearbySearch> {
    const search = new NearbySearch(options);
    await search.#socket;
    await search.#ask(QUERY_MS);
    return search;
  }

  /** Whether more announce themselves than are kept. */
  get full(): boolean {
    return this.#nearby.full;
  }

  /** Those who have been found, and have not left. */
  get peers(): NearbyPeer[] {
    return this.#nearby.peers(this.#clock.now());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    this.#cancel();
    await (await this.#socket).close();
  }

  /** @param wait milliseconds until it asks again */
  async #ask(wait: number): Promise<void> {
    const socket = await this.#socket;
    if (this.#over) return;
    // An interface may have come since.
    const links = this.#links();
    this.#subnets = links.flatMap(({ subnets }) => subnets);
    socket.join(links);
    const query = encodeQuery(this.#nearby.fresh(this.#clock.now()));
    for (const link of links) socket.send(query, link);
    this.#cancel = this.#clock.after(wait, () => this.#ask(Math.min(2 * wait, MAX_QUERY_MS)));
  }
}
