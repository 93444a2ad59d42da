import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import {
  IdentityError,
  ProtocolError,
  RefusedError,
  StreamResetError,
  UnreachableError,
} from "../../protocol/errors.ts";
import type { ByteStream } from "../../protocol/connection.ts";
import {
  ACK_BYTES,
  ACK_DELAY_MS,
  DEAD_AFTER_MS,
  FLUSH_TIMEOUT_MS,
  GOODBYE_TIMEOUT_MS,
  INITIAL_WINDOW_BYTES,
  MAX_OPENS_AT_ONCE,
  MAX_OPENS_PER_SECOND,
  MAX_PAYLOAD_BYTES,
  MAX_STREAMS,
  PING_AFTER_MS,
  SESSION_HOLD_MS,
} from "../../protocol/limits.ts";
import {
  decodeCount,
  decodeGoodbye,
  decodeHello,
  encodeCount,
  encodeFrame,
  encodeGoodbye,
  encodeReset,
  encodeWindow,
  FrameType,
  GoodbyeCode,
  isNumbered,
} from "../../protocol/session_frame.ts";
import { concatBytes, encodeText, joinBytes } from "../../protocol/bytes.ts";
import { settled } from "../fakes/clock.ts";
import { connectionPair, seededRandom } from "../fakes/connection_pair.ts";
import {
  endPair,
  newSessions,
  RawPeer,
  readStream,
  SESSION_ID,
  type SessionPair,
  sessionPair,
} from "../fakes/session_pair.ts";
import { pattern } from "../conformance/connection.ts";

const CHAT = encodeText("chat/1");

/** Whether the promise has settled once everything in memory has gone on. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  promise.then(() => done = true, () => done = true);
  await settled();
  return done;
}

async function openBoth(
  pair: SessionPair,
  kind = "chat/1",
  priority: "urgent" | "bulk" = "urgent",
): Promise<[ByteStream, ByteStream]> {
  const near = pair.initiator.open(kind, priority);
  return [near, (await pair.responder.accept())!];
}

Deno.test("Session.attach() lets both sides greet, and tells each the other's name", async () => {
  const pair = await sessionPair();
  await Promise.all([pair.initiator.greeted, pair.responder.greeted]);
  assertEquals(pair.initiator.remoteName, "bob");
  assertEquals(pair.responder.remoteName, "alice");
  assertEquals([pair.initiator.state, pair.responder.state], ["connected", "connected"]);
  await endPair(pair);
});

Deno.test("ByteStream carries bytes both ways, and finishes each way by itself", async () => {
  const pair = await sessionPair();
  const [near, far] = await openBoth(pair);
  assertEquals([far.kind, far.id], ["chat/1", 1]);
  await near.write(pattern(10));
  await far.write(pattern(70_000, 2));
  assertEquals(await far.read(), pattern(10));
  const finishing = far.finish();
  assertEquals(await readStream(near), pattern(70_000, 2));
  await pair.clock.until(finishing, 1_000);
  await near.write(pattern(5));
  const rest = readStream(far);
  await pair.clock.until(near.finish(), 1_000);
  assertEquals(await rest, pattern(5));
  await endPair(pair);
});

Deno.test("ByteStream.finish() may be called again, and resolves each time", async () => {
  const pair = await sessionPair();
  const [near] = await openBoth(pair);
  await pair.clock.until(Promise.all([near.finish(), near.finish()]), 1_000);
  await pair.clock.until(near.finish(), 1_000);
  await endPair(pair);
});

Deno.test("ByteStream.write() after finish() is refused", async () => {
  const pair = await sessionPair();
  const [near] = await openBoth(pair);
  await pair.clock.until(near.finish(), 1_000);
  await assertRejects(() => near.write(pattern(1)), TypeError);
  await endPair(pair);
});

Deno.test("Session.open() numbers odd on the initiator's side, even on the responder's", async () => {
  const pair = await sessionPair();
  const ids = [pair.initiator, pair.responder].map((side) =>
    [1, 2, 3].map(() => side.open("chat/1", "urgent").id)
  );
  assertEquals(ids, [[1, 3, 5], [2, 4, 6]]);
  await endPair(pair);
});

Deno.test("ByteStream.write() calls `released` once, when the other side has acknowledged", async () => {
  const pair = await sessionPair();
  const [near, far] = await openBoth(pair);
  let released = 0;
  await near.write(pattern(20_000), () => released++);
  assertEquals(await far.read(), pattern(20_000));
  assertEquals(released, 0);
  await pair.clock.advance(ACK_DELAY_MS);
  assertEquals(released, 1);
  await endPair(pair);
  assertEquals(released, 1);
});

Deno.test("ByteStream.write() calls `released` once for everything that a reset or an end drops", async () => {
  for (const how of ["reset", "reset by the other side", "end", "cut and given up"]) {
    const pair = await sessionPair();
    const [near, far] = await openBoth(pair);
    const released: number[] = [];
    const writing: Promise<unknown>[] = [];
    for (let i = 0; i < 40; i++) {
      released.push(0);
      // Nobody reads: some are acknowledged, some under way in part, the last ones queued.
      writing.push(near.write(pattern(30_000, i), () => released[i]!++).catch(() => {}));
    }
    await pair.clock.advance(100);
    if (how === "reset") near.reset(0);
    if (how === "reset by the other side") far.reset(0);
    if (how === "cut and given up") pair.near.cut();
    await pair.clock.advance(how.startsWith("cut") ? SESSION_HOLD_MS : 100);
    await endPair(pair);
    await Promise.all(writing);
    await near.write(pattern(1), () => released.push(1)).catch(() => {});
    assertEquals(released, new Array(41).fill(1), how);
  }
});

Deno.test("ByteStream.read() goes on after GOODBYE with what had arrived", async () => {
  const pair = await sessionPair();
  const [near, far] = await openBoth(pair);
  await near.write(pattern(100_000));
  await pair.clock.until(near.finish(), 1_000);
  await endPair(pair);
  assertEquals(await readStream(far), pattern(100_000));
});

Deno.test("ByteStream.read() never takes a stream that was reset for one that is complete", async () => {
  const pair = await sessionPair();
  const [near, far] = await openBoth(pair);
  await near.write(pattern(10));
  await pair.clock.until(near.finish(), 1_000);
  near.reset(2);
  await settled();
  const error = await assertRejects(() => readStream(far), StreamResetError);
  assertEquals((error as StreamResetError).resetCode, 2);
  await endPair(pair);
});

Deno.test("ByteStream.reset() ends both directions for both sides, at once", async () => {
  const pair = await sessionPair();
  const [near, far] = await openBoth(pair);
  const reading = [near, far].map((side) => assertRejects(() => side.read(), StreamResetError));
  far.reset(1);
  far.reset(0);
  await Promise.all(reading);
  for (const side of [near, far]) {
    await assertRejects(() => side.write(pattern(1)), StreamResetError);
    await assertRejects(() => side.finish(), StreamResetError);
  }
  await endPair(pair);
});

Deno.test("Session.accept() gives streams in order, and null when the session is over", async () => {
  const pair = await sessionPair();
  for (const kind of ["chat/1", "files/1", "files/1"]) pair.initiator.open(kind, "bulk");
  const kinds = [];
  for (let i = 0; i < 3; i++) kinds.push((await pair.responder.accept())!.kind);
  assertEquals(kinds, ["chat/1", "files/1", "files/1"]);
  const waiting = pair.responder.accept();
  await endPair(pair);
  assertEquals(await waiting, null);
  assertEquals(await pair.initiator.accept(), null);
  assertThrows(() => pair.initiator.open("chat/1", "urgent"), UnreachableError);
});

// Order between streams, and windows

/** A session that is joined by a line of 1 MB/s with deep buffers. */
async function slowPair(): Promise<SessionPair> {
  const pair = newSessions();
  const slow = { bytesPerSecond: 1_000_000, clock: pair.clock };
  await pair.clock.until(pair.join({ bufferBytes: 32 * 1_048_576, slow }), 1_000);
  return pair;
}

