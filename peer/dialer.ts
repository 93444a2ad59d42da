/** Sessions that we begin: dial, prove who is who, and dial again when the connection is lost. */
import { type Clock, sleep } from "../protocol/clock.ts";
import { IdentityError, P2pError, UnreachableError } from "../protocol/errors.ts";
import type { KeyPair } from "../protocol/noise.ts";
import { GoodbyeCode, SESSION_ID_BYTES } from "../protocol/session_frame.ts";
import { abortable } from "./abortable.ts";
import { Backoff } from "./backoff.ts";
import { upgradeForBulk } from "./bulk.ts";
import { canUseTls } from "./carrier/tls.ts";
import { systemClock } from "./clock.ts";
import type { NetworkChanges } from "./network_watch.ts";
import type { Found, Route } from "./route.ts";
import { Session } from "./session.ts";
import { whyLost } from "./why_lost.ts";

export interface DialOptions {
  /** The name that we go by. */
  name: string;
  signal: AbortSignal;
  clock?: Clock | undefined;
  /** Our key, for connections that are made for much. Default: none are made. */
  identity?: KeyPair | undefined;
  /** Whether those may be inside TLS; undefined: if `canUseTls`. */
  tls?: boolean;
  /** Tells of other networks. Default: nobody does. */
  network?: NetworkChanges | undefined;
}

/**
 * Begins a session with whom a route leads to, and keeps it connected until it ends.
 * @throws {UnreachableError} if nobody answers
 * @throws {IdentityError} if the key is not the one that is known
 * @throws {RefusedError} if the other side does not want us
 * @throws {ProtocolError} if it is no p2p, or one of another version
 */
export async function dialSession(route: Route, options: DialOptions): Promise<Session> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const found = await route.connect(signal);
  const session = new Session({
    role: "initiator",
    id: crypto.getRandomValues(new Uint8Array(SESSION_ID_BYTES)),
    name: options.name,
    remoteKey: found.connection.remoteKey,
    clock: options.clock ?? systemClock,
  });
  session.ended.then(() => over.abort(session.endError()));
  session.onState = (state, reason) => {
    if (state !== "away") return;
    session.fail(new UnreachableError(`Lost ${route.target}: ${whyLost(reason)}`));
  };
  adopt(session, found);
  try {
    await abortable(admit(session, route), options.signal);
  } catch (error) {
    await dismiss(session, error);
    throw error;
  }
  session.onState = undefined;
  const { identity, clock, tls = canUseTls() } = options;
  if (identity && tls) upgradeForBulk(session, { identity, clock, signal });
  const unsubscribe = options.network?.subscribe(() => session.check());
  session.ended.then(unsubscribe);
  keepConnected(session, new Redialer(session, route, found, { ...options, signal }), signal);
  return session;
}

/** Gives a session its connection, and the better ones as they come. */
async function adopt(session: Session, found: Found): Promise<void> {
  session.attach(found.connection);
  found.relayedBecause?.then((because) => session.staysRelayed(because));
  for await (const each of found.better) await session.improve(each);
}

/** Waits for the other side's greeting, and remembers who it is. */
async function admit(session: Session, route: Route): Promise<void> {
  await session.greeted;
  // Whoever does not want us says so right behind its greeting.
  if (session.over) throw session.endError();
  await route.admit(session.remoteName, session.remoteKey);
  if (session.over) throw session.endError();
}

/** Ends a session that came to nothing. What went wrong here is not told. */
async function dismiss(session: Session, error: unknown): Promise<void> {
  const goodbye = { code: GoodbyeCode.done, text: "" };
  if (error instanceof P2pError) await session.fail(error, goodbye);
  else await session.end(GoodbyeCode.interrupted);
}

/** Dials again, with patience and jitter, as often as the session is without a connection. */
function keepConnected(session: Session, redialer: Redialer, signal: AbortSignal): void {
  session.onAway = async (reason) => {
    try {
      await redialer.redial(reason);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  };
  if (session.state === "away") session.onAway(undefined);
}

interface RedialerOptions {
  signal: AbortSignal;
  clock?: Clock | undefined;
}

class Redialer {
  readonly #session: Session;
  readonly #route: Route;
  readonly #signal: AbortSignal;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  /** What the session goes over, and may be improved by. */
  #found: Found;

  constructor(
    session: Session,
    route: Route,
    found: Found,
    { signal, clock = systemClock }: RedialerOptions,
  ) {
    this.#session = session;
    this.#route = route;
    this.#found = found;
    this.#signal = signal;
    this.#clock = clock;
    this.#backoff = new Backoff(clock);
  }

  /**
   * Resolves when the session has a connection again, or has ended because another key answered.
   * @param reason why it has none
   */
  async redial(reason: Error | undefined): Promise<void> {
    this.#found.close(reason);
    for (;;) {
      await sleep(this.#clock, this.#backoff.next(), this.#signal);
      if (await this.#attempt()) return;
    }
  }

  async #attempt(): Promise<boolean> {
    const session = this.#session;
    try {
      this.#found = await this.#route.connect(this.#signal, session);
      adopt(session, this.#found);
      this.#backoff.succeeded();
      return true;
    } catch (error) {
      if (error instanceof IdentityError) {
        await session.fail(error);
        return true;
      }
      this.#signal.throwIfAborted();
      return false;
    }
  }
}
