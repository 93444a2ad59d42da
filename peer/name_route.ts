/**
 * The way to whom a relay knows by a name: looked up there, then raced for over the addresses that
 * the peer has told, through the NATs of both sides, and over a circuit through the relay.
 */
import { type Address, isLocal } from "../protocol/address.ts";
import { equalBytes } from "../protocol/bytes.ts";
import { type Clock, sleep } from "../protocol/clock.ts";
import type { Connection, Path } from "../protocol/connection.ts";
import {
  IdentityError,
  P2pError,
  ProtocolError,
  SilenceError,
  UnreachableError,
} from "../protocol/errors.ts";
import type { Reach } from "../protocol/nat.ts";
import type { PeerInfo } from "../protocol/rendezvous.ts";
import { type SecureConnection, secureInitiator } from "../protocol/secure.ts";
import { Backoff, type BackoffRange } from "./backoff.ts";
import { usableCandidates } from "./candidates.ts";
import { dialCircuit } from "./carrier/circuit.ts";
import { systemClock } from "./clock.ts";
import { type Dial, dialSecure, type DialSecureOptions, RELAY } from "./dial_secure.ts";
import { lowerFirst } from "./lower_first.ts";
import { pinnedTo } from "./pinned_key.ts";
import { type Contender, type Failure, Race } from "./race.ts";
import { formatRelay, type Relay } from "./relay_address.ts";
import { RelayClient } from "./relay_client.ts";
import type { Found, KnownPeer, Route, RouteOptions } from "./route.ts";
import type { OpenStraight } from "./straight.ts";
import { type NoWay, StraightSearch } from "./straight_search.ts";

const FELL_SILENT = "the last one has just fallen silent, and is tried again in a while";
/**
 * When a straight way is looked for again where none was found: soon, for others may have been asking
 * the same peer at the same time, and ever less often, for most NATs stay what they are.
 */
const SEARCH_AGAIN: BackoffRange = { firstMs: 15_000, longestMs: 900_000 };
/**
 * Milliseconds in which a way that falls silent is taken for one that lets handshakes pass, and
 * swallows what is larger.
 */
const SHORT_LIVED_MS = 60_000;
/** Milliseconds for which it is then left alone where there is another; doubled each time. */
const SHUNNED_MS = 60_000;
const LONGEST_SHUNNED_MS = 3_600_000;

export interface NameRouteOptions extends RouteOptions {
  relay: Relay;
  /** What we are called. */
  ownName: string;
  /** Told what people should know of the peer. */
  say: (line: string) => void;
  /** Whether all bytes are to go through the relay. */
  relayOnly?: boolean;
  /** Opens ports to punch from. Default: nothing is punched. */
  openStraight?: OpenStraight | undefined;
  /** How the relay is reached. Default: over TCP. */
  dialRelay?: Dial;
  /** How the peer's addresses are reached. Default: over TCP. */
  dialPeer?: Dial;
  random?: () => number;
}

/** A path that is not to be taken if there is another. */
interface Shunned {
  readonly until: number;
  readonly ms: number;
}

export class NameRoute implements Route {
  readonly target: string;
  readonly #options: NameRouteOptions;
  readonly #clock: Clock;
  /** Where the peer was to be found when it was last looked up. */
  #candidates: Address[] = [];
  readonly #shunned = new Map<Path, Shunned>();