/** Writes without end, reads without end; counts what was read. */
function flood(from: ByteStream, to: ByteStream): { received: number; over: Promise<unknown> } {
  const count = { received: 0, over: Promise.resolve() as Promise<unknown> };
  const block = pattern(262_144);
  async function write(): Promise<void> {
    for (;;) await from.write(block);
  }
  async function read(): Promise<void> {
    for (let part = await to.read(); part; part = await to.read()) count.received += part.length;
  }
  count.over = Promise.allSettled([write(), read()]);
  return count;
}

Deno.test("Session sends chat before bulk: on a slow line a message overtakes a film, late as well as early", async () => {
  const pair = await slowPair();
  const [chat, farChat] = await pair.clock.until(openBoth(pair), 1_000);
  const film = pair.initiator.open("files/1", "bulk");
  const farFilm = (await pair.clock.until(pair.responder.accept(), 5_000))!;
  const count = flood(film, farFilm);
  for (const seconds of [5, 15, 30]) {
    await pair.clock.advance(seconds * 1_000);
    const before = count.received;
    await chat.write(encodeText("hello"));
    assertEquals(await pair.clock.until(farChat.read(), 60_000), encodeText("hello"));
    const passed = count.received - before;
    assert(passed < 1_100_000, `${passed} bytes of the film came first after ${seconds} s more`);
  }
  assert(count.received > 45_000_000, `the line stood idle: ${count.received} bytes in 50 s`);
  await pair.initiator.fail(new UnreachableError("enough"));
  await pair.responder.fail(new UnreachableError("enough"));
  await count.over;
});

Deno.test("Session shares a line among bulk streams in turn", async () => {
  const pair = await slowPair();
  const counts = [];
  for (let i = 0; i < 4; i++) {
    const film = pair.initiator.open("files/1", "bulk");
    counts.push(flood(film, (await pair.clock.until(pair.responder.accept(), 5_000))!));
  }
  await pair.clock.advance(8_000);
  const received = counts.map((each) => each.received);
  assert(Math.min(...received) > 0.7 * Math.max(...received), received.join(" "));
  await pair.initiator.fail(new UnreachableError("enough"));
  await pair.responder.fail(new UnreachableError("enough"));
  await Promise.all(counts.map((each) => each.over));
});

Deno.test("Session: a slow reader stalls its own stream only, and no further than its window", async () => {
  const pair = await sessionPair();
  const [stalled, unread] = await openBoth(pair, "files/1", "bulk");
  let written = 0;
  const writing = (async () => {
    for (;; written += 50_000) await stalled.write(pattern(50_000));
  })().catch(() => {});
  await pair.clock.advance(1_000);
  // What the window holds, what may be queued above it, and the write that waits.
  assert(written <= 2 * INITIAL_WINDOW_BYTES + 50_000, `${written} bytes were taken`);
  const [chat, far] = await openBoth(pair);
  await chat.write(pattern(3));
  assertEquals(await far.read(), pattern(3));
  const stuck = written;
  assertEquals((await unread.read())!.length > 0, true);
  while (written === stuck) {
    await unread.read();
    await settled();
  }
  await pair.initiator.fail(new UnreachableError("enough"));
  await pair.clock.until(pair.responder.end(1), 2_000);
  await writing;
});

Deno.test("Session goes on at once when a WINDOW comes, whatever else the other side has to say", async () => {
  const peer = await RawPeer.greeted("initiator", { bufferBytes: 2 * 1_048_576 });
  const stream = peer.session.open("chat/1", "urgent");
  const writing = stream.write(pattern(INITIAL_WINDOW_BYTES + 1_000));
  let received = 0;
  while (received < INITIAL_WINDOW_BYTES) {
    received += (await peer.nextOf(FrameType.data)).payload.length;
  }
  assertEquals(received, INITIAL_WINDOW_BYTES);
  await writing;
  const now = peer.clock.now();
  await peer.send(FrameType.window, 1, encodeWindow(1_000));
  assertEquals((await peer.nextOf(FrameType.data)).payload.length, 1_000);
  assertEquals(peer.clock.now(), now);
  await peer.connection.close();
  await peer.session.fail(new UnreachableError("enough"));
});

