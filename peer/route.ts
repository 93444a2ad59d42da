/** Where a session's connections come from. */
import { type Address, formatAddress } from "../protocol/address.ts";
import { equalBytes } from "../protocol/bytes.ts";
import type { Clock } from "../protocol/clock.ts";
import { IdentityError } from "../protocol/errors.ts";
import type { KeyPair } from "../protocol/noise.ts";
import type { SecureConnection } from "../protocol/secure.ts";
import { dialSecure } from "./dial_secure.ts";
import type { Trust } from "./trust.ts";

/** A connection to the peer, and better ones that may come up shortly after. */
export interface Found {
  connection: SecureConnection;
  /** Ends by itself, or when the signal aborts. Whoever takes them attaches or closes them. */
  better: AsyncIterable<SecureConnection>;
  /** Resolves with the reason when no straight way was found for bytes that go through a relay. */
  relayedBecause?: Promise<string>;
  /**
   * Ends the search for better ones. Idempotent.
   * @param lost why the last one was lost: a way that has swallowed everything is not taken again
   *   at once
   */
  close(lost?: Error): void;
}

/** The peer of a session that goes on. */
export interface KnownPeer {
  readonly remoteName: string;
  readonly remoteKey: Uint8Array;
}

/** A way to one peer, that can be taken again and again. */
export interface Route {
  /** What was asked for, as people write it: an address, or a name. */
  readonly target: string;
  /**
   * Finds a connection to the peer. Its key is checked before ours is shown: with that of `peer`,
   * or, where that is undefined, with what is known of the target.
   * @throws {UnreachableError} if nobody answers
   * @throws {IdentityError} if the key is not the one that is known
   */
  connect(signal: AbortSignal, peer?: KnownPeer): Promise<Found>;
  /**
   * Remembers whom it has led to.
   * @param name as the peer calls itself
   * @throws {IdentityError} if another key is known under that name
   */
  admit(name: string, key: Uint8Array): Promise<void>;
}

/** What every route needs to prove who is who. */
export interface RouteOptions {
  identity: KeyPair;
  trust: Trust;
  clock?: Clock | undefined;
}

/** The way to whoever listens at an address. */
export class AddressRoute implements Route {
  readonly target: string;
  readonly #address: Address;
  readonly #options: RouteOptions;

  constructor(address: Address, options: RouteOptions) {
    this.target = formatAddress(address);
    this.#address = address;
    this.#options = options;
  }

  async connect(signal: AbortSignal, peer?: KnownPeer): Promise<Found> {
    const { identity, trust, clock } = this.#options;
    const checkKey = (key: Uint8Array) =>
      peer ? checkSame(peer, key) : trust.check(this.target, key);
    const options = { identity, clock, signal, checkKey };
    return {
      connection: await dialSecure(this.#address, options),
      better: nothing(),
      close: () => {},
    };
  }

  admit(name: string, key: Uint8Array): Promise<void> {
    return this.#options.trust.admit(name, key, this.target);
  }
}

function checkSame({ remoteName, remoteKey }: KnownPeer, key: Uint8Array): void {
  if (equalBytes(key, remoteKey)) return;
  throw new IdentityError(
    `Session with ${remoteName} ended: another key answers at its address now`,
    { hint: "Connect anew: the key is then compared with the one that is known." },
  );
}

async function* nothing(): AsyncGenerator<never> {}
