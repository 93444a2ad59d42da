import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { dialTcp, type TcpConnection } from "../../peer/carrier/tcp.ts";
import { dialTls } from "../../peer/carrier/tls.ts";
import { sealsFast } from "../../peer/carrier/aes.ts";
import { ADVICE } from "../../peer/advice.ts";
import { Listener, type ListenerOptions } from "../../peer/listener.ts";
import { type SecureConnection, secureInitiator } from "../../protocol/secure.ts";
import { concatBytes, encodeText } from "../../protocol/bytes.ts";
import { FileError, IdentityError, P2pError, RefusedError } from "../../protocol/errors.ts";
import {
  HANDSHAKE_TIMEOUT_MS,
  MAX_HANDSHAKES,
  MAX_STALLED_TLS,
  MAX_TLS_CONNECTIONS,
} from "../../protocol/limits.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { TLS_PREFACE } from "../../protocol/preface.ts";
import { decodeTlsAnswer, encodeTlsRequest, type TlsAnswer } from "../../protocol/tls_opening.ts";
import {
  decodeGoodbye,
  decodeHello,
  encodeCount,
  encodeFrame,
  encodeGoodbye,
  encodeHello,
  FrameType,
  GoodbyeCode,
  type Hello,
  type SessionFrame,
  SessionFrameDecoder,
} from "../../protocol/session_frame.ts";
import { readAll } from "../conformance/connection.ts";
import { systemClock } from "../../peer/clock.ts";
import { FakeClock } from "../fakes/clock.ts";
import { connectionPair } from "../fakes/connection_pair.ts";

const bob = generateKeyPair();
const ID = new Uint8Array(16).fill(3);

/** A listener on loopback that takes note of whom it refused. */
class TestListener extends Listener {
  readonly refused: P2pError[];

  constructor(options: Partial<ListenerOptions> = {}, refused: P2pError[] = []) {
    super({
      host: "127.0.0.1",
      port: 0,
      identity: bob,
      name: () => "bob",
      admit: () => Promise.resolve(),
      tls: true,
      onRefused: (_remote, error) => refused.push(error),
      ...options,
    });
    this.refused = refused;
  }

  dial(): Promise<TcpConnection> {
    const address = { host: "127.0.0.1", port: this.port };
    return dialTcp(address, new AbortController().signal);
  }
}

/** The other side of a listener, in the hands of a test. */
class Caller {
  readonly #decoder = new SessionFrameDecoder();

  constructor(readonly connection: SecureConnection) {}

  static async dial(listener: TestListener, identity = generateKeyPair()): Promise<Caller> {
    return new Caller(
      await secureInitiator(await listener.dial(), { identity, clock: systemClock }),
    );
  }

  /** The same inside TLS. */
  static async dialTls(listener: TestListener, identity = generateKeyPair()): Promise<Caller> {
    const address = { host: "127.0.0.1", port: listener.port };
    const { signal } = new AbortController();
    const tls = await dialTls(address, { sessionId: ID, signal });
    return new Caller(await secureInitiator(tls, { identity, clock: systemClock }));
  }

  async hello(changes: Partial<Hello> = {}): Promise<void> {
    const hello = { sessionId: ID, received: 0, resumes: false, name: "mallory", ...changes };
    await this.send(FrameType.hello, 0, encodeHello(hello));
  }

  async send(type: FrameType, stream: number, payload: Uint8Array): Promise<void> {
    await this.connection.write(encodeFrame({ type, stream, payload }));
  }