Deno.test("Session grows the window of a fast reader, and takes the growth back when the stream ends", async () => {
  const pair = await sessionPair();
  for (let round = 0; round < 4; round++) {
    const [near, far] = await openBoth(pair, "files/1", "bulk");
    const size = 24 * 1_048_576;
    const sending = (async () => {
      for (let sent = 0; sent < size; sent += 1_048_576) {
        await near.write(new Uint8Array(1_048_576));
      }
      await near.finish();
    })();
    // Now and then a link gives way to others: the clock stands still, for that takes no time.
    assertEquals((await readStream(far)).length, size);
    const finishing = far.finish();
    await pair.clock.until(Promise.all([sending, finishing]), 1_000);
    assertEquals(await near.read(), null);
  }
  await endPair(pair);
});

// Acknowledgements

Deno.test("Session acknowledges within 20 ms, and at once after 256 KiB", async () => {
  const peer = await RawPeer.greeted();
  await peer.nextOf(FrameType.hello);
  await peer.send(FrameType.open, 1, CHAT);
  await settled();
  const acknowledging = peer.nextOf(FrameType.ack);
  assert(!await isSettled(acknowledging));
  await peer.clock.advance(ACK_DELAY_MS);
  assertEquals(decodeCount((await acknowledging).payload), 1);
  const next = peer.nextOf(FrameType.ack);
  for (let sent = 0; sent < ACK_BYTES; sent += 32_768) {
    assert(!await isSettled(next));
    await peer.send(FrameType.data, 1, pattern(32_768));
  }
  assertEquals(decodeCount((await next).payload), 1 + ACK_BYTES / 32_768);
  peer.connection.close();
  await peer.session.fail(new UnreachableError("enough"));
});

for (
  const [what, ack, hello] of [
    ["an ACK above what was sent", 3, 0],
    ["an ACK below the one before", 0, 0],
    ["an ACK beyond what a number holds", 2 ** 60, 0],
    ["a HELLO above what was sent", undefined, 1],
  ] as [string, number | undefined, number][]
) {
  Deno.test(`Session ends with a ProtocolError on both sides after ${what}`, async () => {
    const peer = RawPeer.silent("initiator");
    await peer.hello({ received: hello });
    if (ack !== undefined) {
      peer.session.open("chat/1", "urgent");
      await peer.nextOf(FrameType.open);
      await peer.send(FrameType.ack, 0, encodeCount(1));
      await peer.send(FrameType.ack, 0, encodeCount(ack));
    }
    const goodbye = await peer.nextOf(FrameType.goodbye);
    assertEquals(decodeGoodbye(goodbye.payload).code, GoodbyeCode.protocolError);
    peer.connection.close();
    const { error } = await peer.clock.until(peer.session.ended, 2_000);
    assertInstanceOf(error, ProtocolError);
    assertEquals(peer.clock.pending, 0);
  });
}

// Going on over another connection

Deno.test("Session goes on after a cut: everything arrives once and in order", async () => {
  const pair = await sessionPair();
  const [near, far] = await openBoth(pair);
  await near.write(pattern(50_000));
  pair.near.cut();
  await settled();
  assertEquals([pair.initiator.state, pair.responder.state], ["away", "away"]);
  await near.write(pattern(50_000, 1));
  await far.write(pattern(30_000, 2));
  await pair.clock.advance(1_000);
  await pair.join();
  assertEquals([pair.initiator.state, pair.responder.state], ["connected", "connected"]);
  const received = Promise.all([readStream(near), readStream(far)]);
  await pair.clock.until(Promise.all([near.finish(), far.finish()]), 1_000);
  assertEquals(await received, [
    pattern(30_000, 2),
    concatBytes(pattern(50_000), pattern(50_000, 1)),
  ]);
  await endPair(pair);
});

/** As assertEquals, which would show where millions of bytes differ by comparing all with all. */
function assertSame(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assertEquals(actual.length, expected.length, what);
  const differs = actual.findIndex((byte, index) => byte !== expected[index]);
  assert(differs < 0, `${what}: byte ${differs} is ${actual[differs]}, not ${expected[differs]}`);
}

/** Sends random data in random pieces, resting now and then; returns what it was. */
async function sendRandom(stream: ByteStream, random: () => number): Promise<Uint8Array> {
  const sent: Uint8Array[] = [];
  for (let left = Math.floor(random() * 12) + 1; left > 0; left--) {
    const size = Math.floor(random() ** 3 * 150_000) + 1;
    const part = pattern(size, Math.floor(random() * 256));
    sent.push(part.slice());
    // The writer may do what it likes with the bytes once they are released.
    await stream.write(part, () => part.fill(0xee));
    if (random() < 0.2) await settled();
  }
  await stream.finish();
  return joinBytes(sent);
}

async function readSlowly(stream: ByteStream, random: () => number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let part = await stream.read(); part; part = await stream.read()) {
    parts.push(part);
    if (random() < 0.3) await settled();
  }
  return joinBytes(parts);
}

/** One session with traffic on several streams both ways, whose connections break at random points. Returns how many broke. */
async function surviveCuts(seed: number): Promise<number> {
  const random = seededRandom(seed);
  const pair = newSessions();
  const work: Promise<[Uint8Array, Uint8Array]>[] = [];
  for (const [from, to] of [[pair.initiator, pair.responder], [pair.responder, pair.initiator]]) {
    const accepted: Promise<ByteStream | null>[] = [];
    for (let i = 0; i < 3; i++) {
      const near = from!.open(i === 0 ? "chat/1" : "files/1", i === 0 ? "urgent" : "bulk");
      accepted.push(to!.accept());
      work.push(Promise.all([
        sendRandom(near, random),
        accepted[i]!.then((far) => readSlowly(far!, random)),
      ]));
    }
  }
  const all = Promise.all(work);
  let done = false;
  all.then(() => done = true, () => done = true);
  let cuts = 0;
  while (!done && pair.initiator.state !== "ended") {
    await pair.join({
      bufferBytes: 1 + Math.floor(random() * 100_000),
      chunk: (atHand) => 1 + Math.floor(random() * atHand),
    }).catch(() => {});
    const [first, second] = random() < 0.5 ? [pair.near, pair.far] : [pair.far, pair.near];
    first.cutAfter(first.sent + Math.floor(random() ** 2 * 200_000) + 1);
    if (random() < 0.3) second.cutAfter(second.sent + Math.floor(random() * 100_000) + 1);
    while (!done && pair.initiator.state === "connected" && pair.responder.state !== "ended") {
      await pair.clock.advance(10);
    }
    if (!done) cuts++;
  }
  for (const [sent, received] of await all) assertSame(received, sent, `seed ${seed}`);
  if (pair.initiator.state === "away") await pair.join();
  await endPair(pair);
  return cuts;
}

