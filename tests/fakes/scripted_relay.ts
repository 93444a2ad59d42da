/** A relay in memory that says what a test tells it to, right or wrong. */
import { AsyncQueue } from "../../peer/async_queue.ts";
import type { Relay } from "../../peer/relay_address.ts";
import type { Address } from "../../protocol/address.ts";
import { encodeText } from "../../protocol/bytes.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Connection } from "../../protocol/connection.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { MAX_RENDEZVOUS_BYTES } from "../../protocol/limits.ts";
import { generateKeyPair, type KeyPair } from "../../protocol/noise.ts";
import { RELAY_PREFACE } from "../../protocol/preface.ts";
import {
  decodeRendezvous,
  encodeRendezvous,
  type RendezvousMessage,
} from "../../protocol/rendezvous.ts";
import { type SecureConnection, secureResponder } from "../../protocol/secure.ts";
import { connectionPair, type MemoryConnection } from "./connection_pair.ts";

type MessageOf<T> = Extract<RendezvousMessage, { type: T }>;

export class ScriptedRelay {
  identity: KeyPair = generateKeyPair();
  readonly relay: Relay = { address: { host: "relay.test", port: 8080 } };
  /** Whether nobody listens there at present. */
  down = false;
  /** How often it was dialled. */
  dialled = 0;
  readonly #clock: Clock;
  /** The relay's ends of the connections, as they come. */
  readonly #accepted = new AsyncQueue<MemoryConnection>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Connects to it, for whoever takes a Dial. */
  readonly dial = (_address: Address, signal: AbortSignal): Promise<Connection> => {
    this.dialled++;
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.down) return Promise.reject(new UnreachableError("Could not reach the relay: down"));
    const [near, far] = connectionPair();
    this.#accepted.push(far);
    return Promise.resolve(near);
  };

  /** The relay's end of the next connection, nothing of it read yet. */
  async accept(): Promise<MemoryConnection> {
    return (await this.#accepted.next())!;
  }

  /** The next connection as a control session, its handshake complete. */
  async session(): Promise<RelaySide> {
    const connection = await this.accept();
    const secure = await secureResponder(connection, new ReceiveBuffer(64), {
      identity: this.identity,
      preface: RELAY_PREFACE,
      clock: this.#clock,
    });
    return new RelaySide(secure, connection);
  }

  /** The next control session, when it has said Hello and heard Welcome. */
  async welcomed(address = "203.0.113.7:40312"): Promise<RelaySide> {
    const side = await this.session();
    await side.until("Hello");
    await side.send({ type: "Welcome", address });
    return side;
  }

  /** The next control session, when it has registered. */
  async registered(): Promise<RelaySide & { registered: MessageOf<"Register"> }> {
    const side = await this.welcomed();
    const registered = await side.until("Register");
    await side.send({ type: "RegisterAck" });
    return Object.assign(side, { registered });
  }
}

/** The relay's side of one control session. */
export class RelaySide {
  readonly #received = new ReceiveBuffer(512);

  constructor(readonly secure: SecureConnection, readonly connection: MemoryConnection) {}

  async send(message: RendezvousMessage): Promise<void> {
    await this.secure.write(encodeRendezvous(message), encodeText("\n"));
  }

  /** The next message, or null when the client has closed. */
  async receive(): Promise<RendezvousMessage | null> {
    for (;;) {
      const line = this.#received.takeLine(MAX_RENDEZVOUS_BYTES);
      if (line) return decodeRendezvous(line)!;
      const bytes = await this.secure.read();
      if (bytes === null) return null;
      this.#received.push(bytes);
    }
  }

  /**
   * The next message, which must be of this type.
   * @throws {Error} if it is another
   */
  async until<T extends RendezvousMessage["type"]>(type: T): Promise<MessageOf<T>> {
    const message = await this.receive();
    if (message?.type === type) return message as MessageOf<T>;
    throw new Error(`Expected ${type}: ${JSON.stringify(message)}`);
  }
}
