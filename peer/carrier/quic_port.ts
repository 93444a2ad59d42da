/** A UDP port that was opened for something else, handed over to QUIC. */
import { type Clock, sleep } from "../../protocol/clock.ts";
import type { Address } from "../../protocol/address.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { systemClock } from "../clock.ts";
import { describeNetworkError } from "../network_error.ts";
import { CERTIFICATE, CERTIFICATE_KEY, CERTIFICATE_NAME } from "./quic_certificate.ts";

/** Milliseconds until a port must be free, and between two tries: its socket may yet be closing. */
const FREE_WITHIN_MS = 500;
const TRY_EVERY_MS = 5;

/** Attempts of one dial, which the other side holds until it is clear which one counts. */
export const MAX_ATTEMPTS = 4;
/** Milliseconds of silence after which a connection is lost. */
export const IDLE_MS = 10_000;

/** Milliseconds of a round trip up to which a path is taken for one that loses nothing. */
const NEAR_MS = 5;

/**
 * Both sides send something every 5 s, so that mappings last. Congestion control is BBR, which the
 * runtime calls "low-latency": where one packet in 20 is lost and a round trip takes 80 ms it
 * carries thirty times what the default does (3.3 against 0.1 MB/s). On a near path the default,
 * CUBIC, takes a seventh less of the processor.
 */
function transportOptions(near: boolean) {
  return {
    keepAliveInterval: 5_000,
    maxIdleTimeout: IDLE_MS,
    congestionControl: near ? "default" as const : "low-latency" as const,
    alpnProtocols: ["p2p/1"],
    maxConcurrentUnidirectionalStreams: 0,
  };
}

export interface QuicPortOptions {
  /** The local port, which the socket that had it has been told to close. */
  port: number;
  /** Whether that socket was an IPv6 one. */
  ipv6: boolean;
  remote: Address;
  /** How long a round trip takes, if that has been measured. */
  roundTripMs?: number | undefined;
  signal: AbortSignal;
  clock?: Clock;
}

/** A local UDP port for QUIC with one other address, and what goes on there. */
export class QuicPort {
  readonly remote: Address;
  readonly clock: Clock;
  readonly #endpoint: Deno.QuicEndpoint;
  readonly #near: boolean;
  readonly #tasks = new Set<Promise<void>>();

  private constructor(endpoint: Deno.QuicEndpoint, options: QuicPortOptions) {
    const { remote, roundTripMs = Infinity, clock = systemClock } = options;
    this.#endpoint = endpoint;
    this.#near = roundTripMs <= NEAR_MS;
    this.remote = remote;
    this.clock = clock;
  }

  /**
   * Takes the port, on all of this machine's addresses.
   * @throws {UnreachableError} if somebody has it, and does not let go of it
   * @throws the signal's reason, if it aborts first
   */
  static async open(options: QuicPortOptions): Promise<QuicPort> {
    const { port, ipv6, signal, clock = systemClock } = options;
    const hostname = ipv6 ? "::" : "0.0.0.0";
    for (const until = clock.now() + FREE_WITHIN_MS;;) {
      signal.throwIfAborted();
      try {
        return new QuicPort(new Deno.QuicEndpoint({ hostname, port }), options);
      } catch (cause) {
        const wait = cause instanceof Deno.errors.AddrInUse && clock.now() < until;
        if (!wait) throw notUsable(port, cause);
      }
      await sleep(clock, TRY_EVERY_MS, signal);
    }
  }

  /** Takes connections. Who dials can open no streams. */
  listen(): Deno.QuicListener {
    return this.#endpoint.listen({
      ...transportOptions(this.#near),
      cert: CERTIFICATE,
      key: CERTIFICATE_KEY,
      maxConcurrentBidirectionalStreams: 0,
    });
  }

  /** Makes one attempt to connect. Who listens can open one stream. */
  async connect(): Promise<Deno.QuicConn> {
    return await Deno.connectQuic({
      ...transportOptions(this.#near),
      endpoint: this.#endpoint,
      hostname: this.remote.host,
      port: this.remote.port,
      serverName: CERTIFICATE_NAME,
      caCerts: [CERTIFICATE],
      maxConcurrentBidirectionalStreams: 1,
    });
  }

  /** Names what was begun here and ends with the port. What it throws is nobody's concern. */
  track(task: Promise<unknown>): void {
    const tracked = task.then(() => {}, () => {}).finally(() => this.#tasks.delete(tracked));
    this.#tasks.add(tracked);
  }

  /** Ends all connections; resolves when nothing goes on here any more. Idempotent. */
  async close(): Promise<void> {
    this.#endpoint.close();
    await Promise.all(this.#tasks);
  }
}

function notUsable(port: number, cause: unknown): UnreachableError {
  const why = cause instanceof Deno.errors.AddrInUse
    ? "another program has it"
    : describeNetworkError(cause);
  return new UnreachableError(`Could not use UDP port ${port}: ${why}`, { cause });
}