Deno.test("Session: whatever point the connection breaks at, everything arrives once and in order", async () => {
  let cuts = 0;
  for (let seed = 1; cuts < 250; seed++) {
    assert(seed < 500, `only ${cuts} cuts`);
    cuts += await surviveCuts(seed);
  }
});

Deno.test("Session.attach() of a connection replaces one that is half dead", async () => {
  const pair = await sessionPair();
  const [near, far] = await openBoth(pair);
  pair.near.stall();
  pair.far.stall();
  await near.write(pattern(1_000));
  const old = pair.far;
  await pair.join();
  assertEquals(await far.read(), pattern(1_000));
  assert(old.closed, "the old connection is still open");
  await endPair(pair);
});

Deno.test("Session.attach() of a better connection: neither side is away meanwhile, and nothing is lost or repeated", async () => {
  const pair = await sessionPair();
  const [near, far] = await openBoth(pair);
  const states: string[] = [];
  pair.initiator.onState = (state) => states.push(`initiator ${state}`);
  pair.responder.onState = (state) => states.push(`responder ${state}`);
  const [oldNear, oldFar] = [pair.near, pair.far];
  await near.write(pattern(1_000));
  await far.write(pattern(2_000));
  await pair.join();
  await near.write(pattern(3_000));
  assertEquals(joinBytes([(await far.read())!, (await far.read())!]).length, 4_000);
  assertEquals((await near.read())!.length, 2_000);
  assertEquals(states, ["responder connected", "initiator connected"]);
  assert(oldNear.closed && oldFar.closed, "the old connection is still open");
  await endPair(pair);
});

Deno.test("Session sends nothing numbered on a new connection before it has heard how far the other side is", async () => {
  const peer = await RawPeer.greeted("initiator");
  peer.session.open("chat/1", "urgent");
  await peer.nextOf(FrameType.open);
  peer.connection.close();
  await settled();
  const again = RawPeer.attach(peer.session, peer.clock);
  const hello = await again.next();
  assertEquals(hello.type, FrameType.hello);
  assertEquals(decodeHello(hello.payload), {
    sessionId: SESSION_ID,
    received: 0,
    resumes: true,
    name: "victim",
  });
  const numbered = again.nextNumbered();
  assert(!await isSettled(numbered));
  await again.hello({ received: 0, resumes: true });
  assertEquals((await numbered).type, FrameType.open);
  again.connection.close();
  await peer.session.fail(new UnreachableError("enough"));
});

for (
  const [what, changes] of [
    ["is for another session", { sessionId: new Uint8Array(16) }],
    ["calls new what goes on", { resumes: false }],
    ["takes back what was acknowledged", { received: 0 }],
    ["has received what was never sent", { received: 2 }],
  ] as const
) {
  Deno.test(`Session ends, and says so, when the HELLO of a next connection ${what}`, async () => {
    const peer = await RawPeer.greeted("initiator");
    peer.session.open("chat/1", "urgent");
    await peer.nextOf(FrameType.open);
    await peer.send(FrameType.ack, 0, encodeCount(1));
    await settled();
    peer.connection.close();
    await settled();
    const again = RawPeer.attach(peer.session, peer.clock);
    await again.hello({ received: 1, resumes: true, ...changes });
    const { payload } = await again.nextOf(FrameType.goodbye);
    assertEquals(decodeGoodbye(payload).code, GoodbyeCode.protocolError);
    again.connection.close();
    const { error } = await peer.clock.until(peer.session.ended, 2_000);
    assertInstanceOf(error, ProtocolError);
  });
}

Deno.test("Session.attach() tells an initiator whose HELLO lies what it did, and ends", async () => {
  const pair = newSessions();
  const peer = RawPeer.attach(pair.responder, pair.clock);
  peer.connection.close();
  await settled();
  const [near, far] = connectionPair();
  const lie = { sessionId: SESSION_ID, received: 9, resumes: true, name: "mallory" };
  pair.responder.attach(near, undefined, lie);
  const again = new RawPeer(pair.responder, far, pair.clock);
  const { payload } = await again.nextOf(FrameType.goodbye);
  assertEquals(decodeGoodbye(payload).code, GoodbyeCode.protocolError);
  far.close();
  assertInstanceOf((await pair.clock.until(pair.responder.ended, 2_000)).error, ProtocolError);
});

Deno.test("Session is given up when nobody came back in time, and says why", async () => {
  const pair = await sessionPair();
  const [near] = await openBoth(pair);
  const states: string[] = [];
  pair.initiator.onState = (state) => states.push(state);
  let away = 0;
  pair.initiator.onAway = () => away++;
  pair.near.cut();
  await pair.clock.advance(SESSION_HOLD_MS - 1);
  assertEquals([states, away], [["away"], 1]);
  await pair.clock.advance(1);
  assertEquals(states, ["away", "ended"]);
  const { error } = await pair.initiator.ended;
  assertInstanceOf(error, UnreachableError);
  assertEquals(error!.message, "Lost bob: the line was cut");
  await assertRejects(() => near.read(), UnreachableError);
  await assertRejects(() => near.write(pattern(1)), UnreachableError);
  assertEquals(pair.clock.pending, 0);
});

