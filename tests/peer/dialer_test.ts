import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { dialSession } from "../../peer/dialer.ts";
import { KnownPeers } from "../../peer/known_peers.ts";
import { AsyncQueue } from "../../peer/async_queue.ts";
import { Listener } from "../../peer/listener.ts";
import { AddressRoute, type Found, type Route } from "../../peer/route.ts";
import type { Session } from "../../peer/session.ts";
import { Trust } from "../../peer/trust.ts";
import type { ByteStream } from "../../protocol/connection.ts";
import {
  FileError,
  IdentityError,
  ProtocolError,
  RefusedError,
  UnreachableError,
} from "../../protocol/errors.ts";
import { generateKeyPair, type KeyPair } from "../../protocol/noise.ts";
import { concatBytes, encodeText, equalBytes } from "../../protocol/bytes.ts";
import { pattern } from "../conformance/connection.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { type SecureConnection, secureInitiator, secureResponder } from "../../protocol/secure.ts";
import {
  decodeHello,
  encodeFrame,
  encodeHello,
  FrameType,
  GoodbyeCode,
  type Hello,
  SessionFrameDecoder,
} from "../../protocol/session_frame.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { connectionPair, type MemoryConnection, seededRandom } from "../fakes/connection_pair.ts";
import { readStream } from "../fakes/session_pair.ts";
import { TcpProxy } from "../fakes/tcp_proxy.ts";

const alice = generateKeyPair();
const bob = generateKeyPair();

interface Place {
  folder: string;
  known: KnownPeers;
  trust: Trust;
}