  async next(): Promise<SessionFrame> {
    let frame: SessionFrame | undefined;
    while (!(frame = this.#decoder.next())) {
      const bytes = await this.connection.read();
      if (bytes === null) throw new Error("The listener closed");
      this.#decoder.push(bytes);
    }
    return frame;
  }

  async nextOf(type: FrameType): Promise<SessionFrame> {
    for (;;) {
      const frame = await this.next();
      if (frame.type === type) return frame;
    }
  }

  /** Takes the listener's GOODBYE, and closes as a peer does. */
  async goodbye(): Promise<{ code: number; text: string }> {
    const goodbye = decodeGoodbye((await this.nextOf(FrameType.goodbye)).payload);
    await this.connection.closeWrite();
    this.connection.close();
    return goodbye;
  }

  /** Ends the session properly. */
  async leave(): Promise<void> {
    await this.send(FrameType.goodbye, 0, encodeGoodbye({ code: 0, text: "" }));
    await this.goodbye();
  }
}

Deno.test("Listener makes a session of a peer that greets, and takes the initiator's name and key", async () => {
  await using listener = new TestListener();
  const alice = generateKeyPair();
  const caller = await Caller.dial(listener, alice);
  await caller.hello({ name: "alice" });
  const session = (await listener.sessions.next())!;
  assertEquals([session.remoteName, session.remoteKey, session.id], ["alice", alice.publicKey, ID]);
  const hello = decodeHello((await caller.next()).payload);
  assertEquals(hello, { sessionId: ID, received: 0, resumes: false, name: "bob" });
  await caller.leave();
  assertEquals((await session.ended).error, undefined);
});

Deno.test("Listener.close() ends the queue and what is in its handshake; sessions go on", async () => {
  const listener = new TestListener();
  const caller = await Caller.dial(listener);
  await caller.hello();
  const session = (await listener.sessions.next())!;
  const silent = await listener.dial();
  await silent.write(encodeText("p2p/1 "));
  const next = listener.sessions.next();
  // The silent one is in its handshake when a later one has been served.
  const later = await Caller.dial(listener);
  await later.hello({ sessionId: new Uint8Array(16) });
  const second = (await next)!;
  listener.close();
  listener.close();
  assertEquals(await listener.sessions.next(), undefined);
  await silent.read().catch(() => null);
  silent.close();
  await Promise.all([caller.leave(), later.leave()]);
  await Promise.all([session.ended, second.ended]);
});

Deno.test("Listener tells where it was after it has been closed: who still dials asks for that", async () => {
  await using listener = new TestListener();
  const { port, addresses } = listener;
  listener.close();
  assertEquals([listener.port, listener.addresses], [port, addresses]);
});

Deno.test("Listener.take() makes a session of a connection that came by another way, until it is closed", async () => {
  await using listener = new TestListener();
  const [near, far] = connectionPair();
  listener.take(far);
  const identity = generateKeyPair();
  const caller = new Caller(await secureInitiator(near, { identity, clock: systemClock }));
  await caller.hello();
  const session = (await listener.sessions.next())!;
  await caller.leave();
  await session.ended;
  listener.close();
  await listener.closed;
  const [, late] = connectionPair();
  listener.take(late);
  assert(late.closed);
});

Deno.test("Listener takes IPv4 and IPv6 where no address is named, and shows IPv4 as people write it", async () => {
  await using listener = new TestListener({ host: undefined });
  assert(listener.addresses.some((each) => each.host === "127.0.0.1"));
  assert(listener.addresses.every((each) => each.port === listener.port));
  const caller = await Caller.dial(listener);
  await caller.hello();
  const session = (await listener.sessions.next())!;
  assert(/^127\.0\.0\.1:\d+$/.test(session.remote), session.remote);
  assertEquals(session.path, "lan");
  await caller.leave();
  await session.ended;
});

Deno.test("Listener says that a port is taken, and what to do", () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const error = assertThrows(() => new TestListener({ port: taken.addr.port }), P2pError);
  assertEquals((error as P2pError).code, "failed");
  assertEquals(
    (error as Error).message,
    `Could not listen on port ${taken.addr.port}: another program has it`,
  );
  assert((error as P2pError).hint!.includes("--port"));
});

Deno.test("Listener says that an address is not this machine's", () => {
  const error = assertThrows(() => new TestListener({ host: "192.0.2.1" }), P2pError) as P2pError;
  assertEquals(error.code, "usage");
});

for (const text of ["hello?\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\0\0\0\0\0\0\0\0", "p2q\n"]) {
  Deno.test(`Listener tells whoever begins with ${JSON.stringify(text)} what to run instead`, async () => {
    await using listener = new TestListener();
    const stranger = await listener.dial();
    await stranger.write(encodeText(text));
    const answer = new TextDecoder().decode(await readAll(stranger));
    assertEquals(answer, `${ADVICE}\n`);
    stranger.close();
  });
}

Deno.test("Listener tells a stranger with much to say what to run instead, too", async () => {
  await using listener = new TestListener();
  const stranger = await listener.dial();
  await stranger.write(encodeText("GET /" + "x".repeat(1_000_000)));
  assert(new TextDecoder().decode(await readAll(stranger)).startsWith(ADVICE));
  stranger.close();
});

