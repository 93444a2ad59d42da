/** A control session with a relay, spoken by hand: says what it is told to, right or wrong. */
import { parseAddress } from "../../protocol/address.ts";
import { dialTcp } from "../../peer/carrier/tcp.ts";
import { systemClock } from "../../peer/clock.ts";
import { encodeText } from "../../protocol/bytes.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Connection } from "../../protocol/connection.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { MAX_RENDEZVOUS_BYTES } from "../../protocol/limits.ts";
import { generateKeyPair, type KeyPair } from "../../protocol/noise.ts";
import { RELAY_PREFACE } from "../../protocol/preface.ts";
import {
  decodeRendezvous,
  encodeRendezvous,
  type PeerInfo,
  type PunchInfo,
  type RendezvousMessage,
} from "../../protocol/rendezvous.ts";
import { type SecureConnection, secureInitiator } from "../../protocol/secure.ts";

const NEWLINE = encodeText("\n");

/** What is told with a name. */
export type Told = PunchInfo & { candidates?: string[] };

export interface ControlClientOptions {
  identity?: KeyPair;
  /** What is said first. Default: a Hello. */
  hello?: RendezvousMessage | null;
  clock?: Clock;
}

export class ControlClient implements Disposable {
  readonly #secure: SecureConnection;
  readonly #received = new ReceiveBuffer(512);

  private constructor(secure: SecureConnection) {
    this.#secure = secure;
  }

  /** Connects, and says Hello. The Welcome is left to be received. */
  static async connect(
    relay: string,
    options: ControlClientOptions = {},
  ): Promise<ControlClient> {
    const tcp = await dialTcp(parseAddress(relay), new AbortController().signal);
    return await ControlClient.over(tcp, options);
  }

  /** The same over a connection that is there. */
  static async over(
    connection: Connection,
    options: ControlClientOptions = {},
  ): Promise<ControlClient> {
    const { identity = generateKeyPair(), hello = { type: "Hello" }, clock = systemClock } =
      options;
    const secure = await secureInitiator(connection, { identity, preface: RELAY_PREFACE, clock });
    const client = new ControlClient(secure);
    if (hello) await client.send(hello);
    return client;
  }

  /** Connects and registers. */
  static async registered(
    relay: string,
    username: string,
    { told, ...options }: ControlClientOptions & { told?: Told } = {},
  ): Promise<ControlClient> {
    const client = await ControlClient.connect(relay, options);
    await client.register(username, told);
    return client;
  }

  /** Takes the Welcome, and registers. */
  async register(username: string, told: Told = {}): Promise<void> {
    await this.send({ type: "Register", username, ...told });
    await this.until("Welcome");
    await this.until("RegisterAck");
  }

  /** The relay's key. */
  get relayKey(): Uint8Array {
    return this.#secure.remoteKey;
  }

  async send(message: RendezvousMessage): Promise<void> {
    await this.#secure.write(encodeRendezvous(message), NEWLINE);
  }

  /** Sends bytes as they are, within records. */
  async sendRaw(bytes: Uint8Array): Promise<void> {
    await this.#secure.write(bytes);
  }

  /** Asks for somebody; resolves to the answer. */
  async ask(targetUsername: string): Promise<RendezvousMessage> {
    await this.send({ type: "Connect", targetUsername });
    return (await this.receive())!;
  }

  /** The next message, or null when the relay has closed. */
  async receive(): Promise<RendezvousMessage | null> {
    for (;;) {
      const line = this.#received.takeLine(MAX_RENDEZVOUS_BYTES);
      if (line) return decodeRendezvous(line)!;
      const bytes = await this.#secure.read();
      if (bytes === null) return null;
      this.#received.push(bytes);
    }
  }

  /**
   * The next message, which must be of this type.
   * @throws {Error} if it is another, or the relay has closed
   */
  async until<T extends RendezvousMessage["type"]>(
    type: T,
  ): Promise<Extract<RendezvousMessage, { type: T }>> {
    const message = await this.receive();
    if (message?.type === type) return message as Extract<RendezvousMessage, { type: T }>;
    throw new Error(`Expected ${type}: ${JSON.stringify(message)}`);
  }

  close(): void {
    this.#secure.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The token of an introduction. */
export function tokenOf(message: PeerInfo): Uint8Array {
  if (!message.circuit) throw new Error("The introduction has no circuit");
  return message.circuit;
}