async function withPlace(test: (place: Place) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const known = new KnownPeers(folder);
    await test({ folder, known, trust: new Trust(known) });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function listen(options: {
  port?: number;
  identity?: KeyPair;
  name?: string;
  admit?: () => Promise<void>;
} = {}): Listener {
  return new Listener({
    host: "127.0.0.1",
    port: options.port ?? 0,
    identity: options.identity ?? bob,
    name: () => options.name ?? "bob",
    admit: options.admit ?? (() => Promise.resolve()),
  });
}

function dial(
  port: number,
  trust: Trust,
  options: { clock?: FakeClock; signal?: AbortSignal } = {},
) {
  const { clock, signal = new AbortController().signal } = options;
  const route = new AddressRoute({ host: "127.0.0.1", port }, { identity: alice, trust, clock });
  return dialSession(route, { name: "alice", signal, clock });
}

async function bothEnd(near: Session, far: Session): Promise<void> {
  await Promise.all([near.end(), far.ended]);
}

Deno.test("dialSession() begins a session, and remembers name and address", () =>
  withPlace(async ({ known, trust }) => {
    await using listener = listen();
    const session = await dial(listener.port, trust);
    const far = (await listener.sessions.next())!;
    assertEquals([session.remoteName, far.remoteName], ["bob", "alice"]);
    const kept = (await known.entries()).map(({ name, key }) => [name, key]);
    assertEquals(kept, [["bob", bob.publicKey], [`127.0.0.1:${listener.port}`, bob.publicKey]]);
    await bothEnd(session, far);
  }));

Deno.test("dialSession(): the session goes on by itself however often its connection breaks, and nothing is lost", () =>
  withPlace(async ({ trust }) => {
    const random = seededRandom(11);
    await using listener = listen();
    await using proxy = new TcpProxy(listener.port);
    const session = await dial(proxy.port, trust);
    const far = (await listener.sessions.next())!;
    const states: string[] = [];
    session.onState = (state) => {
      states.push(state);
      if (state === "connected" && states.length < 8) {
        proxy.cutAfter(200_000 + random() * 1_000_000);
      }
    };
    proxy.cutAfter(500_000);
    const blocks = Array.from({ length: 24 }, (_, index) => pattern(262_144, index * 7));
    async function send(stream: ByteStream): Promise<void> {
      for (const block of blocks) await stream.write(block);
      await stream.finish();
    }
    const [near, other] = [session.open("files/1", "bulk"), (await far.accept())!];
    const [there, back] = await Promise.all([
      readStream(other),
      readStream(near),
      send(near),
      send(other),
    ]);
    const whole = concatBytes(...blocks);
    assert(equalBytes(there, whole) && equalBytes(back, whole));
    assert(states.filter((state) => state === "away").length >= 3, states.join(" "));
    await bothEnd(session, far);
  }));

Deno.test("dialSession(): a session whose listener has gone is away, and given up after the hold time", () =>
  withPlace(async ({ trust }) => {
    const clock = new FakeClock();
    const listener = listen();
    await using proxy = new TcpProxy(listener.port);
    const session = await dial(proxy.port, trust, { clock });
    const far = (await listener.sessions.next())!;
    listener.close();
    proxy.refuses = true;
    const away = Promise.withResolvers<void>();
    session.onState = (state) => state === "away" && away.resolve();
    proxy.cut();
    await away.promise;
    const [, end] = await Promise.all([
      far.fail(new UnreachableError("enough")),
      clock.until(session.ended, 61_000, 500),
    ]);
    assertInstanceOf(end.error, UnreachableError);
    assert(end.error!.message.startsWith("Lost bob: "), end.error!.message);
    assert(proxy.taken >= 2, `it dialled ${proxy.taken} times only`);
    assertEquals(clock.pending, 0);
  }));

Deno.test("dialSession(): a listener that was started anew says that it does not know the session", () =>
  withPlace(async ({ trust }) => {
    const first = listen();
    await using second = listen();
    await using proxy = new TcpProxy(first.port);
    const session = await dial(proxy.port, trust);
    const far = (await first.sessions.next())!;
    // Acknowledged frames must not turn the answer into a quarrel about numbers.
    await session.open("chat/1", "urgent").finish();
    proxy.target = second.port;
    first.close();
    proxy.cut();
    const { error } = await session.ended;
    assertInstanceOf(error, UnreachableError);
    assertEquals(error!.message, "Lost bob: it was started anew and does not know this session");
    await far.fail(new UnreachableError("enough"));
  }));

Deno.test("dialSession(): another key at the address ends a session that wants to go on", () =>
  withPlace(async ({ trust }) => {
    const first = listen();
    await using impostor = listen({ identity: generateKeyPair() });
    await using proxy = new TcpProxy(first.port);
    const session = await dial(proxy.port, trust);
    const far = (await first.sessions.next())!;
    proxy.target = impostor.port;
    first.close();
    proxy.cut();
    const { error } = await session.ended;
    assertInstanceOf(error, IdentityError);
    assert(error!.hint);
    await far.fail(new UnreachableError("enough"));
  }));

Deno.test("dialSession() refuses a changed key at a known address before it shows its own", () =>
  withPlace(async ({ trust, known }) => {
    let asked = 0;
    const impostor = generateKeyPair();
    await using listener = listen({
      identity: impostor,
      admit: () => Promise.resolve(void asked++),
    });
    await known.remember(`127.0.0.1:${listener.port}`, bob.publicKey);
    const error = await assertRejects(() => dial(listener.port, trust), IdentityError);
    assert((error as IdentityError).message.includes("HAS CHANGED"));
    assertEquals(asked, 0);
    assertEquals((await known.entries()).length, 1);
  }));

Deno.test("dialSession() refuses a known name with another key", () =>
  withPlace(async ({ trust, known }) => {
    await known.remember("bob", generateKeyPair().publicKey);
    await using listener = listen();
    await assertRejects(() => dial(listener.port, trust), IdentityError);
    const far = (await listener.sessions.next())!;
    await far.ended;
    assertEquals((await known.entries()).length, 1);
  }));

Deno.test("dialSession() ends the session when the peer cannot be remembered", () =>
  withPlace(async ({ trust }) => {
    trust.admit = () => Promise.reject(new FileError("Known peers not written: for a test"));
    await using listener = listen();
    await assertRejects(() => dial(listener.port, trust), FileError);
    const far = (await listener.sessions.next())!;
    assertEquals((await far.ended).error, undefined);
  }));

Deno.test("dialSession() rejects when the listener does not want us, and does not remember it", () =>
  withPlace(async ({ trust, known }) => {
    for (
      const [error, kind] of [
        [new IdentityError("no"), IdentityError],
        [new RefusedError("full house"), RefusedError],
      ] as const
    ) {
      await using listener = listen({ admit: () => Promise.reject(error) });
      const mine = await assertRejects(() => dial(listener.port, trust), kind) as Error;
      assert(mine.message.startsWith("bob "), mine.message);
    }
    assertEquals(await known.entries(), []);
  }));

Deno.test("dialSession() says when nobody listens", () =>
  withPlace(async ({ trust }) => {
    const socket = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = socket.addr;
    socket.close();
    const error = await assertRejects(() => dial(port, trust), UnreachableError);
    assertEquals(
      (error as UnreachableError).message,
      `Could not reach 127.0.0.1:${port}: nobody listens there`,
    );
  }));

Deno.test("dialSession() says when something else answers", () =>
  withPlace(async ({ trust }) => {
    using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const answering = other.accept().then(async (conn) => {
      await conn.write(encodeText("220 mail.example ESMTP\r\n"));
      return conn;
    });
    await assertRejects(() => dial(other.addr.port, trust), ProtocolError);
    (await answering).close();
  }));

Deno.test("dialSession() gives up after 10 s of silence", () =>
  withPlace(async ({ trust }) => {
    const clock = new FakeClock();
    using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepting = other.accept();
    const dialling = assertRejects(() => dial(other.addr.port, trust, { clock }), UnreachableError);
    using _conn = await accepting;
    await clock.until(dialling, 20_000, 500);
    assertEquals(clock.pending, 0);
  }));

Deno.test("dialSession() rejects with the signal's reason, at whatever point it aborts", () =>
  withPlace(async ({ trust }) => {
    const reason = new Error("enough");
    const before = new AbortController();
    before.abort(reason);
    assertEquals(await dial(1, trust, { signal: before.signal }).catch((error) => error), reason);

    const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const during = new AbortController();
    const accepted = silent.accept();
    const dialling = dial(silent.addr.port, trust, { signal: during.signal }).catch((error) =>
      error
    );
    await accepted;
    during.abort(reason);
    assertEquals(await dialling, reason);
    (await accepted).close();
    silent.close();

    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    await using listener = listen({
      admit() {
        asked.resolve();
        return answer.promise;
      },
    });
    const waiting = new AbortController();
    const unanswered = dial(listener.port, trust, { signal: waiting.signal }).catch((error) =>
      error
    );
    await asked.promise;
    waiting.abort(reason);
    assertEquals(await unanswered, reason);
    answer.resolve();
    await (await listener.sessions.next())!.ended;
  }));

Deno.test("dialSession(): nothing dials any more once the signal has aborted", () =>
  withPlace(async ({ trust }) => {
    const clock = new FakeClock();
    const listener = listen();
    await using proxy = new TcpProxy(listener.port);
    const controller = new AbortController();
    const session = await dial(proxy.port, trust, { clock, signal: controller.signal });
    const far = (await listener.sessions.next())!;
    listener.close();
    proxy.refuses = true;
    const away = Promise.withResolvers<void>();
    session.onState = (state) => state === "away" && away.resolve();
    proxy.cut();
    await away.promise;
    controller.abort(new Error("enough"));
    await clock.until(session.ended, 61_000, 1_000);
    assertEquals(proxy.taken, 1);
    assertEquals(clock.pending, 0);
    await far.fail(new UnreachableError("enough"));
  }));

/** A connection to bob that has proven both keys, and bob's end of it in the hands of a test. */
async function securePair(
  clock: FakeClock,
): Promise<[SecureConnection, BobsEnd, MemoryConnection]> {
  const [near, far] = connectionPair();
  const [initiator, responder] = await Promise.all([
    secureInitiator(near, { identity: alice, clock }),
    secureResponder(far, new ReceiveBuffer(64), { identity: bob, clock }),
  ]);
  return [initiator, new BobsEnd(responder), near];
}

class BobsEnd {
  readonly #decoder = new SessionFrameDecoder();

  constructor(readonly connection: SecureConnection) {}

  async hello(): Promise<Hello> {
    for (;;) {
      const frame = this.#decoder.next();
      if (frame?.type === FrameType.hello) return decodeHello(frame.payload);
      if (!frame) this.#decoder.push((await this.connection.read())!);
    }
  }

  async send(type: FrameType, payload: Uint8Array): Promise<void> {
    await this.connection.write(encodeFrame({ type, stream: 0, payload }));
  }
}

/** A route whose connections a test gives. */
class GivenRoute implements Route {
  readonly target = "bob";
  readonly better = new AsyncQueue<SecureConnection>();

  constructor(readonly connection: SecureConnection) {}

  connect(): Promise<Found> {
    return Promise.resolve(this);
  }

  close(): void {}

  admit(): Promise<void> {
    return Promise.resolve();
  }
}

Deno.test("dialSession() takes a better connection when the other side has greeted on the one before, and not sooner", async () => {
  const clock = new FakeClock();
  const [first, bobsFirst] = await securePair(clock);
  const [second, bobsSecond] = await securePair(clock);
  const route = new GivenRoute(first);
  const { signal } = new AbortController();
  const dialling = dialSession(route, { name: "alice", signal, clock });
  const hello = await bobsFirst.hello();
  route.better.push(second);
  let moved = false;
  const moving = bobsSecond.hello().then((again) => {
    moved = true;
    return again;
  });
  await settled();
  assert(!moved, "it greeted on both at once");
  await bobsFirst.send(FrameType.hello, encodeHello({ ...hello, name: "bob" }));
  const again = await moving;
  assertEquals([again.sessionId, again.resumes], [hello.sessionId, true]);
  await bobsSecond.send(FrameType.hello, encodeHello({ ...again, name: "bob" }));
  const session = await dialling;
  route.better.close();
  await clock.until(session.end(GoodbyeCode.interrupted), 10_000, 100);
  bobsSecond.connection.close();
});

Deno.test("dialSession() closes a better connection that comes when there is nothing to better any more", async () => {
  const clock = new FakeClock();
  const [first, bobsFirst] = await securePair(clock);
  const [second, , line] = await securePair(clock);
  const route = new GivenRoute(first);
  const { signal } = new AbortController();
  const dialling = dialSession(route, { name: "alice", signal, clock });
  await bobsFirst.send(
    FrameType.hello,
    encodeHello({ ...await bobsFirst.hello(), name: "bob" }),
  );
  const session = await dialling;
  await clock.until(session.end(GoodbyeCode.interrupted), 10_000, 100);
  route.better.push(second);
  route.better.close();
  await settled();
  assert(line.closed);
});
