import type { Address } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import { ProtocolError } from "../protocol/errors.ts";
import { decodeStunAnswer, encodeStunRequest, STUN_TRANSACTION_BYTES } from "../protocol/stun.ts";
import { UdpSocket } from "./carrier/udp.ts";
import { Repeating } from "./repeating.ts";

/** Milliseconds between a request and its repetitions; after the last nobody answers any more. */
const WAITS = [250, 500, 750];

/** What a server has answered, and how many milliseconds after it was last asked. */
export interface StunReply {
  /** Where the server saw us. */
  readonly seen: Address;
  /** Where else it answers. */
  readonly other: Address | undefined;
  readonly roundTripMs: number;
}

interface Question {
  readonly transaction: Uint8Array;
  readonly to: Address;
  sentAt: number;
  readonly reply: PromiseWithResolvers<StunReply | undefined>;
}

/** A UDP socket that asks STUN servers where it is seen. */
export class StunSocket implements Disposable {
  readonly #clock: Clock;
  readonly #socket: UdpSocket;
  readonly #questions = new Set<Question>();

  /** @param hostname "0.0.0.0" or "::", as the servers' addresses are IPv4 or IPv6 */
  constructor(clock: Clock, hostname: string) {
    this.#clock = clock;
    this.#socket = new UdpSocket(hostname, 0);
    this.#receive();
  }

  /** Its own port. */
  get port(): number {
    return this.#socket.address.port;
  }

  /**
   * Asks a server; undefined if it does not answer within 1.5 s.
   * @param changePort whether the answer is to come from the server's other port
   */
  async ask(to: Address, changePort = false): Promise<StunReply | undefined> {
    const transaction = crypto.getRandomValues(new Uint8Array(STUN_TRANSACTION_BYTES));
    const reply = Promise.withResolvers<StunReply | undefined>();
    const question: Question = { transaction, to, sentAt: 0, reply };
    this.#questions.add(question);
    const repeating = new Repeating(this.#clock, {
      waits: WAITS,
      act: () => {
        question.sentAt = this.#clock.now();
        this.#socket.send(encodeStunRequest(transaction, { changePort }), to);
      },
      inVain: () => reply.resolve(undefined),
    });
    repeating.start();
    try {
      return await reply.promise;
    } finally {
      repeating.stop();
      this.#questions.delete(question);
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
    for (const { reply } of this.#questions) reply.resolve(undefined);
  }

  async #receive(): Promise<void> {
    for (let next = await this.#socket.receive(); next; next = await this.#socket.receive()) {
      for (const question of this.#questions) this.#hear(question, next.bytes, next.from);
    }
  }

  #hear({ transaction, to, sentAt, reply }: Question, bytes: Uint8Array, from: Address): void {
    if (from.host !== to.host) return;
    try {
      const answer = decodeStunAnswer(bytes, transaction);
      if (!answer) return;
      const roundTripMs = this.#clock.now() - sentAt;
      reply.resolve({ seen: answer.mapped, other: otherPort(answer.other, to), roundTripMs });
    } catch (error) {
      // What is malformed, or an error, is no answer.
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
}

/** A server that does not know its own IP address tells the port alone. */
function otherPort(other: Address | undefined, server: Address): Address | undefined {
  if (!other) return undefined;
  return /^(0\.0\.0\.0|::)$/.test(other.host) ? { ...server, port: other.port } : other;
}