Deno.test("ByteStream.finish() rejects when the session is lost before the other side had everything", async () => {
  const pair = await sessionPair();
  const [near] = await openBoth(pair);
  pair.near.stall();
  const finishing = assertRejects(() => near.finish(), UnreachableError);
  pair.near.cut();
  await pair.clock.advance(SESSION_HOLD_MS);
  await finishing;
});

// Keep-alive

Deno.test("Session notices a dead peer within 20 s, and asks it before", async () => {
  const peer = await RawPeer.greeted();
  await peer.nextOf(FrameType.ping);
  const asked = peer.nextOf(FrameType.ping);
  await peer.clock.advance(PING_AFTER_MS - 1);
  assert(!await isSettled(asked));
  await peer.clock.advance(1);
  assert(await isSettled(asked));
  await peer.clock.advance(DEAD_AFTER_MS - PING_AFTER_MS - 1);
  assertEquals(peer.session.state, "connected");
  await peer.clock.advance(1);
  assertEquals(peer.session.state, "away");
  await peer.session.fail(new UnreachableError("enough"));
  assertEquals(peer.clock.pending, 0);
});

Deno.test("Session does not take its own standstill for its peer's death", async () => {
  const pair = await sessionPair();
  pair.clock.holdUp(10 * DEAD_AFTER_MS);
  await pair.clock.advance(1_000);
  assertEquals([pair.initiator.state, pair.responder.state], ["connected", "connected"]);
  pair.near.stall();
  pair.clock.holdUp(10 * DEAD_AFTER_MS);
  await pair.clock.advance(DEAD_AFTER_MS);
  assertEquals(pair.initiator.state, "away");
  await endPair(pair);
});

Deno.test("Session tells, where the peer ends it, whether all had arrived", async () => {
  for (const length of [10, 600_000]) {
    const pair = await sessionPair();
    const [near] = await openBoth(pair, "files/1", "bulk");
    const writing = near.write(new Uint8Array(length)).catch(() => {});
    await pair.clock.advance(100);
    await pair.clock.until(pair.responder.end(GoodbyeCode.interrupted), 2_000);
    assertEquals((await pair.initiator.ended).undelivered, length === 600_000);
    await writing;
  }
});

Deno.test("Session notices a dead peer while it sends to it", async () => {
  const pair = await sessionPair();
  const [near] = await openBoth(pair, "files/1", "bulk");
  pair.near.stall();
  pair.far.stall();
  const writing = near.write(new Uint8Array(2_000_000)).catch(() => {});
  await pair.clock.advance(DEAD_AFTER_MS);
  assertEquals([pair.initiator.state, pair.responder.state], ["away", "away"]);
  await pair.clock.advance(SESSION_HOLD_MS);
  await writing;
});

Deno.test("Session stays up for an idle hour", async () => {
  const pair = await sessionPair();
  await pair.clock.advance(3_600_000);
  assertEquals([pair.initiator.state, pair.responder.state], ["connected", "connected"]);
  await endPair(pair);
});

Deno.test("Session measures the round trip", async () => {
  const pair = newSessions();
  const slow = { bytesPerSecond: 1_000_000, clock: pair.clock };
  await pair.clock.until(pair.join({ slow }), 1_000);
  await pair.clock.advance(1_000);
  assertEquals(Math.round(pair.initiator.roundTrip!), 20);
  await endPair(pair);
});

// The end

Deno.test("Session.end() delivers everything first", async () => {
  const pair = await slowPair();
  const [near, far] = [
    pair.initiator.open("files/1", "bulk"),
    pair.clock.until(pair.responder.accept(), 1_000),
  ];
  const writing = near.write(pattern(250_000));
  const reading = far.then((stream) => stream!.read());
  const ending = pair.initiator.end();
  await pair.clock.until(Promise.all([writing, reading, ending]), 5_000);
  const { error, code } = await pair.clock.until(pair.responder.ended, 100);
  assertEquals([error, code], [undefined, GoodbyeCode.done]);
  const first = await reading;
  const parts = [first!];
  try {
    const stream = (await far)!;
    for (let part = await stream.read(); part; part = await stream.read()) parts.push(part);
  } catch (error) {
    assertInstanceOf(error, UnreachableError);
  }
  assertEquals(joinBytes(parts), pattern(250_000));
});

Deno.test("Session.end() at both sides at once ends well", async () => {
  const pair = await sessionPair();
  const ends = Promise.all([pair.initiator.end(), pair.responder.end()]);
  await pair.clock.until(ends, 100);
  for (const side of [pair.initiator, pair.responder]) {
    assertEquals((await side.ended).error, undefined);
  }
  assertEquals(pair.clock.pending, 0);
});

Deno.test("Session.end() called again resolves no sooner than the session has ended", async () => {
  const pair = await sessionPair();
  pair.near.stall();
  const first = pair.initiator.end(1);
  const second = pair.initiator.end();
  let ended = false;
  pair.initiator.ended.then(() => ended = true);
  const order = Promise.all([first, second].map((each) => each.then(() => ended)));
  assertEquals(await pair.clock.until(order, 10_000), [true, true]);
  await pair.clock.until(pair.responder.end(1), 2_000);
});

Deno.test("Session.end() does not wait for a peer that does not answer any longer than its deadlines", async () => {
  const pair = await sessionPair();
  const [near] = await openBoth(pair);
  pair.near.stall();
  await near.write(pattern(10));
  const ending = pair.initiator.end();
  await pair.clock.advance(FLUSH_TIMEOUT_MS + GOODBYE_TIMEOUT_MS - 1);
  assert(!await isSettled(ending));
  await pair.clock.advance(1);
  assert(await isSettled(ending));
  await pair.clock.until(pair.responder.end(1), 2_000);
});

