/** Two sessions joined in memory on a test's clock, and a peer that sends whatever a test wants. */
import { joinBytes } from "../../protocol/bytes.ts";
import type { ByteStream, Connection } from "../../protocol/connection.ts";
import {
  decodeHello,
  encodeFrame,
  encodeHello,
  FrameType,
  type Hello,
  isNumbered,
  type SessionFrame,
  SessionFrameDecoder,
} from "../../protocol/session_frame.ts";
import { Session, type SessionOptions } from "../../peer/session.ts";
import { FakeClock, settled } from "./clock.ts";
import {
  connectionPair,
  type ConnectionPairOptions,
  type MemoryConnection,
} from "./connection_pair.ts";

export const SESSION_ID = new Uint8Array(16).fill(7);

export interface SessionPair {
  clock: FakeClock;
  initiator: Session;
  responder: Session;
  /** The present connection, as each side has it. */
  near: MemoryConnection;
  far: MemoryConnection;
  /** Joins both by a new connection, as a dialer and a listener do. */
  join(options?: ConnectionPairOptions): Promise<void>;
}

function newSession(options: Pick<SessionOptions, "role" | "name" | "clock">): Session {
  return new Session({ id: SESSION_ID, remoteKey: new Uint8Array(32), ...options });
}

/** Two sessions that are not joined yet. */
export function newSessions(clock = new FakeClock()): SessionPair {
  const initiator = newSession({ role: "initiator", name: "alice", clock });
  const responder = newSession({ role: "responder", name: "bob", clock });
  const pair: SessionPair = {
    clock,
    initiator,
    responder,
    near: undefined as never,
    far: undefined as never,
    async join(options = {}) {
      [pair.near, pair.far] = connectionPair(options);
      initiator.attach(pair.near);
      // As over a network: what this brings about arrives before the new connection is taken up.
      await settled();
      const decoder = new SessionFrameDecoder();
      const hello = await readFrame(pair.far, decoder);
      responder.attach(pair.far, decoder, decodeHello(hello.payload));
      await settled();
    },
  };
  return pair;
}

/** Two sessions that have greeted each other. */
export async function sessionPair(options: ConnectionPairOptions = {}): Promise<SessionPair> {
  const pair = newSessions(options.slow?.clock as FakeClock | undefined);
  await pair.join(options);
  return pair;
}

/** Ends both sides of a pair, and says if a timer was left behind. */
export async function endPair(pair: SessionPair): Promise<void> {
  const over = Promise.all([pair.initiator.end(), pair.responder.ended]);
  await pair.clock.until(over, 120_000, 100);
  if (pair.clock.pending > 0) throw new Error(`${pair.clock.pending} timers are left`);
}

async function readFrame(from: Connection, decoder: SessionFrameDecoder): Promise<SessionFrame> {
  for (;;) {
    const frame = decoder.next();
    if (frame) return frame;
    const bytes = await from.read();
    if (bytes === null) throw new Error("The connection ended");
    decoder.push(bytes);
  }
}

/** Everything that arrives on a stream until the other side finishes it. */
export async function readStream(stream: ByteStream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let part = await stream.read(); part; part = await stream.read()) parts.push(part);
  return joinBytes(parts);
}

/** The other end of a session's connection in the hands of a test. */
export class RawPeer {
  readonly clock: FakeClock;
  readonly session: Session;
  readonly connection: MemoryConnection;
  readonly #decoder = new SessionFrameDecoder();

  constructor(session: Session, connection: MemoryConnection, clock: FakeClock) {
    this.session = session;
    this.connection = connection;
    this.clock = clock;
  }

  /** A new session, joined to a peer that has greeted it. */
  static async greeted(
    role: "initiator" | "responder" = "responder",
    options: ConnectionPairOptions = {},
  ): Promise<RawPeer> {
    const clock = new FakeClock();
    const peer = RawPeer.attach(newSession({ role, name: "victim", clock }), clock, options);
    await peer.hello();
    await settled();
    return peer;
  }

  /** A session whose peer has said nothing yet. */
  static silent(role: "initiator" | "responder" = "responder"): RawPeer {
    const clock = new FakeClock();
    return RawPeer.attach(newSession({ role, name: "victim", clock }), clock);
  }

  /** Joins an existing session to a new raw peer. */
  static attach(session: Session, clock: FakeClock, options: ConnectionPairOptions = {}): RawPeer {
    const [near, far] = connectionPair(options);
    session.attach(near);
    return new RawPeer(session, far, clock);
  }

  async hello(changes: Partial<Hello> = {}): Promise<void> {
    const hello = {
      sessionId: SESSION_ID,
      received: 0,
      resumes: false,
      name: "mallory",
      ...changes,
    };
    await this.send(FrameType.hello, 0, encodeHello(hello));
  }

  async send(type: number, stream = 0, payload: Uint8Array = new Uint8Array(0)): Promise<void> {
    await this.connection.write(encodeFrame({ type: type as FrameType, stream, payload }));
  }

  /** The next frame that the session sends. */
  next(): Promise<SessionFrame> {
    return readFrame(this.connection, this.#decoder);
  }

  /** The next frame of this type; drops others. */
  async nextOf(type: number): Promise<SessionFrame> {
    for (;;) {
      const frame = await this.next();
      if (frame.type === type) return frame;
    }
  }

  /** The next numbered frame. */
  async nextNumbered(): Promise<SessionFrame> {
    for (;;) {
      const frame = await this.next();
      if (isNumbered(frame.type)) return frame;
    }
  }

  /** Reads and drops whatever comes, until the session closes. */
  async drain(): Promise<void> {
    try {
      while (await this.connection.read() !== null);
    } catch {
      // Closed: that is what was waited for.
    }
  }
}