Deno.test("Listener answers another version with one line", async () => {
  await using listener = new TestListener();
  const stranger = await listener.dial();
  await stranger.write(encodeText("p2p/9 session\n"));
  const answer = new TextDecoder().decode(await readAll(stranger));
  assertEquals(
    answer,
    "p2p/1 error this side speaks version 1 only: both sides need the same version\n",
  );
  stranger.close();
});

Deno.test("Listener closes after 10 s of silence at any point of the handshake", async () => {
  const clock = new FakeClock();
  const refused: P2pError[] = [];
  await using listener = new TestListener({ clock }, refused);
  const silent = await listener.dial();
  const half = await listener.dial();
  await half.write(encodeText("p2p/1 sess"));
  // A peer that ran the whole handshake and does not greet.
  const mute = await Caller.dial(listener);
  // Who has said nothing at all may be a person: told what to run. The others are closed, no more.
  const told = readAll(silent);
  const closed = [half, mute.connection].map((each) => each.read().catch(() => null));
  await clock.advance(HANDSHAKE_TIMEOUT_MS - 1);
  assertEquals(refused.length, 0);
  await clock.advance(1);
  assertEquals(new TextDecoder().decode(await told), `${ADVICE}\n`);
  assertEquals(await Promise.all(closed), [null, null]);
  for (const each of [silent, half, mute.connection]) each.close();
  await clock.until(waitFor(() => refused.length === 3), 1_000);
  for (const error of refused) assert(error.message.includes("10 s"), error.message);
  assertEquals(clock.pending, 0);
});

/** Resolves when the condition holds, asked at every turn of the event loop. */
async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

Deno.test("Listener holds no more connections in their handshake than it may, and serves on when they have gone", async () => {
  const clock = new FakeClock();
  await using listener = new TestListener({ clock });
  const silent = [];
  for (let i = 0; i < 100; i++) silent.push(await listener.dial());
  const closed = silent.slice(MAX_HANDSHAKES).map((each) => each.read().catch(() => null));
  assertEquals(await Promise.all(closed), new Array(100 - MAX_HANDSHAKES).fill(null));
  const rest = silent.slice(0, MAX_HANDSHAKES).map((each) => each.read().catch(() => null));
  await clock.advance(HANDSHAKE_TIMEOUT_MS);
  await Promise.all(rest);
  for (const each of silent) each.close();
  const caller = await Caller.dial(listener);
  await caller.hello();
  const session = (await listener.sessions.next())!;
  const leaving = caller.leave();
  await clock.until(Promise.all([leaving, session.ended]), 5_000);
});

Deno.test("Listener refuses a peer that its owner does not admit, and says so", async () => {
  for (
    const [error, code, text] of [
      [new IdentityError("Peer refused: secret reasons"), GoodbyeCode.identityRefused, ""],
      [
        new RefusedError("Peer refused: no guests today"),
        GoodbyeCode.sentAway,
        "Peer refused: no guests today",
      ],
      [new FileError("Known peers not read: /home/me/known_peers"), GoodbyeCode.busy, ""],
    ] as const
  ) {
    const refused: P2pError[] = [];
    await using listener = new TestListener({ admit: () => Promise.reject(error) }, refused);
    const caller = await Caller.dial(listener);
    await caller.hello();
    assertEquals(decodeHello((await caller.next()).payload).name, "bob");
    assertEquals(await caller.goodbye(), { code, text });
    await waitFor(() => refused.length > 0);
    assertEquals(refused, [error]);
  }
});

Deno.test("Listener does not know sessions that it never had, or that belong to another key", async () => {
  await using listener = new TestListener();
  const stranger = await Caller.dial(listener);
  await stranger.hello({ resumes: true, received: 5 });
  assertEquals((await stranger.goodbye()).code, GoodbyeCode.unknownSession);

  const alice = generateKeyPair();
  const caller = await Caller.dial(listener, alice);
  await caller.hello({ name: "alice" });
  const session = (await listener.sessions.next())!;
  const thief = await Caller.dial(listener);
  await thief.hello({ name: "alice", resumes: true });
  assertEquals((await thief.goodbye()).code, GoodbyeCode.unknownSession);
  assertEquals(session.state, "connected");
  const twice = await Caller.dial(listener, alice);
  await twice.hello({ name: "alice" });
  assertEquals((await twice.goodbye()).code, GoodbyeCode.unknownSession);
  await caller.leave();
  await session.ended;
});

