/** Announces us on our networks while we listen: drives the pure `Announcer`. */
import {
  type Announcement,
  ANNOUNCER_ID_BYTES,
  encodeAnnouncement,
  encodeFarewell,
  instanceOf,
} from "../protocol/announcement.ts";
import { Announcer } from "../protocol/announcer.ts";
import type { Clock } from "../protocol/clock.ts";
import type { OpenMulticast } from "./carrier/multicast_socket.ts";
import { type Link, ownLinks, placesOf } from "./links.ts";
import type { NetworkChanges } from "./network_watch.ts";

export interface AnnouncingOptions {
  name: string;
  /** 32 bytes: our static public key. */
  key: Uint8Array;
  /** The TCP port that we listen on. */
  port: number;
  /** The address that we listen on; undefined: all of this machine's. */
  host?: string | undefined;
  clock: Clock;
  network: NetworkChanges;
  open: OpenMulticast;
  /** This machine's interfaces. Default: as the system tells them. */
  links?: () => Link[];
}

export class Announcing implements AsyncDisposable {
  readonly #options: AnnouncingOptions;
  readonly #id = crypto.getRandomValues(new Uint8Array(ANNOUNCER_ID_BYTES)).toHex();
  readonly #socket: ReturnType<OpenMulticast>;
  #name: string;
  #announcer: Announcer;
  #unsubscribe = () => {};
  #cancel = () => {};
  #over = false;

  private constructor(options: AnnouncingOptions) {
    this.#options = options;
    this.#name = options.name;
    this.#announcer = new Announcer(this.#instance, Math.random);
    this.#socket = options.open((bytes) => this.#receive(bytes));
  }

  /**
   * Begins to announce.
   * @throws {P2pError} if the network cannot be spoken to
   */
  static async begin(options: AnnouncingOptions): Promise<Announcing> {
    const announcing = new Announcing(options);
    await announcing.#socket;
    announcing.#unsubscribe = options.network.subscribe(() => announcing.#changed());
    await announcing.#changed();
    return announcing;
  }

  /** From now on we go by another name. */
  async rename(name: string): Promise<void> {
    await this.#sayFarewell();
    this.#name = name;
    this.#announcer = new Announcer(this.#instance, Math.random);
    await this.#changed();
  }

  /** Takes the announcement back. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#unsubscribe();
    this.#cancel();
    await this.#sayFarewell();
    await (await this.#socket).close();
  }

  get #instance(): string {
    return instanceOf(this.#name, this.#id);
  }

  get #places() {
    const { links = ownLinks, host } = this.#options;
    return placesOf(links(), host);
  }

  async #changed(): Promise<void> {
    (await this.#socket).join(this.#places.map(({ link }) => link));
    this.#announcer.changed(this.#options.clock.now());
    this.#poll();
  }

  #receive(bytes: Uint8Array): void {
    this.#announcer.receive(bytes, this.#options.clock.now());
    this.#wait();
  }

  #poll(): void {
    if (this.#announcer.poll(this.#options.clock.now())) this.#announce();
    this.#wait();
  }

  /** Sets a timer only if there is something to send: who is not asked sleeps. */
  #wait(): void {
    this.#cancel();
    const { nextAt } = this.#announcer;
    if (this.#over || nextAt === Infinity) return;
    const { clock } = this.#options;
    this.#cancel = clock.after(Math.max(0, nextAt - clock.now()), () => this.#poll());
  }

  async #announce(): Promise<void> {
    const { key, port } = this.#options;
    const announcement: Omit<Announcement, "addresses"> = {
      instance: this.#instance,
      name: this.#name,
      key,
      port,
    };
    const socket = await this.#socket;
    for (const { link, addresses } of this.#places) {
      socket.send(encodeAnnouncement({ ...announcement, addresses }), link);
    }
  }

  async #sayFarewell(): Promise<void> {
    const farewell = encodeFarewell(this.#instance);
    const socket = await this.#socket;
    for (const { link } of this.#places) socket.send(farewell, link);
  }
}
