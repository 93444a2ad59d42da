/** Sessions that we begin: dial, prove who is who, and dial again when the connection is lost. */
import { equalBytes } from "../protocol/bytes.ts";
import { type Clock, sleep } from "../protocol/clock.ts";
import { IdentityError, P2pError, ProtocolError, UnreachableError } from "../protocol/errors.ts";
import { DIAL_TIMEOUT_MS } from "../protocol/limits.ts";
import type { KeyPair } from "../protocol/noise.ts";
import { GoodbyeCode, SESSION_ID_BYTES } from "../protocol/session_frame.ts";
import { type Address, formatAddress } from "../protocol/address.ts";
import { dialTcp } from "./carrier/tcp.ts";
import { systemClock } from "./clock.ts";
import { lowerFirst } from "./lower_first.ts";
import { type SecureConnection, secureInitiator } from "../protocol/secure.ts";
import { Session } from "./session.ts";
import type { Trust } from "./trust.ts";

/** Milliseconds before the first and between later attempts to reconnect, before jitter. */
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
/** Milliseconds after which a connection counts as one that lasts. */
const LASTING_MS = 10_000;

export interface DialOptions {
  identity: KeyPair;
  name: string;
  trust: Trust;
  signal: AbortSignal;
  clock?: Clock;
}

/**
 * Begins a session with whoever listens at an address, and keeps it connected until it ends.
 * @throws {UnreachableError} if nobody answers
 * @throws {IdentityError} if the key is not the one that is known
 * @throws {RefusedError} if the other side does not want us
 * @throws {ProtocolError} if it is no p2p, or one of another version
 */
export async function dialSession(address: Address, options: DialOptions): Promise<Session> {
  const { trust } = options;
  const where = formatAddress(address);
  const connection = await dialSecure(address, options, (key) => trust.checkAddress(where, key));
  const session = new Session({
    role: "initiator",
    id: crypto.getRandomValues(new Uint8Array(SESSION_ID_BYTES)),
    name: options.name,
    remoteKey: connection.remoteKey,
    clock: options.clock ?? systemClock,
  });
  session.onState = (state, reason) => {
    if (state === "away") session.fail(new UnreachableError(`Lost ${where}: ${reason?.message}`));
  };
  session.attach(connection);
  try {
    await abortable(admit(session, where, trust), options.signal);
  } catch (error) {
    await dismiss(session, error);
    throw error;
  }
  session.onState = undefined;
  keepConnected(session, address, options);
  return session;
}

/** Waits for the other side's greeting, and remembers who it is. */
async function admit(session: Session, where: string, trust: Trust): Promise<void> {
  await session.greeted;
  // Whoever does not want us says so right behind its greeting.
  if (session.over) throw session.endError();
  await trust.admit(session.remoteName, session.remoteKey, where);
  if (session.over) throw session.endError();
}

/** Ends a session that came to nothing. What went wrong here is not told. */
async function dismiss(session: Session, error: unknown): Promise<void> {
  const goodbye = { code: GoodbyeCode.done, text: "" };
  if (error instanceof P2pError) await session.fail(error, goodbye);
  else await session.end(GoodbyeCode.interrupted);
}

/** The work's outcome, or the signal's reason if it aborts first. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  function abort(): void {
    aborted.reject(signal.reason);
  }
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

async function dialSecure(
  address: Address,
  options: DialOptions,
  checkKey: (key: Uint8Array) => void | Promise<void>,
): Promise<SecureConnection> {
  const { identity, signal, clock = systemClock } = options;
  const timeout = AbortSignal.timeout(DIAL_TIMEOUT_MS);
  const tcp = await dialTcp(address, AbortSignal.any([signal, timeout]));
  try {
    return await secureInitiator(tcp, { identity, signal, clock, checkKey });
  } catch (error) {
    throw withAddress(error, formatAddress(address));
  }
}

/**
 * Who does not speak as we do is most likely not whom the user meant: the error shows the address.
 */
function withAddress(error: unknown, where: string): unknown {
  if (!(error instanceof ProtocolError) || error.message.includes(where)) return error;
  return new ProtocolError(`Could not connect to ${where}: ${lowerFirst(error.message)}`, {
    hint: error.hint ?? "Is that the address of a p2p of the same version? Check it, and the port.",
    cause: error,
  });
}

/** Dials again, with patience and jitter, as often as the session is without a connection. */
function keepConnected(session: Session, address: Address, options: DialOptions): void {
  const over = new AbortController();
  session.ended.then(() => over.abort(session.endError()));
  const signal = AbortSignal.any([options.signal, over.signal]);
  const redialer = new Redialer(session, address, { ...options, signal });
  session.onAway = async () => {
    try {
      await redialer.redial();
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  };
  if (session.state === "away") session.onAway();
}

class Redialer {
  readonly #session: Session;
  readonly #address: Address;
  readonly #options: DialOptions;
  readonly #clock: Clock;
  #wait = FIRST_RETRY_MS;
  #attachedAt = -Infinity;

  constructor(session: Session, address: Address, options: DialOptions) {
    this.#session = session;
    this.#address = address;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Resolves when the session has a connection again, or has ended because another key answered. */
  async redial(): Promise<void> {
    // Who accepts and breaks off at once is not dialled any faster for it.
    if (this.#clock.now() - this.#attachedAt > LASTING_MS) this.#wait = FIRST_RETRY_MS;
    for (;;) {
      await sleep(this.#clock, this.#wait * (0.5 + Math.random()), this.#options.signal);
      this.#wait = Math.min(this.#wait * 2, LONGEST_RETRY_MS);
      if (await this.#attempt()) return;
    }
  }

  async #attempt(): Promise<boolean> {
    const session = this.#session;
    try {
      const check = (key: Uint8Array) => checkSame(session, key);
      session.attach(await dialSecure(this.#address, this.#options, check));
      this.#attachedAt = this.#clock.now();
      return true;
    } catch (error) {
      if (error instanceof IdentityError) {
        await session.fail(error);
        return true;
      }
      this.#options.signal.throwIfAborted();
      return false;
    }
  }
}

function checkSame(session: Session, key: Uint8Array): void {
  if (equalBytes(key, session.remoteKey)) return;
  throw new IdentityError(
    `Session with ${session.remoteName} ended: another key answers at its address now`,
    { hint: "Connect anew: the key is then compared with the one that is known." },
  );
}
