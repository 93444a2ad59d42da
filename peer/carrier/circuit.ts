/**
 * A circuit as a Connection: one end of it, at a relay, which copies bytes between both ends
 * (protocol/README.md, section 11).
 */
import { type Address, formatAddress } from "../../protocol/address.ts";
import type { Connection, Path } from "../../protocol/connection.ts";
import { ProtocolError, UnreachableError } from "../../protocol/errors.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { MAX_PREFACE_BYTES } from "../../protocol/limits.ts";
import { circuitPreface, parsePreface } from "../../protocol/preface.ts";
import { dialTcp, RELAY } from "./tcp.ts";

export class CircuitConnection implements Connection {
  readonly carrier: string;
  readonly path: Path = "relayed";
  readonly remote: string;
  readonly #inner: Connection;
  /** Undefined once the relay has joined the two ends. */
  #answer: ReceiveBuffer | undefined = new ReceiveBuffer(MAX_PREFACE_BYTES);
  /** What came right behind the relay's answer and was not read yet. */
  #rest: Uint8Array = new Uint8Array(0);

  /** @param inner a connection to the relay on which the circuit's preface has been sent */
  constructor(inner: Connection, relay: Address) {
    this.#inner = inner;
    this.carrier = `circuit ${inner.carrier}`;
    this.remote = `relay ${formatAddress(relay)}`;
  }

  /**
   * Resolves when the relay has joined the two ends. Counts as a read; a read waits for it as well.
   * @throws {UnreachableError} if the relay does not join them, or the connection broke
   */
  async join(): Promise<void> {
    while (this.#answer) {
      const line = this.#answer.takeLine(MAX_PREFACE_BYTES);
      if (line) {
        this.#checkAnswer(line);
        this.#rest = this.#answer.takeAll().slice();
        this.#answer = undefined;
      } else {
        const read = await this.#inner.read(this.#answer.space());
        if (read === null) throw this.#unreachable("it closed the connection");
        this.#answer.filled(read.length);
      }
    }
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    await this.join();
    const rest = this.#rest;
    if (rest.length === 0) return await this.#inner.read(into);
    const count = Math.min(rest.length, into?.length ?? rest.length);
    this.#rest = rest.subarray(count);
    if (!into) return rest.slice();
    into.set(rest.subarray(0, count));
    return into.subarray(0, count);
  }

  write(...parts: Uint8Array[]): Promise<void> {
    return this.#inner.write(...parts);
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(): void {
    this.#rest = new Uint8Array(0);
    this.#inner.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#inner[Symbol.asyncDispose]();
  }

  #checkAnswer(line: Uint8Array): void {
    const preface = parsePreface(line);
    if (preface.word === "circuit") return;
    if (preface.word === "error") throw this.#unreachable(preface.text);
    throw new ProtocolError(`Circuit not opened: ${this.remote} answered with an unknown preface`, {
      hint: "Peers and relay need the same version of p2p.",
    });
  }

  #unreachable(why: string): UnreachableError {
    return new UnreachableError(`Circuit not opened: ${this.remote}: ${why}`, {
      hint: "Try again: the other side may just have lost the relay.",
    });
  }
}

export interface DialCircuitOptions {
  /** The relay, as people write it. */
  relay: Address;
  /** Where it is, if its name may stand for several machines: the other end goes to this one. */
  at?: Address | undefined;
  /** 16 bytes. */
  token: Uint8Array;
  signal: AbortSignal;
  /** How the relay is reached. Default: over TCP. */
  dial?: ((address: Address, signal: AbortSignal) => Promise<Connection>) | undefined;
}

/**
 * Opens one end of a circuit. Its other end may not be there yet: what is written waits for it.
 * @throws {UnreachableError} if the relay does not answer, or not before the signal aborts
 */
export async function dialCircuit(options: DialCircuitOptions): Promise<CircuitConnection> {
  const { relay, at = relay, token, signal, dial = dialRelay } = options;
  const connection = await dial(at, signal);
  try {
    await connection.write(circuitPreface(token));
    return new CircuitConnection(connection, relay);
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** A TCP connection to a relay. */
export function dialRelay(address: Address, signal: AbortSignal): Promise<Connection> {
  return dialTcp(address, signal, RELAY);
}