Deno.test("Session.end() with an interruption does not wait for acknowledgements", async () => {
  const pair = await sessionPair();
  const [near] = await openBoth(pair, "files/1", "bulk");
  const writing = near.write(new Uint8Array(600_000)).catch(() => {});
  await pair.clock.until(pair.initiator.end(GoodbyeCode.interrupted), 10);
  assertEquals(await pair.responder.ended, {
    error: undefined,
    code: GoodbyeCode.interrupted,
    byUs: false,
    undelivered: false,
    unfinished: ["files/1"],
  });
  await writing;
  assertEquals(pair.clock.pending, 0);
});

Deno.test("Session.end() while away ends without a peer", async () => {
  const pair = await sessionPair();
  pair.near.cut();
  await settled();
  await pair.clock.until(pair.initiator.end(), FLUSH_TIMEOUT_MS);
  assertEquals(pair.initiator.state, "ended");
  await pair.responder.fail(new UnreachableError("enough"));
  assertEquals(pair.clock.pending, 0);
});

Deno.test("Session.fail() ends at once, with the error for everything that waits", async () => {
  const pair = newSessions();
  await pair.join();
  const [near] = await openBoth(pair);
  const mine = new IdentityError("Peer refused: for a test");
  const waiting = [
    assertRejects(() => near.read(), IdentityError),
    assertRejects(() => near.finish(), IdentityError),
  ];
  await pair.initiator.fail(mine);
  await Promise.all(waiting);
  assertEquals((await pair.initiator.ended).error, mine);
  assertThrows(() => pair.initiator.open("chat/1", "urgent"), IdentityError);
  await pair.responder.fail(new UnreachableError("enough"));
  assertEquals(pair.clock.pending, 0);
});

for (
  const [code, kind, words] of [
    [GoodbyeCode.done, undefined, ""],
    [GoodbyeCode.interrupted, undefined, ""],
    [GoodbyeCode.protocolError, ProtocolError, "mallory ended the session: because"],
    [GoodbyeCode.unknownSession, UnreachableError, "Lost mallory: it was started anew"],
    [GoodbyeCode.identityRefused, IdentityError, "mallory refused this side's identity: because"],
    [GoodbyeCode.busy, RefusedError, "mallory is busy: because"],
    [GoodbyeCode.sentAway, RefusedError, "mallory has sent you away: because"],
    [77, ProtocolError, "mallory ended the session: because"],
  ] as const
) {
  Deno.test(`Session ends as GOODBYE ${code} says, and answers it`, async () => {
    const peer = await RawPeer.greeted();
    await peer.send(FrameType.goodbye, 0, encodeGoodbye({ code, text: "because" }));
    assertEquals(
      decodeGoodbye((await peer.nextOf(FrameType.goodbye)).payload),
      { code: GoodbyeCode.done, text: "" },
    );
    assertEquals(await peer.connection.read(), null);
    peer.connection.close();
    const end = await peer.clock.until(peer.session.ended, 10);
    assertEquals(end.code, code);
    assertEquals(end.error?.constructor, kind);
    assert((end.error?.message ?? "").startsWith(words), end.error?.message);
    assertEquals(peer.clock.pending, 0);
  });
}

Deno.test("Session takes a GOODBYE in place of the greeting", async () => {
  const peer = RawPeer.silent("initiator");
  const greeted = assertRejects(() => peer.session.greeted, RefusedError);
  await peer.send(FrameType.goodbye, 0, encodeGoodbye({ code: GoodbyeCode.busy, text: "" }));
  await greeted;
  peer.connection.close();
  await peer.clock.until(peer.session.ended, 10);
});

Deno.test("Session leaves no timer behind when numbered frames come together with the GOODBYE", async () => {
  const peer = await RawPeer.greeted();
  await peer.connection.write(concatBytes(
    encodeFrame({ type: FrameType.open, stream: 1, payload: CHAT }),
    encodeFrame({
      type: FrameType.goodbye,
      stream: 0,
      payload: encodeGoodbye({ code: 0, text: "" }),
    }),
  ));
  const ack = await peer.nextOf(FrameType.ack);
  assertEquals(decodeCount(ack.payload), 1);
  await peer.nextOf(FrameType.goodbye);
  peer.connection.close();
  await peer.clock.until(peer.session.ended, 10);
  assertEquals(peer.clock.pending, 0);
});

Deno.test("Session whose GOODBYE cannot be read in time still ends", async () => {
  const peer = await RawPeer.greeted("initiator", { bufferBytes: 100 });
  const stream = peer.session.open("files/1", "bulk");
  const writing = stream.write(new Uint8Array(400_000)).catch(() => {});
  await settled();
  const ending = peer.session.end(GoodbyeCode.interrupted);
  await peer.clock.until(ending, GOODBYE_TIMEOUT_MS);
  await writing;
  assert(await isSettled(peer.drain()));
  assertEquals(peer.clock.pending, 0);
});

// Peers that mean harm

