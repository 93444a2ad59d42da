/**
 * The way to whom a relay knows by a name: looked up there, then raced for over the addresses that
 * the peer has told, and over a circuit through the relay.
 */
import { aborted } from "../protocol/aborted.ts";
import {
  type Address,
  isDialable,
  isLocal,
  isLoopback,
  parseIpAddress,
} from "../protocol/address.ts";
import { equalBytes } from "../protocol/bytes.ts";
import type { Clock } from "../protocol/clock.ts";
import { IdentityError, ProtocolError, UnreachableError } from "../protocol/errors.ts";
import { MAX_CANDIDATES } from "../protocol/limits.ts";
import type { PeerInfo } from "../protocol/rendezvous.ts";
import type { SecureConnection } from "../protocol/secure.ts";
import { dialCircuit } from "./carrier/circuit.ts";
import { systemClock } from "./clock.ts";
import { type Dial, dialSecure, type DialSecureOptions, RELAY } from "./dial_secure.ts";
import { lowerFirst } from "./lower_first.ts";
import { type Contender, type Failure, Race } from "./race.ts";
import { formatRelay, type Relay } from "./relay_address.ts";
import { RelayClient } from "./relay_client.ts";
import type { Found, KnownPeer, Route, RouteOptions } from "./route.ts";

export interface NameRouteOptions extends RouteOptions {
  relay: Relay;
  /** What we are called. */
  ownName: string;
  /** Told what people should know of the peer. */
  say: (line: string) => void;
  /** How the relay is reached. Default: over TCP. */
  dialRelay?: Dial;
  /** How the peer's addresses are reached. Default: over TCP. */
  dialPeer?: Dial;
}

export class NameRoute implements Route {
  readonly target: string;
  readonly #options: NameRouteOptions;
  readonly #clock: Clock;
  /** Where the peer was to be found when it was last looked up. */
  #candidates: Address[] = [];

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
    const race = new Race<SecureConnection>({ clock: this.#clock, signal });
    if (peer) this.#addDirect(race, this.#candidates, peer.remoteKey);
    const asking = this.#ask(race, peer?.remoteKey).catch((error) => error as Error);
    try {
      return { connection: await race.winner, better: race.better };
    } catch (error) {
      signal.throwIfAborted();
      throw await asking ?? this.#nobodyReached(race.failures, error);
    }
  }

  async admit(name: string, key: Uint8Array): Promise<void> {
    await this.#options.trust.admit(name, key, this.target);
    if (name === this.target) return;
    this.#options.say(`Who is called ${this.target} at the relay goes by the name ${name}`);
  }

  /** Has the relay introduce us, and keeps in touch with it as long as the race lasts. */
  async #ask(race: Race<SecureConnection>, expected: Uint8Array | undefined): Promise<void> {
    const { relay, identity, trust, dialRelay, ownName } = this.#options;
    const over = race.over;
    try {
      const options = { relay, identity, trust, clock: this.#clock, dial: dialRelay, signal: over };
      await using client = await RelayClient.connect(options);
      const info = await client.introduce(this.target, ownName);
      const key = await this.#checkKey(info, expected);
      this.#candidates = usableCandidates(info.candidates ?? [], client.address);
      this.#addDirect(race, this.#candidates, key);
      if (info.circuit) race.addLater(this.#circuit(info.circuit, key, client.address));
      race.complete();
      await aborted(over);
    } finally {
      race.complete();
    }
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

  #addDirect(race: Race<SecureConnection>, candidates: Address[], key: Uint8Array): void {
    for (const address of candidates) {
      race.add({
        path: isLocal(address.host) ? "lan" : "direct",
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
    const checkKey = (seen: Uint8Array) => {
      if (!equalBytes(seen, key)) throw new IdentityError("another key answers there");
    };
    const { identity } = this.#options;
    return dialSecure(address, { ...options, identity, clock: this.#clock, checkKey });
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

/**
 * The addresses that can be dialled from here. This machine's own are the peer's only where the
 * peer is on this machine: when the relay is.
 */
function usableCandidates(texts: string[], relay: Address): Address[] {
  const onThisMachine = isLoopback(relay.host);
  return [...new Set(texts)].slice(0, MAX_CANDIDATES).flatMap((text) => {
    const address = parseIpAddress(text);
    return address && isDialable(address.host, onThisMachine) ? address : [];
  });
}
