/**
 * A relay: takes connections, tells by their first bytes what they are, and knows all that is open.
 * Everything is built and wired here.
 */
import { encodeText } from "../protocol/bytes.ts";
import { type Clock, sleep } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import { P2pError, UnreachableError } from "../protocol/errors.ts";
import { ReceiveBuffer } from "../protocol/framing.ts";
import { HANDSHAKE_TIMEOUT_MS, MAX_PREFACE_BYTES } from "../protocol/limits.ts";
import {
  classifyFirstBytes,
  errorPreface,
  parsePreface,
  type Preface,
} from "../protocol/preface.ts";
import type { Refusal } from "../protocol/rendezvous.ts";
import { Admission, type Permit } from "./admission.ts";
import { Circuits } from "./circuits.ts";
import type { RelayContext } from "./context.ts";
import { ControlSessions } from "./control_sessions.ts";
import { newCounters } from "./counters.ts";
import { farewell, FAREWELL_MS } from "./farewell.ts";
import type { DatagramPair, RelayHost, RelayPort } from "./host.ts";
import type { HttpOptions } from "./http.ts";
import type { RelayLimits } from "./limits.ts";
import { Names } from "./names.ts";
import { Password } from "./password.ts";
import { REFUSAL_TEXTS, RefusalLog } from "./refusal.ts";
import { endpointOf, sourceOf } from "./source.ts";

/** Bytes of a connection that are held while it is open what it is, and while it says little. */
const FIRST_READ_BYTES = 512;
/**
 * Newcomers that are being told why they are turned away. Each takes one of the descriptors that
 * admission reserves; further ones are closed without a word.
 */
const MAX_TURNED_AWAY = 24;

/** What people are told who speak to it without a program of its own. */
const ADVICE = "This is a p2p relay. Meet there with: p2p connect NAME --relay HOST:PORT";
const UNKNOWN_WORD = "unknown kind of connection: a relay takes relay and circuit";
const WRONG_WORDS: Partial<Record<Preface["word"], string>> = {
  session: "this is a relay: name it with --relay",
  version: "this relay speaks version 1 only: both sides need the same version",
};

/** The parts that speak other protocols on the same port. */
export interface RelayServices {
  /** Serves one HTTP connection; resolves when it is closed. */
  http(
    connection: Connection,
    received: ReceiveBuffer,
    context: RelayContext,
    options?: HttpOptions,
  ): Promise<void>;
  /** Answers datagrams; resolves when the sockets are closed. */
  datagrams(sockets: readonly DatagramPair[], context: RelayContext): Promise<void>;
}

export interface RelayServerOptions {
  host: Pick<RelayHost, "identity" | "clock" | "log" | "password" | "descriptorLimit">;
  limits: RelayLimits;
  port: RelayPort;
  services: RelayServices;
}

export class RelayServer implements AsyncDisposable {
  readonly #context: RelayContext;
  readonly #clock: Clock;
  readonly #port: RelayPort;
  readonly #services: RelayServices;
  readonly #circuits: Circuits;
  readonly #controls: ControlSessions;
  readonly #draining = new AbortController();
  /** Connections that are open, and what ends when each is done with. */
  readonly #open = new Map<Connection, Promise<void>>();
  readonly #datagrams: Promise<void>;
  #turnedAway = 0;

  /** Begins to serve. */
  constructor(options: RelayServerOptions) {
    this.#context = buildContext(options, this.#draining.signal);
    this.#clock = options.host.clock;
    this.#port = options.port;
    this.#services = options.services;
    this.#circuits = new Circuits(this.#context);
    this.#controls = new ControlSessions(this.#context, this.#circuits);
    this.#port.accept((connection) => this.#take(connection));
    this.#datagrams = this.#services.datagrams(this.#port.datagrams, this.#context);
  }

  /** Connections that are open now, those that are being turned away included. */
  get connections(): number {
    return this.#open.size;
  }

  /**
   * Sends the control sessions away, and newcomers too, who are told why; resolves when the last
   * circuit is over, or `drainMs` are, and all is closed.
   */
  async drain(): Promise<void> {
    this.#draining.abort();
    await this.#within(this.#context.limits.drainMs, this.#circuits.over());
    await this.#within(FAREWELL_MS, Promise.all(this.#open.values()));
    await this.close();
  }

