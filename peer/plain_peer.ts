import { Allowance } from "../protocol/allowance.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import type { PlainNode } from "../protocol/plain_mesh.ts";
import { PlainWriter } from "./plain_writer.ts";

/** Lists of members that a peer may tell. */
const LISTS = { perSecond: 5, burst: 100 };

/** Addresses that are kept of a peer. */
const MAX_ADDRESSES = 64;

/** What plain chat goes over. */
export interface PlainConnection extends Connection {
  /** The IP address of this machine at which it is. */
  readonly localHost: string;
}

/**
 * How a connection came about: the other side dialled; the user named it; or a peer told of it, and
 * it gets nothing but JOIN before it has said JOIN.
 */
export type PlainOrigin = "accepted" | "named" | "told";

/** Somebody in a plain chat: a connection, and what it has said of itself. */
export class PlainPeer {
  readonly writer: PlainWriter;
  /** The lists that it tells are heard as long as there is some of it. */
  readonly lists: Allowance;
  /** What it said in its JOIN. */
  node: PlainNode | undefined;
  /** Any value that all connections to one program share. */
  person: object = {};
  /** What it is shown as. */
  name: string;
  /** Whether its arrival was told. */
  here = false;
  /** Whether another connection has taken its place: it is read out, and nothing more is said to it. */
  retired = false;
  saidJoin = false;
  /** Whether it was told that it says what cannot be understood. */
  warned = false;
  /** Calls off what is to happen to it later: one thing at a time. */
  cancel = () => {};
  readonly #addresses = new Set<string>();
  readonly #introduced = Promise.withResolvers<void>();

  constructor(
    readonly connection: PlainConnection,
    readonly origin: PlainOrigin,
    clock: Clock,
  ) {
    this.writer = new PlainWriter(connection, clock);
    this.lists = new Allowance(clock, LISTS);
    this.name = connection.remote;
    if (origin !== "accepted") this.#addresses.add(connection.remote);
  }

  /** Addresses at which it need not be dialled, for it is here. */
  get addresses(): ReadonlySet<string> {
    return this.#addresses;
  }

  /** Remembers such an address, as long as there are not too many. */
  isAt(address: string): void {
    if (this.#addresses.size < MAX_ADDRESSES) this.#addresses.add(address);
  }

  /** Resolves when it is known what to show it as, or it is gone. */
  get introduced(): Promise<void> {
    return this.#introduced.promise;
  }

  /** Says that it is known what to show it as, or that it is gone. */
  introduce(): void {
    this.#introduced.resolve();
  }
}
