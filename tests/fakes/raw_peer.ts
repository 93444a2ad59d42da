/** A peer that proves an identity as it must, and then says what the test wants it to say. */
import { dialTcp } from "../../peer/carrier/tcp.ts";
import { parseAddress } from "../../protocol/address.ts";
import { systemClock } from "../../peer/clock.ts";
import { type SecureConnection, secureInitiator } from "../../protocol/secure.ts";
import { Session } from "../../peer/session.ts";
import { generateKeyPair, type KeyPair } from "../../protocol/noise.ts";
import type { ByteStream } from "../../protocol/connection.ts";
import { encodeFrame, encodeHello, FrameType } from "../../protocol/session_frame.ts";

export class RawPeer implements AsyncDisposable {
  readonly id: Uint8Array = crypto.getRandomValues(new Uint8Array(16));
  readonly #name: string;
  #session: Session | undefined;

  private constructor(readonly connection: SecureConnection, name: string) {
    this.#name = name;
  }

  /** Dials, and runs the handshake; nothing else is said yet. */
  static async dial(
    address: string,
    name = "mallory",
    identity: KeyPair = generateKeyPair(),
  ): Promise<RawPeer> {
    const tcp = await dialTcp(parseAddress(address), new AbortController().signal);
    return new RawPeer(await secureInitiator(tcp, { identity, clock: systemClock }), name);
  }

  /** Greets as it must, and from then on sends frames as the test makes them. */
  async greet(): Promise<void> {
    const hello = { sessionId: this.id, received: 0, resumes: false, name: this.#name };
    await this.frame(FrameType.hello, 0, encodeHello(hello));
  }

  async frame(type: number, stream: number, payload: Uint8Array): Promise<void> {
    await this.connection.write(encodeFrame({ type: type as FrameType, stream, payload }));
  }

  /** A stream of a session that keeps to the rules. */
  open(kind: string): ByteStream {
    return this.session.open(kind, "urgent");
  }

  /** A session over the connection that keeps to the rules. */
  get session(): Session {
    if (this.#session) return this.#session;
    const { id, connection } = this;
    const { remoteKey } = connection;
    this.#session = new Session({ role: "initiator", id, name: this.#name, remoteKey });
    this.#session.attach(connection);
    return this.#session;
  }

  /** Reads until the other side has ended the connection. */
  async ended(): Promise<void> {
    try {
      while (await this.connection.read());
    } catch {
      // Broken off is an end, too.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.end(1);
    this.connection.close();
  }
}