  /** Closes everything at once. Idempotent. */
  async close(): Promise<void> {
    this.#port.close();
    for (const connection of this.#open.keys()) connection.close();
    this.#circuits.close();
    await Promise.all([...this.#open.values(), this.#datagrams]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Resolves with the promise, or when the time is over. */
  async #within(ms: number, promise: Promise<unknown>): Promise<void> {
    const settled = new AbortController();
    const late = sleep(this.#clock, ms, settled.signal).catch(() => {});
    await Promise.race([promise, late]);
    settled.abort();
  }

  #take(connection: Connection): void {
    const source = sourceOf(endpointOf(connection.remote).ip);
    const permit = this.#context.admission.connect(source, this.#clock.now());
    const task = typeof permit === "string"
      ? this.#turnAway(connection, permit).finally(() => this.#open.delete(connection))
      : this.#serve(connection, permit);
    this.#open.set(connection, task);
  }

  /** A newcomer for whom there is no room: those that are served lose nothing by it. */
  async #turnAway(connection: Connection, reason: Refusal): Promise<void> {
    this.#context.refusals.note(reason);
    if (this.#turnedAway >= MAX_TURNED_AWAY) return connection.close();
    this.#turnedAway++;
    const answered = reason === "Full" && await this.#answerInBrief(connection);
    if (!answered) await farewell(connection, this.#clock, errorPreface(REFUSAL_TEXTS[reason]));
    this.#turnedAway--;
  }

  /**
   * Answers a newcomer who speaks HTTP: whoever watches over a relay must hear from it above all
   * when it is full.
   * @returns whether it does
   */
  async #answerInBrief(connection: Connection): Promise<boolean> {
    const arrival = new Arrival(connection, this.#clock);
    const cancel = this.#clock.after(FAREWELL_MS, () => connection.close());
    try {
      if (await arrival.kind() !== "http") return false;
      await this.#services.http(connection, arrival.received, this.#context, { brief: true });
      return true;
    } catch {
      // It is gone, or has said nothing.
      return true;
    } finally {
      cancel();
      arrival.settle();
    }
  }

  /**
   * One connection from its first byte until it is closed. Here and below promises are handed on
   * rather than awaited: a function that waits costs memory, and thousands of clients stay for long.
   */
  #serve(connection: Connection, permit: Permit): Promise<void> {
    const arrival = new Arrival(connection, this.#clock);
    const over = (error?: unknown) => {
      arrival.settle();
      connection.close();
      permit[Symbol.dispose]();
      this.#open.delete(connection);
      // Whatever it was, the others are served on.
      const known = error === undefined || error instanceof P2pError;
      if (!known) this.#context.log.warn(`Connection failed: ${error}`);
    };
    return this.#dispatch(arrival).then(() => over(), over);
  }

  /** @throws {P2pError} if it broke off, or said what is nothing */
  async #dispatch(arrival: Arrival): Promise<void> {
    const { connection, received } = arrival;
    const kind = await arrival.kind();
    if (kind === "p2p") return this.#welcome(arrival, parsePreface(await arrival.line()));
    arrival.settle();
    if (kind === "http") return this.#services.http(connection, received, this.#context);
    return farewell(connection, this.#clock, encodeText(`${ADVICE}\n`));
  }

  #welcome(arrival: Arrival, preface: Preface): Promise<void> {
    const { connection, received } = arrival;
    if (this.#draining.signal.aborted) return this.#dismiss(arrival, REFUSAL_TEXTS.Draining);
    if (preface.word === "relay") {
      return this.#controls.serve(connection, received, () => arrival.settle());
    }
    if (preface.word !== "circuit") {
      return this.#dismiss(arrival, WRONG_WORDS[preface.word] ?? UNKNOWN_WORD);
    }
    arrival.settle();
    received.takeLine(MAX_PREFACE_BYTES);
    const end = { connection, received: received.takeAll().slice() };
    return this.#circuits.enter(end, preface.token);
  }

  #dismiss(arrival: Arrival, why: string): Promise<void> {
    arrival.settle();
    return farewell(arrival.connection, this.#clock, errorPreface(why));
  }
}

function buildContext({ host, limits }: RelayServerOptions, draining: AbortSignal): RelayContext {
  const { clock, descriptorLimit, identity, log } = host;
  const counters = newCounters();
  return {
    identity,
    clock,
    log,
    limits,
    draining,
    counters,
    password: new Password(host.password),
    names: new Names({ limits, registrations: counters.registrations }),
    admission: new Admission({ limits, descriptorLimit, counters }),
    refusals: new RefusalLog({ clock, counters, log }),
  };
}

/** A connection of which is not yet known what it wants, and the time that it has to say it. */
class Arrival {
  readonly received = new ReceiveBuffer(FIRST_READ_BYTES);
  #cancel: (() => void) | undefined;
  #silent = true;

  constructor(readonly connection: Connection, clock: Clock) {
    this.#cancel = clock.after(HANDSHAKE_TIMEOUT_MS, () => {
      // Who says nothing may be a person who waits for us to begin.
      const told = this.#silent ? connection.write(encodeText(`${ADVICE}\n`)) : Promise.resolve();
      told.catch(() => {}).then(() => connection.close());
    });
  }

  /** It has said what it wants: it has time from here on. */
  settle(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  kind() {
    return this.#read(() => classifyFirstBytes(this.received.peek()));
  }

  /** Its first line, which is left where it is. */
  line(): Promise<Uint8Array> {
    return this.#read(() => this.received.peekLine(MAX_PREFACE_BYTES));
  }

  async #read<T>(attempt: () => T | undefined): Promise<T> {
    for (;;) {
      const found = attempt();
      if (found !== undefined) return found;
      const bytes = await this.connection.read(this.received.space());
      if (bytes === null) throw new UnreachableError("it closed before it had said what it wants");
      this.#silent = false;
      this.received.filled(bytes.length);
    }
  }
}