Deno.test("Listener gives a session its next connection while the old one still seems to be up", async () => {
  await using listener = new TestListener();
  const alice = generateKeyPair();
  const first = await Caller.dial(listener, alice);
  await first.hello();
  const session = (await listener.sessions.next())!;
  await first.send(FrameType.open, 1, encodeText("chat/1"));
  await first.send(FrameType.data, 1, encodeText("one"));
  const stream = (await session.accept())!;
  assertEquals(await stream.read(), encodeText("one"));
  const second = await Caller.dial(listener, alice);
  await second.hello({ resumes: true });
  const hello = decodeHello((await second.nextOf(FrameType.hello)).payload);
  assertEquals([hello.received, hello.resumes], [2, true]);
  // The old connection was closed; what it still says does not count.
  while (await first.connection.read().catch(() => null));
  first.connection.close();
  await second.send(FrameType.data, 1, encodeText("two"));
  assertEquals(await stream.read(), encodeText("two"));
  assertEquals(listener.refused, []);
  await second.leave();
  await session.ended;
});

Deno.test("Listener ends a session whose peer lies about what it has, and tells it so", async () => {
  await using listener = new TestListener();
  const alice = generateKeyPair();
  const first = await Caller.dial(listener, alice);
  await first.hello();
  const session = (await listener.sessions.next())!;
  first.connection.close();
  const second = await Caller.dial(listener, alice);
  await second.hello({ resumes: true, received: 1_000 });
  assertEquals((await second.goodbye()).code, GoodbyeCode.protocolError);
  assertEquals((await session.ended).error?.code, "protocol");
});

Deno.test("Listener tells whoever asks for a session that was one too many so, however late", async () => {
  await using listener = new TestListener();
  const alice = generateKeyPair();
  const first = await Caller.dial(listener, alice);
  await first.hello();
  const session = (await listener.sessions.next())!;
  first.connection.close();
  await session.end(GoodbyeCode.oneTooMany);
  const second = await Caller.dial(listener, alice);
  await second.hello({ resumes: true });
  assertEquals((await second.goodbye()).code, GoodbyeCode.oneTooMany);
});

Deno.test("Listener refuses whoever greets with something else, and goes on", async () => {
  const refused: P2pError[] = [];
  await using listener = new TestListener({}, refused);
  const nameless = encodeHello({ sessionId: ID, received: 0, resumes: false, name: "x" });
  nameless[nameless.length - 1] = 0x1b;
  for (
    const bytes of [
      encodeFrame({ type: FrameType.ping, stream: 0, payload: encodeCount(1) }),
      encodeFrame({ type: FrameType.hello, stream: 0, payload: nameless }),
      Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0),
      concatBytes(Uint8Array.of(0x10, 0, 0, 0, 0, 0, 3), new Uint8Array(3)),
    ]
  ) {
    const before = refused.length;
    const caller = await Caller.dial(listener);
    await caller.connection.write(bytes);
    await caller.connection.read().catch(() => null);
    caller.connection.close();
    await waitFor(() => refused.length > before);
  }
  assertEquals(refused.length, 4);
  for (const error of refused) assertInstanceOf(error, P2pError);
});

Deno.test("Listener survives random bytes, as text, preface, handshake and records", async () => {
  const refused: P2pError[] = [];
  await using listener = new TestListener({}, refused);
  for (let i = 0; i < 40; i++) {
    const garbage = crypto.getRandomValues(new Uint8Array(1 + i * 50));
    if (i % 4 === 3) {
      const raw = await listener.dial();
      const secure = await secureInitiator(raw, {
        identity: generateKeyPair(),
        clock: systemClock,
      });
      // Straight to the carrier: records that nobody sealed.
      await raw.write(garbage);
      await raw.closeWrite();
      await raw.read().catch(() => null);
      secure.close();
    } else {
      const stranger = await listener.dial();
      const start = i % 4 === 0 ? "" : i % 4 === 1 ? "p2p/1 session\n" : "p2p/1 ";
      await stranger.write(encodeText(start), garbage);
      await stranger.closeWrite();
      await stranger.read().catch(() => null);
      stranger.close();
    }
  }
  const caller = await Caller.dial(listener);
  await caller.hello();
  const session = (await listener.sessions.next())!;
  await caller.leave();
  await session.ended;
});