/** Frames that a peer sends after greeting, and what they must come to: the session ends with a ProtocolError. */
const offences: [string, (peer: RawPeer) => Promise<void>][] = [
  ["a second HELLO", (peer) => peer.hello()],
  ["DATA for a stream that was never opened", (peer) => peer.send(FrameType.data, 1, pattern(1))],
  ["DATA for one that we could have opened", (peer) => peer.send(FrameType.data, 2, pattern(1))],
  ["DATA for no stream", (peer) => peer.send(FrameType.data, 0, pattern(1))],
  [
    "WINDOW for a stream that was never opened",
    (peer) => peer.send(FrameType.window, 9, encodeWindow(1)),
  ],
  [
    "RESET for a stream that was never opened",
    (peer) => peer.send(FrameType.reset, 9, encodeReset(0)),
  ],
  ["an OPEN with our parity", (peer) => peer.send(FrameType.open, 2, CHAT)],
  ["an OPEN of stream 0", (peer) => peer.send(FrameType.open, 0, CHAT)],
  ["an OPEN out of turn", (peer) => peer.send(FrameType.open, 3, CHAT)],
  ["an OPEN twice", async (peer) => {
    await peer.send(FrameType.open, 1, CHAT);
    await peer.send(FrameType.open, 1, CHAT);
  }],
  [
    "an OPEN with an unreadable kind",
    (peer) => peer.send(FrameType.open, 1, encodeText("a b\x1b")),
  ],
  ["more than the window", async (peer) => {
    await peer.send(FrameType.open, 1, encodeText("files/1"));
    for (let sent = 0; sent <= INITIAL_WINDOW_BYTES; sent += MAX_PAYLOAD_BYTES) {
      await peer.send(FrameType.data, 1, pattern(MAX_PAYLOAD_BYTES));
    }
  }],
  ["DATA after FINISH", async (peer) => {
    await peer.send(FrameType.open, 1, CHAT);
    await peer.send(FrameType.finish, 1);
    await peer.send(FrameType.data, 1, pattern(1));
  }],
  ["FINISH twice", async (peer) => {
    await peer.send(FrameType.open, 1, CHAT);
    await peer.send(FrameType.finish, 1);
    await peer.send(FrameType.finish, 1);
  }],
  ["too much credit", async (peer) => {
    await peer.send(FrameType.open, 1, CHAT);
    await peer.send(FrameType.window, 1, encodeWindow(2 ** 31));
  }],
  ["an unknown type", (peer) => peer.send(0x42, 0, pattern(4))],
  ["empty DATA", async (peer) => {
    await peer.send(FrameType.open, 1, CHAT);
    await peer.send(FrameType.data, 1);
  }],
  [
    "a payload over the limit",
    (peer) => peer.connection.write(Uint8Array.fromHex("0200000001ffe9")),
  ],
  [
    "a GOODBYE that is no text",
    (peer) => peer.send(FrameType.goodbye, 0, Uint8Array.fromHex("00ff")),
  ],
  ["an OPEN flood", async (peer) => {
    const opens = Array.from(
      { length: 8_000 },
      (_, index) =>
        encodeFrame({ type: FrameType.open, stream: 2 * index + 1, payload: encodeText("x") }),
    );
    await peer.connection.write(joinBytes(opens));
  }],
];

for (const [what, attack] of offences) {
  Deno.test(`Session ends with a ProtocolError, and says so, when a peer sends ${what}`, async () => {
    const peer = await RawPeer.greeted("responder", { bufferBytes: 1_048_576 });
    await attack(peer);
    const goodbye = decodeGoodbye((await peer.nextOf(FrameType.goodbye)).payload);
    assertEquals(goodbye.code, GoodbyeCode.protocolError);
    peer.connection.close();
    const { error } = await peer.clock.until(peer.session.ended, GOODBYE_TIMEOUT_MS);
    assertInstanceOf(error, ProtocolError);
    assertEquals(goodbye.text, error!.message);
    assertEquals(peer.clock.pending, 0);
  });
}

for (
  const [what, type, payload] of [
    ["DATA", FrameType.data, pattern(1)],
    ["an ACK", FrameType.ack, encodeCount(0)],
    ["a PING", FrameType.ping, encodeCount(0)],
    ["a PONG", FrameType.pong, encodeCount(0)],
  ] as const
) {
  Deno.test(`Session ends when a peer begins with ${what} instead of a HELLO`, async () => {
    const peer = RawPeer.silent("initiator");
    await peer.send(type, 1, payload);
    await peer.nextOf(FrameType.goodbye);
    peer.connection.close();
    const { error } = await peer.clock.until(peer.session.ended, 2_000);
    assertInstanceOf(error, ProtocolError);
  });
}

Deno.test("Session refuses the 129th stream, and takes another when one has ended", async () => {
  const peer = await RawPeer.greeted();
  for (let i = 0; i < MAX_STREAMS; i++) await peer.send(FrameType.open, 2 * i + 1, CHAT);
  await peer.send(FrameType.open, 2 * MAX_STREAMS + 1, CHAT);
  const reset = await peer.nextOf(FrameType.reset);
  assertEquals([reset.stream, reset.payload], [2 * MAX_STREAMS + 1, encodeReset(1)]);
  await peer.send(FrameType.data, 2 * MAX_STREAMS + 1, pattern(10));
  await peer.send(FrameType.reset, 1, encodeReset(0));
  await peer.send(FrameType.open, 2 * MAX_STREAMS + 3, encodeText("chat/2"));
  await settled();
  const accepted: string[] = [];
  while (accepted.at(-1) !== "chat/2") accepted.push((await peer.session.accept())!.kind);
  peer.connection.close();
  await peer.session.fail(new UnreachableError("enough"));
});

Deno.test("Session keeps no streams that a peer opened and reset before anybody accepted them", async () => {
  const peer = await RawPeer.greeted("responder", { bufferBytes: 1_048_576 });
  for (let id = 1; id < 500; id += 2) {
    await peer.connection.write(
      encodeFrame({ type: FrameType.open, stream: id, payload: CHAT }),
      encodeFrame({ type: FrameType.reset, stream: id, payload: encodeReset(0) }),
    );
  }
  await settled();
  await peer.send(FrameType.open, 501, encodeText("last/1"));
  await settled();
  let waiting = 1;
  while ((await peer.session.accept())!.kind !== "last/1") waiting++;
  assert(waiting <= MAX_STREAMS + 1, `${waiting} streams were kept`);
  peer.connection.close();
  await peer.session.fail(new UnreachableError("enough"));
});

Deno.test("Session takes 256 streams at once and 128 a second, opened and reset, and ends with one more", async () => {
  const peer = await RawPeer.greeted();
  let id = -1;
  const open = async (count: number) => {
    for (let n = 0; n < count; n++) {
      await peer.send(FrameType.open, id += 2, CHAT);
      await peer.send(FrameType.reset, id, encodeReset(0));
    }
    await settled();
  };
  await open(MAX_OPENS_AT_ONCE);
  peer.clock.holdUp(2_000);
  await open(2 * MAX_OPENS_PER_SECOND);
  assertEquals(peer.session.state, "connected");
  await open(1);
  const goodbye = decodeGoodbye((await peer.nextOf(FrameType.goodbye)).payload);
  assertEquals(goodbye.code, GoodbyeCode.protocolError);
  assertEquals(goodbye.text, "Session ended: the other side opens streams without end");
  peer.connection.close();
  await peer.clock.until(peer.session.ended, 2_000);
});

