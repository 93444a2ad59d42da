/**
 * Connections over QUIC on a UDP port through which a hole has been punched
 * (protocol/README.md, section 12).
 */
import { equalBytes } from "../../protocol/bytes.ts";
import type { Connection } from "../../protocol/connection.ts";
import { ipToBytes } from "../../protocol/ip_address.ts";
import { abortable } from "../abortable.ts";
import { Deadline } from "../deadline.ts";
import { QuicConnection } from "./quic_connection.ts";
import { QuicOpening } from "./quic_opening.ts";
import { MAX_ATTEMPTS, QuicPort, type QuicPortOptions } from "./quic_port.ts";
import { QuicStream } from "./quic_stream.ts";
import { PUNCHED, undialled } from "./tcp.ts";

/** Milliseconds between two attempts of one dial at the least. */
const MIN_BETWEEN_MS = 100;
/** A handshake takes longer than so many round trips only if a packet was lost. */
const ROUND_TRIPS = 3;
/** Milliseconds of a round trip where none has been measured. */
const USUAL_ROUND_TRIP_MS = 100;
/** Milliseconds in which the two sides must have found each other: one of them may be gone. */
const CONNECT_WITHIN_MS = 5_000;

/**
 * The asker's side: listens on the local port until somebody at the remote IP address dials. What
 * is then written is the first that the other side hears; it answers.
 * @throws {UnreachableError} if the port is taken, or nobody dials in 5 s, or before the signal aborts
 */
export async function acceptQuic(options: QuicPortOptions): Promise<Connection> {
  const port = await QuicPort.open(options);
  const first = Promise.withResolvers<Connection>();
  port.track(acceptEach(port, first.resolve).catch(first.reject));
  return await inTime(first.promise, port, options.signal);
}

/** Takes the attempts of the other side, until the port closes or one of them is the one. */
async function acceptEach(port: QuicPort, came: (connection: Connection) => void): Promise<void> {
  const listener = port.listen();
  const opening = new QuicOpening(port);
  const stop = () => listener.stop();
  opening.settled.then(stop, stop);
  for (;;) {
    const conn = begin(await listener.incoming());
    if (conn && sameHost(conn.remoteAddr.hostname, port.remote.host)) {
      opening.add(conn);
      came(opening);
    } else {
      conn?.close();
    }
  }
}

/**
 * Takes what comes, whoever it is from: an address can be seen only then. Undefined for what is no
 * attempt of ours, such as one of another protocol.
 */
function begin(incoming: Deno.QuicIncoming): Deno.QuicConn | undefined {
  try {
    return incoming.accept({ zeroRtt: true });
  } catch {
    return undefined;
  }
}

function sameHost(one: string, other: string): boolean {
  const bytes = ipToBytes(one);
  const otherBytes = ipToBytes(other);
  return bytes !== undefined && otherBytes !== undefined && equalBytes(bytes, otherBytes);
}

/**
 * The target's side: dials from the local port. Resolves when the other side has said something.
 * @throws {UnreachableError} if the port is taken, or nobody answers in 5 s, or before the signal aborts
 */
export async function dialQuic(options: QuicPortOptions): Promise<Connection> {
  const { signal, roundTripMs = USUAL_ROUND_TRIP_MS } = options;
  const port = await QuicPort.open(options);
  const dialling = new Dialling(port, Math.max(MIN_BETWEEN_MS, ROUND_TRIPS * roundTripMs));
  return await inTime(dialling.first, port, signal).finally(() => {
    dialling.stop();
  });
}

/**
 * Attempts beside each other: a first packet that is lost would be sent again only after a second,
 * for the runtime knows nothing of the round trip yet.
 */
class Dialling {
  readonly #port: QuicPort;
  readonly #betweenMs: number;
  readonly #first = Promise.withResolvers<Connection>();
  /** Attempts that have connected, and may not be heard. */
  readonly #open = new Set<Deno.QuicConn>();
  #begun = 0;
  #failed = 0;
  #over = false;
  #cancelNext = () => {};

  constructor(port: QuicPort, betweenMs: number) {
    this.#port = port;
    this.#betweenMs = betweenMs;
    this.#begin();
  }

  /** The attempt on which something is heard first. */
  get first(): Promise<Connection> {
    return this.#first.promise;
  }

  /** Ends all attempts; those that are still connecting end when they have. */
  stop(): void {
    this.#over = true;
    this.#cancelNext();
    for (const conn of this.#open) conn.close();
  }

  #begin(): void {
    this.#port.track(this.#attempt());
    if (++this.#begun === MAX_ATTEMPTS) return;
    this.#cancelNext = this.#port.clock.after(this.#betweenMs, () => this.#begin());
  }

  async #attempt(): Promise<void> {
    try {
      const conn = await this.#port.connect();
      this.#open.add(conn);
      this.#port.track(conn.closed);
      if (this.#over) return conn.close();
      const { value } = await conn.incomingBidirectionalStreams.getReader().read();
      if (this.#over || !value) return this.#lose(new Error("the other side broke off"));
      this.#open.delete(conn);
      this.stop();
      this.#first.resolve(new QuicConnection(new QuicStream(conn, value), this.#port));
    } catch (cause) {
      this.#lose(cause);
    }
  }

  #lose(cause: unknown): void {
    if (++this.#failed === MAX_ATTEMPTS) this.#first.reject(cause);
  }
}

/** What comes of a port in time; the port is closed if it is nothing. */
async function inTime(
  coming: Promise<Connection>,
  port: QuicPort,
  signal: AbortSignal,
): Promise<Connection> {
  const late = new DOMException("", "TimeoutError");
  using deadline = new Deadline(port.clock, signal, CONNECT_WITHIN_MS, late);
  const either = deadline.signal;
  try {
    return await abortable(coming, either);
  } catch (cause) {
    await port.close();
    throw undialled(port.remote, PUNCHED, either, cause);
  }
}

/**
 * Prepares what the first dial of a process would have to wait for: 20 ms, in which nothing else
 * runs. Nothing leaves this machine.
 */
export async function warmUpQuic(): Promise<void> {
  const remote = { host: "127.0.0.1", port: 9 };
  const { signal } = new AbortController();
  const port = await QuicPort.open({ port: 0, ipv6: false, remote, signal });
  port.track(port.connect());
  await port.close();
}