  /** @param name what the peer is called at the relay */
  constructor(name: string, options: NameRouteOptions) {
    this.target = name;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * As `Route.connect`. The relay is asked in any case; where the peer is known already it is also
   * looked for where it was, for the relay may be gone.
   */
  async connect(signal: AbortSignal, peer?: KnownPeer): Promise<Found> {
    const closing = new AbortController();
    const both = AbortSignal.any([signal, closing.signal]);
    const race = new Race<SecureConnection>({ clock: this.#clock, signal: both });
    if (peer) this.#addDirect(race, this.#candidates, peer.remoteKey, this.#isGood);
    const relayed = Promise.withResolvers<string>();
    const searching = this.#search(race, peer?.remoteKey, relayed.resolve)
      .catch((error) => error as Error);
    const close = (lost?: Error) => {
      closing.abort(new UnreachableError("The search has ended"));
      if (lost instanceof SilenceError && race.best) this.#shun(race.best);
    };
    try {
      const { better } = race;
      return { connection: await race.winner, better, close, relayedBecause: relayed.promise };
    } catch (error) {
      signal.throwIfAborted();
      throw await searching ?? this.#nobodyReached(race.failures, error);
    }
  }

  async admit(name: string, key: Uint8Array): Promise<void> {
    await this.#options.trust.admit(name, key, this.target);
    if (name === this.target) return;
    this.#options.say(`Who is called ${this.target} at the relay goes by the name ${name}`);
  }

  /** Adds ways to the race until there is nothing left to be found. */
  async #search(
    race: Race<SecureConnection>,
    expected: Uint8Array | undefined,
    onRelayed: (because: string) => void,
  ): Promise<void> {
    try {
      let noWay = await this.#round(race, expected, true);
      if (noWay && race.won) onRelayed(noWay.because);
      const backoff = new Backoff(this.#clock, this.#options.random, SEARCH_AGAIN);
      while (noWay && !noWay.forGood && race.won) {
        await sleep(this.#clock, this.#shunnedFor("punched") || backoff.next(), race.over);
        noWay = await this.#laterRound(race, expected) ?? noWay;
        if (!race.wants("punched")) return;
      }
    } finally {
      race.complete();
    }
  }

  /** What goes wrong with the relay in a later round is no reason to end. */
  async #laterRound(
    race: Race<SecureConnection>,
    expected: Uint8Array | undefined,
  ): Promise<NoWay | undefined> {
    try {
      return await this.#round(race, expected, false);
    } catch (error) {
      if (!(error instanceof P2pError)) throw error;
      return undefined;
    }
  }

  /**
   * Has the relay introduce us, adds what follows from that, and keeps in touch with the relay until
   * it is decided.
   * @param circuit whether a circuit is wanted: a first way
   * @returns why there is no straight way, if that was found out
   */
  async #round(
    race: Race<SecureConnection>,
    expected: Uint8Array | undefined,
    circuit: boolean,
  ): Promise<NoWay | undefined> {
    const { relay, identity, trust, dialRelay, ownName: username } = this.#options;
    using search = this.#beginSearch(race);
    const options = { relay, identity, trust, clock: this.#clock, dial: dialRelay };
    await using client = await RelayClient.connect({ ...options, signal: race.over });
    const introduce = (reach: Reach | undefined, withCircuit: boolean) =>
      client.introduce({ target: this.target, username, reach, circuit: withCircuit });
    const info = await introduce(await search?.reach(), circuit);
    const key = await this.#checkKey(info, expected);
    if (!await this.#addTold(race, info, key, client.address)) {
      return { because: FELL_SILENT, forGood: false };
    }
    const noWay = await search?.run(info, {
      client,
      introduce: (reach) => introduce(reach, false),
      secure: (connection) => this.#prove(connection, key, race.over),
    }).catch(asNoWay);
    await race.decided();
    return noWay;
  }

  /**
   * Adds the ways that an introduction tells of; those that have just fallen silent only where
   * nothing else is found.
   * @param at where the relay is
   * @returns whether punching is worth a try besides
   */
  async #addTold(
    race: Race<SecureConnection>,
    info: PeerInfo,
    key: Uint8Array,
    at: Address,
  ): Promise<boolean> {
    this.#candidates = usableCandidates(info.candidates ?? [], at);
    this.#addDirect(race, this.#candidates, key, this.#isGood);
    if (info.circuit) race.addLater(this.#circuit(info.circuit, key, at));
    if (this.#shunned.size > 0) await race.decided();
    if (race.won) return this.#isGood("punched");
    this.#addDirect(race, this.#candidates, key, (path) => !this.#isGood(path));
    return true;
  }

  /** Whether a path may be taken where there are others. */
  readonly #isGood = (path: Path) => this.#shunnedFor(path) === 0;

  /** Milliseconds for which a path is not to be taken yet. */
  #shunnedFor(path: Path): number {
    return Math.max(0, (this.#shunned.get(path)?.until ?? 0) - this.#clock.now());
  }

  #shun({ path, since }: { path: Path; since: number }): void {
    const now = this.#clock.now();
    // The circuit is what is left when all others are of no use.
    if (path === "relayed" || now - since >= SHORT_LIVED_MS) {
      this.#shunned.delete(path);
      return;
    }
    const before = this.#shunned.get(path)?.ms;
    const ms = before === undefined ? SHUNNED_MS : Math.min(before * 2, LONGEST_SHUNNED_MS);
    this.#shunned.set(path, { until: now + ms, ms });
  }

  #beginSearch(race: Race<SecureConnection>): StraightSearch | undefined {
    const { openStraight, relay, relayOnly } = this.#options;
    if (relayOnly) return undefined;
    const open = () => openStraight!(relay.address, "asker");
    return openStraight && new StraightSearch(race, open, this.#clock);
  }

  /** The only key that may answer. */
  async #checkKey({ key }: PeerInfo, expected: Uint8Array | undefined): Promise<Uint8Array> {
    if (!key) {
      throw new UnreachableError(`Could not reach ${this.target}: it has no key at the relay`, {
        hint: "The other side needs p2p listen with --relay.",
      });
    }
    if (!expected) await this.#options.trust.check(this.target, key);
    else if (!equalBytes(key, expected)) {
      throw new UnreachableError(`Lost ${this.target}: another key has that name at the relay now`);
    }
    return key;
  }

  /** @param wanted which paths */
  #addDirect(
    race: Race<SecureConnection>,
    candidates: Address[],
    key: Uint8Array,
    wanted: (path: Path) => boolean,
  ): void {
    if (this.#options.relayOnly) return;
    for (const address of candidates) {
      const path = isLocal(address.host) ? "lan" : "direct";
      if (!wanted(path)) continue;
      race.add({
        path,
        dial: (signal) => this.#secure(address, key, { signal, dial: this.#options.dialPeer }),
      });
    }
  }

  #circuit(token: Uint8Array, key: Uint8Array, at: Address): Contender<SecureConnection> {
    const { relay, dialRelay } = this.#options;
    const dial: Dial = (address, signal) =>
      dialCircuit({ relay: address, at, token, signal, dial: dialRelay });
    const callee = RELAY;
    return {
      path: "relayed",
      dial: (signal) => this.#secure(relay.address, key, { signal, dial, callee }),
    };
  }

  /** Whoever has another key learns nothing of ours. */
  #secure(
    address: Address,
    key: Uint8Array,
    options: Pick<DialSecureOptions, "signal" | "dial" | "callee">,
  ) {
    const { identity } = this.#options;
    const checkKey = pinnedTo(key);
    return dialSecure(address, { ...options, identity, clock: this.#clock, checkKey });
  }

  /** The same over a connection that there is already. */
  #prove(connection: Connection, key: Uint8Array, signal: AbortSignal): Promise<SecureConnection> {
    const { identity } = this.#options;
    const checkKey = pinnedTo(key);
    return secureInitiator(connection, { identity, clock: this.#clock, checkKey, signal });
  }

  /** The circuit's failure speaks for all: where there is one, it would have carried. */
  #nobodyReached(failures: Failure[], fallback: unknown): unknown {
    const circuit = failures.find(({ path }) => path === "relayed");
    const error = (circuit ?? failures.at(-1))?.error ?? fallback;
    if (!(error instanceof Error)) return error;
    const relay = `relay ${formatRelay(this.#options.relay)}`;
    const way = error.message.includes(relay) ? "" : ` by way of the ${relay}`;
    const message = `Could not reach ${this.target}${way}: ${lowerFirst(error.message)}`;
    if (circuit && error instanceof IdentityError) {
      return new IdentityError(message, {
        hint: "Somebody may be in between. Ask them by another way for an address, and dial that.",
      });
    }
    const Kind = error instanceof ProtocolError ? ProtocolError : UnreachableError;
    const hint = "They may just have left, or lost the relay: try again.";
    return new Kind(message, { hint, cause: error });
  }
}

/** The relay is gone in the middle of it. */
function asNoWay(error: unknown): NoWay {
  if (!(error instanceof P2pError)) throw error;
  return { because: lowerFirst(error.message), forGood: false };
}
