/** Asks a STUN server where it sees a socket (RFC 8489), as often as UDP needs. */
import { randomBytes } from "node:crypto";
import type { Address } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import { ProtocolError } from "../protocol/errors.ts";
import {
  decodeStunAnswer,
  encodeStunRequest,
  STUN_TRANSACTION_BYTES,
  type StunAnswer,
} from "../protocol/stun.ts";
import { Repeating } from "./repeating.ts";

/**
 * Milliseconds after which a request is sent again, and at last given up: 1.5 s in all. Shorter than
 * RFC 8489 has it (6.2.1), for people wait, and one lost datagram must not look like a firewall.
 */
const PATIENCE_MS = [100, 200, 400, 800];

/** A socket as far as asking needs it. */
export interface StunSocket {
  send(bytes: Uint8Array, to: Address): void;
}

interface Question {
  /** Random: only who has seen the request can answer it. */
  readonly transaction: Uint8Array;
  readonly answered: PromiseWithResolvers<StunAnswer | undefined>;
}

/** The questions that are open on one socket. */
export class StunClient {
  readonly #socket: StunSocket;
  readonly #clock: Clock;
  readonly #open = new Set<Question>();
  #closed = false;

  constructor(socket: StunSocket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
  }

  /**
   * Where the server sees the socket; undefined if it does not answer in 1.5 s.
   * @param options `changePort` asks it to answer from its other port (RFC 5780)
   */
  async ask(
    server: Address,
    options: { changePort?: boolean } = {},
  ): Promise<StunAnswer | undefined> {
    if (this.#closed) return undefined;
    const transaction = new Uint8Array(randomBytes(STUN_TRANSACTION_BYTES));
    const answered = Promise.withResolvers<StunAnswer | undefined>();
    const question = { transaction, answered };
    this.#open.add(question);
    const request = encodeStunRequest(transaction, options);
    const asking = new Repeating(this.#clock, {
      waits: PATIENCE_MS,
      act: () => this.#socket.send(request, server),
      inVain: () => answered.resolve(undefined),
    });
    asking.start();
    try {
      return await answered.promise;
    } finally {
      asking.stop();
      this.#open.delete(question);
    }
  }

  /** Takes a datagram; false if it answers nothing that was asked. */
  receive(bytes: Uint8Array): boolean {
    for (const { transaction, answered } of this.#open) {
      try {
        const answer = decodeStunAnswer(bytes, transaction);
        if (answer) answered.resolve(answer);
        if (answer) return true;
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        // An error, or no address in it: the question stays open, and is asked again.
        return true;
      }
    }
    return false;
  }

  /** Ends what is open without an answer. */
  close(): void {
    this.#closed = true;
    for (const { answered } of this.#open) answered.resolve(undefined);
  }
}