const testTls = sealsFast() ? Deno.test : Deno.test.ignore;
const NO_TLS_LINE = "p2p/1 error this side does not go on inside TLS here\n";

/** A session of a listener, from its caller's side and its own. */
async function callerOf(listener: TestListener, identity = generateKeyPair()) {
  const caller = await Caller.dial(listener, identity);
  await caller.hello({ name: "alice" });
  const session = (await listener.sessions.next())!;
  await caller.nextOf(FrameType.hello);
  return { caller, session, identity };
}

/** What asks for TLS, for the session with the usual id. */
function request(id = ID, nonce = crypto.getRandomValues(new Uint8Array(16))): Uint8Array {
  return encodeTlsRequest(nonce, id);
}

/** What answers somebody who asks for TLS so: all of it, as text. */
async function answerTo(listener: TestListener, bytes: Uint8Array): Promise<string> {
  const stranger = await listener.dial();
  await stranger.write(bytes);
  const answer = await readAll(stranger);
  stranger.close();
  return new TextDecoder().decode(answer);
}

/** Asks for TLS; where it is. */
async function askForDoor(listener: TestListener, id = ID): Promise<TlsAnswer> {
  const asking = await listener.dial();
  await asking.write(request(id));
  const answer = await readAll(asking);
  asking.close();
  return decodeTlsAnswer(answer.subarray(12));
}

/** Asks for TLS, and connects to where it is. */
async function dialDoor(listener: TestListener, id = ID): Promise<TcpConnection> {
  const { port } = await askForDoor(listener, id);
  return await dialTcp({ host: "127.0.0.1", port }, new AbortController().signal);
}

const TLS_LINE = "p2p/1 tls\n";

testTls(
  "Listener goes on with a session inside TLS, and only with whom it belongs to",
  async () => {
    await using listener = new TestListener();
    const { caller, session, identity } = await callerOf(listener);
    // Others would need to know its id, and then do not have its key.
    const thief = await Caller.dialTls(listener);
    await thief.hello({ name: "alice", resumes: true });
    assertEquals((await thief.goodbye()).code, GoodbyeCode.unknownSession);
    const newcomer = await Caller.dialTls(listener, identity);
    await newcomer.hello({ name: "alice", sessionId: new Uint8Array(16) });
    assertEquals((await newcomer.goodbye()).code, GoodbyeCode.unknownSession);
    assertEquals([session.state, session.carrier], ["connected", "secure tcp"]);

    const next = await Caller.dialTls(listener, identity);
    await next.hello({ name: "alice", resumes: true });
    assertEquals(decodeHello((await next.nextOf(FrameType.hello)).payload).resumes, true);
    assertEquals([session.state, session.carrier, session.path], [
      "connected",
      "secure tls",
      "lan",
    ]);
    caller.connection.close();
    await next.leave();
    await session.ended;
  },
);

const altered = request();
altered[20]! ^= 1;
for (
  const [what, bytes] of [
    ["without a proof", concatBytes(TLS_PREFACE, Uint8Array.of(0, 0))],
    ["with more than a request in its frame", concatBytes(TLS_PREFACE, Uint8Array.of(0, 49))],
    ["with more behind the request", concatBytes(request(), Uint8Array.of(0x16))],
    ["with a proof for another session", request(new Uint8Array(16))],
    ["with a proof that was altered", altered],
  ] as const
) {
  testTls(`Listener refuses TLS ${what}, and serves on`, async () => {
    await using listener = new TestListener();
    const { caller, session } = await callerOf(listener);
    const stranger = await listener.dial();
    await stranger.write(bytes);
    const answer = await readAll(stranger).catch(() => new Uint8Array(0));
    assert(!new TextDecoder().decode(answer).startsWith(TLS_LINE));
    stranger.close();
    await waitFor(() => listener.refused.length === 1);
    assertEquals(session.state, "connected");
    await caller.leave();
    await session.ended;
  });
}

