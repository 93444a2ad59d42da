import type { Address } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import { UdpSocket } from "./carrier/udp.ts";
import { StunClient } from "./stun_client.ts";

/** What a server has answered. */
export interface StunReply {
  /** Where the server saw us. */
  readonly seen: Address;
  /** The same server's other port, if it has one. */
  readonly other: Address | undefined;
  /** Milliseconds since it was first asked. */
  readonly roundTripMs: number;
}

/** A UDP socket that does nothing but ask STUN servers where it is seen. */
export class StunSocket implements Disposable {
  readonly #clock: Clock;
  readonly #socket: UdpSocket;
  readonly #client: StunClient;

  /** @param hostname "0.0.0.0", or "::" for both families */
  constructor(clock: Clock, hostname: string) {
    this.#clock = clock;
    this.#socket = new UdpSocket(hostname, 0);
    this.#client = new StunClient(this.#socket, clock);
    this.#receive();
  }

  /** What it is bound to. */
  get local(): Address {
    return this.#socket.address;
  }

  /**
   * Asks a server; undefined if it does not answer within 1.5 s.
   * @param changePort whether the answer is to come from the server's other port
   */
  async ask(server: Address, changePort = false): Promise<StunReply | undefined> {
    const asked = this.#clock.now();
    const answer = await this.#client.ask(server, { changePort });
    if (!answer) return undefined;
    const { mapped: seen, other } = answer;
    return {
      seen,
      // A server may not know under which IP address it is reached.
      other: other && { host: server.host, port: other.port },
      roundTripMs: this.#clock.now() - asked,
    };
  }

  [Symbol.dispose](): void {
    this.#client.close();
    this.#socket.close();
  }

  async #receive(): Promise<void> {
    for (let next = await this.#socket.receive(); next; next = await this.#socket.receive()) {
      this.#client.receive(next.bytes);
    }
  }
}