Deno.test("Session answers a flood of PINGs with few PONGs while nobody reads them", async () => {
  const peer = await RawPeer.greeted("responder", { bufferBytes: 65_536 });
  for (let i = 0; i < 20_000; i++) await peer.send(FrameType.ping, 0, encodeCount(i));
  await settled();
  assert(peer.connection.unread < 65_536);
  const ending = peer.session.end(GoodbyeCode.interrupted);
  peer.connection.close();
  await peer.clock.until(ending, 2_000);
});

Deno.test("Session cuts off a peer that provokes answers and never reads, or never acknowledges them", async () => {
  for (const reads of [false, true]) {
    const peer = await RawPeer.greeted("responder", { bufferBytes: 65_536 });
    if (reads) peer.drain();
    const opening = (async () => {
      for (let id = 1; id < 400_000; id += 2) await peer.send(FrameType.open, id, CHAT);
    })();
    await peer.clock.until(Promise.race([opening, peer.session.ended]), 2_000);
    const { error } = await peer.clock.until(peer.session.ended, 2_000);
    assertInstanceOf(error, ProtocolError, `reads: ${reads}`);
    peer.connection.close();
    await opening.catch(() => {});
  }
});

Deno.test("Session sends DATA for a stream only within what the other side granted", async () => {
  const peer = await RawPeer.greeted("initiator", { bufferBytes: 4 * 1_048_576 });
  const stream = peer.session.open("chat/1", "urgent");
  const writing = stream.write(new Uint8Array(1_000_000)).catch(() => {});
  await settled();
  let received = 0;
  const counting = (async () => {
    for (;;) received += (await peer.nextOf(FrameType.data)).payload.length;
  })().catch(() => {});
  await settled();
  assertEquals(received, INITIAL_WINDOW_BYTES);
  await peer.send(FrameType.window, 1, encodeWindow(1));
  await settled();
  assertEquals(received, INITIAL_WINDOW_BYTES + 1);
  await peer.session.fail(new UnreachableError("enough"));
  await Promise.all([writing, counting]);
});

Deno.test("Session takes frames that arrive byte by byte", async () => {
  const pair = await sessionPair({ chunk: () => 1 });
  const [near, far] = await openBoth(pair);
  const reading = readStream(far);
  await near.write(pattern(70_000));
  await pair.clock.until(near.finish(), 1_000);
  assertEquals(await reading, pattern(70_000));
  await endPair(pair);
});

Deno.test("Session never has two reads or two writes at once on a connection", async () => {
  const pair = newSessions();
  await pair.join();
  let writes = 0;
  let reads = 0;
  let most = 0;
  const [write, read] = [pair.near.write.bind(pair.near), pair.near.read.bind(pair.near)];
  pair.near.write = async (...parts) => {
    most = Math.max(most, ++writes);
    await settled();
    await write(...parts).finally(() => writes--);
  };
  pair.near.read = (into) => {
    most = Math.max(most, ++reads);
    return read(into).finally(() => reads--);
  };
  const [near, far] = await openBoth(pair);
  const echo = (async () => {
    for (let part = await far.read(); part; part = await far.read()) await far.write(part);
    await far.finish();
  })();
  const back = readStream(near);
  for (let i = 0; i < 50; i++) await near.write(pattern(3_000, i));
  await pair.clock.until(Promise.all([near.finish(), echo, back]), 2_000);
  assertEquals((await back).length, 150_000);
  assertEquals(most, 1);
  await endPair(pair);
});

Deno.test("Session carries 50,000 small messages in little time, acknowledged or not", async () => {
  const pair = await sessionPair();
  const [near, far] = await openBoth(pair);
  const reading = readStream(far);
  for (let i = 0; i < 50_000; i++) await near.write(pattern(64, i));
  await pair.clock.until(near.finish(), 10_000);
  assertEquals((await reading).length, 50_000 * 64);
  await endPair(pair);
});

Deno.test("isNumbered() tells the frames that are sent again", () => {
  const numbered = Object.values(FrameType).filter(isNumbered);
  assertEquals(numbered, [1, 2, 3, 4, 5]);
});

Deno.test("Session leaves no timer behind when it ends while a write is stuck", async () => {
  const peer = await RawPeer.greeted("responder", { bufferBytes: 100 });
  const stuck = peer.session.open("chat/1", "urgent");
  await stuck.write(new Uint8Array(10_000));
  await settled();
  await peer.connection.write(concatBytes(
    encodeFrame({ type: FrameType.open, stream: 1, payload: CHAT }),
    encodeFrame({
      type: FrameType.goodbye,
      stream: 0,
      payload: encodeGoodbye({ code: 0, text: "" }),
    }),
  ));
  await settled();
  peer.connection.cut();
  await peer.clock.until(peer.session.ended, ACK_DELAY_MS / 2, 1);
  assertEquals(peer.clock.pending, 0);
});

Deno.test("Session: after a change of network a connection that does not answer is given up in 3 s", async () => {
  for (const works of [true, false]) {
    const pair = await sessionPair();
    await pair.clock.advance(1);
    if (!works) pair.near.stall();
    pair.initiator.check();
    await pair.clock.advance(2_999);
    assertEquals(pair.initiator.state, "connected");
    await pair.clock.advance(1);
    assertEquals(pair.initiator.state, works ? "connected" : "away");
    if (!works) await pair.join();
    await endPair(pair);
  }
});

Deno.test("Session.isThere(): a connection that says nothing more is given up, and only such a one", async () => {
  for (const works of [true, false]) {
    const pair = await sessionPair();
    await pair.clock.advance(1);
    if (!works) pair.near.stall();
    const there = await pair.clock.until(pair.initiator.isThere(), works ? 100 : 3_000);
    assertEquals([there, pair.initiator.state], [works, works ? "connected" : "away"]);
    if (!works) assertEquals(await pair.initiator.isThere(), false);
    if (!works) await pair.join();
    await endPair(pair);
  }
});