testTls(
  "Listener begins TLS once for each request, three times for a session, and not for others",
  async () => {
    await using listener = new TestListener();
    const { caller, session } = await callerOf(listener);
    const requests = [request(), request(), request(), request()];
    const begins = async (bytes: Uint8Array) =>
      (await answerTo(listener, bytes)).startsWith(TLS_LINE);
    assertEquals(await begins(requests[0]!), true);
    assertEquals(await answerTo(listener, requests[0]!), NO_TLS_LINE);
    assertEquals(await begins(requests[1]!), true);
    assertEquals(await begins(requests[2]!), true);
    assertEquals(await answerTo(listener, requests[3]!), NO_TLS_LINE);
    await caller.leave();
    await session.ended;
    assertEquals(await answerTo(listener, request()), NO_TLS_LINE);
  },
);

testTls(
  "Listener gives up what stalls on its way into TLS after 10 s, wherever that is",
  async () => {
    const clock = new FakeClock();
    const refused: P2pError[] = [];
    await using listener = new TestListener({ clock }, refused);
    const { caller, session } = await callerOf(listener);
    const starts = [encodeText("p2p/1 tl"), TLS_PREFACE, request().subarray(0, 40)];
    const stuck = [];
    for (const start of starts) {
      const each = await listener.dial();
      await each.write(start);
      stuck.push(each);
    }
    // One that gets to TLS, and says nothing there: the runtime keeps it.
    const silent = await dialDoor(listener);
    // One that has completed TLS, and says nothing in it.
    const address = { host: "127.0.0.1", port: listener.port };
    const { signal } = new AbortController();
    const mute = await dialTls(address, { sessionId: ID, signal });
    const closed = [...stuck, mute].map((each) => each.read().catch(() => null));
    await clock.advance(HANDSHAKE_TIMEOUT_MS - 1);
    assertEquals(refused.length, 0);
    await clock.advance(1);
    assertEquals(await Promise.all(closed), [null, null, null, null]);
    for (const each of [...stuck, silent]) each.close();
    await mute[Symbol.asyncDispose]();
    await waitFor(() => refused.length === 5);
    for (const error of refused) assert(error.message.includes("10 s"), error.message);
    await clock.until(caller.leave().then(() => session.ended), 5_000);
    assertEquals(clock.pending, 0);
  },
);

testTls("Listener expects nobody for longer than 10 s, nor once it is closed", async () => {
  const clock = new FakeClock();
  const listener = new TestListener({ clock });
  const { caller, session } = await callerOf(listener);
  for (const end of [() => clock.advance(HANDSHAKE_TIMEOUT_MS), () => listener.close()]) {
    const { port } = await askForDoor(listener);
    await end();
    await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port }));
  }
  await clock.until(caller.leave().then(() => session.ended), 5_000);
  await listener[Symbol.asyncDispose]();
  assertEquals(clock.pending, 0);
});

testTls("Listener begins TLS no more when many have stalled there, and serves on", async () => {
  const clock = new FakeClock();
  const refused: P2pError[] = [];
  await using listener = new TestListener({ clock }, refused);
  const stuck: TcpConnection[] = [];
  const callers: Caller[] = [];
  async function sessionId(): Promise<Uint8Array<ArrayBuffer>> {
    const id = new Uint8Array(16).fill(callers.length + 1);
    const caller = await Caller.dial(listener);
    callers.push(caller);
    await caller.hello({ sessionId: id });
    await caller.nextOf(FrameType.hello);
    return id;
  }
  for (let id; stuck.length < MAX_STALLED_TLS;) {
    if (stuck.length % MAX_TLS_CONNECTIONS === 0) id = await sessionId();
    stuck.push(await dialDoor(listener, id));
  }
  await clock.advance(HANDSHAKE_TIMEOUT_MS);
  await waitFor(() => refused.length === MAX_STALLED_TLS);
  assertEquals(await answerTo(listener, request(await sessionId())), NO_TLS_LINE);
  for (const each of stuck) each.close();
  const ended = Promise.all(callers.map((caller) => caller.leave()));
  await clock.until(ended, 5_000);
});

Deno.test("Listener does not go on inside TLS over what is no TCP connection", async () => {
  await using listener = new TestListener();
  const [near, far] = connectionPair();
  listener.take(far);
  await near.write(request());
  assertEquals(new TextDecoder().decode(await readAll(near)), NO_TLS_LINE);
  near.close();
});
