import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import fc from "fast-check";
import {
  type SecureConnection,
  secureInitiator,
  type SecureOptions,
  secureResponder,
} from "../../protocol/secure.ts";
import { concatBytes, encodeText } from "../../protocol/bytes.ts";
import type { Connection } from "../../protocol/connection.ts";
import {
  IdentityError,
  ProtocolError,
  RefusedError,
  UnreachableError,
} from "../../protocol/errors.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import {
  HANDSHAKE_TIMEOUT_MS,
  MAX_HANDSHAKE_BYTES,
  MAX_RECORD_BYTES,
} from "../../protocol/limits.ts";
import { generateKeyPair, HandshakeState } from "../../protocol/noise.ts";
import { SESSION_PREFACE, TLS_PREFACE } from "../../protocol/preface.ts";
import { pattern, readAll, readExactly } from "../conformance/connection.ts";
import { systemClock } from "../../peer/clock.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { connectionPair, type MemoryConnection } from "../fakes/connection_pair.ts";

const alice = generateKeyPair();
const bob = generateKeyPair();

function respond(connection: Connection, options: Partial<SecureOptions> = {}) {
  return secureResponder(connection, new ReceiveBuffer(64), {
    identity: bob,
    clock: systemClock,
    ...options,
  });
}

function initiate(connection: Connection, options: Partial<SecureOptions> = {}) {
  return secureInitiator(connection, { identity: alice, clock: systemClock, ...options });
}

async function securePair(
  [near, far] = connectionPair(),
): Promise<[SecureConnection, SecureConnection, MemoryConnection, MemoryConnection]> {
  const [a, b] = await Promise.all([initiate(near), respond(far)]);
  return [a, b, near, far];
}

Deno.test("secure: each side knows the other's key, and what carries it", async () => {
  const [a, b] = await securePair();
  assertEquals([a.remoteKey, b.remoteKey], [bob.publicKey, alice.publicKey]);
  assertEquals([a.carrier, a.remote, a.path], ["secure memory", "memory:1", "direct"]);
});

Deno.test("secureInitiator() sends preface and first message at once, in the published layout", async () => {
  const [near, far] = connectionPair();
  const outcome = initiate(near).catch((error) => error);
  const first = await readExactly(far, SESSION_PREFACE.length + 2 + 32);
  assertEquals(first.subarray(0, 14), encodeText("p2p/1 session\n"));
  assertEquals(first.subarray(14, 16), Uint8Array.of(0, 32));
  await settled();
  assertEquals(far.unread, 0);
  far.close();
  assertInstanceOf(await outcome, UnreachableError);
});

Deno.test("secure: handshake messages have 32, 96 and 64 bytes, and records 16 more than they carry", async () => {
  const [a, b, near, far] = await securePair();
  assertEquals(near.sent, 14 + 2 + 32 + 2 + 64);
  assertEquals(far.sent, 14 + 2 + 96);
  const before = near.sent;
  await a.write(pattern(100), pattern(50));
  assertEquals(near.sent - before, 2 + 150 + 16);
  assertEquals(await b.read(), concatBytes(pattern(100), pattern(50)));
});

Deno.test("secure.write() packs parts into as few records as hold them, and cuts none that fits one", async () => {
  const [a, b, near] = await securePair(connectionPair({ bufferBytes: 1_048_576 }));
  const before = near.sent;
  await a.write(
    pattern(7),
    pattern(65_512),
    pattern(7),
    pattern(65_512),
    pattern(MAX_RECORD_BYTES + 1),
  );
  assertEquals(near.sent - before, 2 * (7 + 65_512) + MAX_RECORD_BYTES + 1 + 4 * 18);
  const sizes = [];
  for (let i = 0; i < 4; i++) sizes.push((await b.read())!.length);
  assertEquals(sizes, [MAX_RECORD_BYTES, MAX_RECORD_BYTES, MAX_RECORD_BYTES, 1]);
});

Deno.test("secure.write() of nothing sends nothing", async () => {
  const [a, , near] = await securePair();
  const before = near.sent;
  await a.write();
  await a.write(new Uint8Array(0), new Uint8Array(0));
  assertEquals(near.sent, before);
});

Deno.test("secure: the nonce differs each time: the same text is never the same record", async () => {
  const [a, , , far] = await securePair();
  await a.write(pattern(20));
  await a.write(pattern(20));
  const first = await readExactly(far, 38);
  assert(first.join() !== (await readExactly(far, 38)).join());
});

Deno.test("secure: nothing of the text or the identities goes over the line in clear", async () => {
  const [near, far] = connectionPair();
  const seen: number[] = [];
  for (const each of [near, far]) {
    const write = each.write.bind(each);
    each.write = (...parts) => {
      for (const part of parts) seen.push(...part);
      return write(...parts);
    };
  }
  const [a] = await securePair([near, far]);
  await a.write(encodeText("attack at dawn"));
  const line = String.fromCharCode(...seen);
  for (const secret of [encodeText("attack at dawn"), alice.publicKey, bob.publicKey]) {
    assert(!line.includes(String.fromCharCode(...secret)));
  }
});

Deno.test("secure: whichever byte is altered on the way, the receiver gets a ProtocolError and nothing false", async () => {
  const length = 2 + 40 + 16;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 3 * length - 1 }), async (offset) => {
      const [a, b, near] = await securePair();
      near.corrupt(near.sent + offset);
      for (let i = 0; i < 3; i++) await a.write(pattern(40, i));
      await a.closeWrite();
      let whole = 0;
      const error = await assertRejects(async () => {
        for (let read = await b.read(); read; read = await b.read()) {
          assertEquals(read, pattern(40, whole++));
        }
      });
      assert(whole <= Math.floor(offset / length));
      // An altered length may make the record seem longer than what follows.
      const inLength = offset % length < 2;
      assert(
        error instanceof ProtocolError || (inLength && error instanceof UnreachableError),
        `${error}`,
      );
    }),
    { numRuns: 180 },
  );
});

Deno.test("secure: whichever byte of the handshake is altered, neither side takes the other for known", async () => {
  for (let offset = 0; offset < 112; offset++) {
    for (const side of [0, 1]) {
      const clock = new FakeClock();
      const pair = connectionPair();
      pair[side]!.corrupt(offset);
      const both = Promise.allSettled([
        initiate(pair[0], { clock }).then((secure) => secure.write(pattern(1))),
        respond(pair[1], { clock }).then((secure) => secure.read()),
      ]);
      await clock.advance(HANDSHAKE_TIMEOUT_MS);
      const [initiator, responder] = await both;
      const where = `byte ${offset} of the ${side === 0 ? "initiator" : "responder"}`;
      assertEquals(responder!.status, "rejected", where);
      if (side === 1) assertEquals(initiator!.status, "rejected", where);
    }
  }
});

Deno.test("secure: a record that is repeated or dropped on the way is refused", async () => {
  for (const trick of ["repeat", "drop"]) {
    const [near, relayIn] = connectionPair();
    const [relayOut, far] = connectionPair();
    const both = Promise.all([initiate(near), respond(far)]);
    await relayOut.write(await readExactly(relayIn, 48));
    await relayIn.write(await readExactly(relayOut, 112));
    await relayOut.write(await readExactly(relayIn, 66));
    const [a, b] = await both;
    await a.write(pattern(10));
    const record = await readExactly(relayIn, 28);
    if (trick === "repeat") await relayOut.write(record);
    await a.write(pattern(10));
    await relayOut.write(trick === "repeat" ? record : await readExactly(relayIn, 28));
    if (trick === "repeat") assertEquals(await b.read(), pattern(10));
    await assertRejects(() => b.read(), ProtocolError);
  }
});

Deno.test("secure.read() tells an end in the middle of a record from one between two", async () => {
  const [a, b, near, far] = await securePair();
  await a.write(pattern(10));
  await near.closeWrite();
  assertEquals(await readAll(b), pattern(10));
  const [, d, third] = await securePair();
  await third.write(Uint8Array.of(0, 30, 1, 2, 3));
  await third.closeWrite();
  await assertRejects(() => d.read(), UnreachableError);
  far.close();
});

Deno.test("secure.read() refuses records shorter than their tag", async () => {
  for (
    const record of [
      Uint8Array.of(0, 0),
      Uint8Array.of(0, 1, 9),
      concatBytes(Uint8Array.of(0, 15), pattern(15)),
    ]
  ) {
    const [, b, near] = await securePair();
    await near.write(record);
    await assertRejects(() => b.read(), ProtocolError);
  }
});

/** A connection to which records of these bytes are sent, the empty ones too. */
async function secureWithRecords(...texts: Uint8Array[]): Promise<Connection> {
  const [near, far] = connectionPair();
  const responding = respond(far);
  const noise = new HandshakeState({
    protocolName: "Noise_XX_25519_ChaChaPoly_SHA256",
    initiator: true,
    prologue: SESSION_PREFACE,
    staticKey: alice,
  });
  await near.write(SESSION_PREFACE, Uint8Array.of(0, 32), noise.writeMessage());
  noise.readMessage((await readExactly(near, 112)).subarray(16));
  await near.write(Uint8Array.of(0, 64), noise.writeMessage());
  const { send } = noise.split();
  const b = await responding;
  for (const text of texts) {
    const record = new Uint8Array(2 + text.length + 16);
    record[1] = send.seal([text], record, 2);
    await near.write(record);
  }
  return b;
}

Deno.test("secure.read() skips a few empty records, and refuses many in a row", async () => {
  const few = Array<Uint8Array>(16).fill(pattern(0));
  const b = await secureWithRecords(...few, pattern(5), ...few, pattern(6), ...few, pattern(0));
  assertEquals(await b.read(), pattern(5));
  assertEquals(await b.read(), pattern(6));
  await assertRejects(() => b.read(), ProtocolError, "empty");
});

Deno.test("secureInitiator() gives the responder's key to be checked before it shows its own", async () => {
  const [near, far] = connectionPair();
  let sentBefore = 0;
  const refusal = new IdentityError("Peer refused: for a test");
  const initiating = initiate(near, {
    checkKey(key) {
      assertEquals(key, bob.publicKey);
      sentBefore = near.sent;
      throw refusal;
    },
  });
  const [mine, theirs] = await Promise.allSettled([initiating, respond(far)]);
  assertEquals((mine as PromiseRejectedResult).reason, refusal);
  assertInstanceOf((theirs as PromiseRejectedResult).reason, UnreachableError);
  assertEquals([near.sent, near.sent], [sentBefore, 48]);
  assert(near.closed && far.closed);
});

Deno.test("secureResponder() gives the initiator's key to be checked", async () => {
  const [near, far] = connectionPair();
  const refusal = new IdentityError("Peer refused: for a test");
  const [, theirs] = await Promise.allSettled([
    initiate(near),
    respond(far, { checkKey: () => Promise.reject(refusal) }),
  ]);
  assertEquals((theirs as PromiseRejectedResult).reason, refusal);
  assert(far.closed);
});

for (
  const [what, line, kind, words] of [
    ["another version", "p2p/2 session\n", ProtocolError, "unknown preface"],
    ["an unknown word", "p2p/1 relay\n", ProtocolError, "unknown preface"],
    ["an error", "p2p/1 error too busy today\n", RefusedError, "too busy today"],
    ["HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", ProtocolError, "something else"],
    ["SSH", "SSH-2.0-OpenSSH_9.2\r\n", ProtocolError, "something else"],
    ["one byte that is not ours", "x", ProtocolError, "something else"],
    ["a line over the limit", "p2p/1 error " + "x".repeat(300), ProtocolError, "256"],
    ["nothing but its end", "", UnreachableError, "closed the connection"],
  ] as const
) {
  Deno.test(`secureInitiator() tells ${what} apart`, async () => {
    const [near, far] = connectionPair();
    const initiating = initiate(near);
    await far.write(encodeText(line));
    await far.closeWrite();
    const error = await assertRejects(() => initiating, kind);
    assert((error as Error).message.includes(words), (error as Error).message);
    assert(near.closed);
  });
}

for (
  const [what, line, answer] of [
    ["another version", "p2p/2 session\n", "p2p/1 error this side speaks version 1 only"],
    ["no version", "p2p/ session\n", "p2p/1 error this side speaks version 1 only"],
    ["an unknown word", "p2p/1 tunnel abc\n", "p2p/1 error unknown kind of connection"],
    ["the word of a relay", "p2p/1 relay\n", "p2p/1 error this is a peer, not a relay"],
    ["more behind the word", "p2p/1 session x\n", "p2p/1 error unknown kind of connection"],
    ["no word", "p2p/1\n", "p2p/1 error unknown kind of connection"],
  ] as const
) {
  Deno.test(`secureResponder() answers ${what} with one line, and closes`, async () => {
    const [near, far] = connectionPair();
    const responding = respond(far);
    await near.write(encodeText(line));
    await assertRejects(() => responding, ProtocolError);
    const text = new TextDecoder().decode(await readAll(near));
    assert(text.startsWith(answer) && text.endsWith("\n"), text);
    assertEquals(text.split("\n").length, 2);
  });
}

Deno.test("secure: a handshake message over its limit is refused before its body is there", async () => {
  for (const length of [MAX_HANDSHAKE_BYTES + 1, 65_535]) {
    const header = Uint8Array.of(length >> 8, length & 0xff);
    const [near, far] = connectionPair();
    const responding = respond(far);
    await near.write(SESSION_PREFACE, header);
    await assertRejects(() => responding, ProtocolError);
    const [other, mallory] = connectionPair();
    const initiating = initiate(other);
    await mallory.write(SESSION_PREFACE, header);
    await assertRejects(() => initiating, ProtocolError);
  }
});

Deno.test("secureResponder() refuses handshake messages that are too short, or keys of low order", async () => {
  for (const body of [new Uint8Array(0), pattern(31), new Uint8Array(32)]) {
    const [near, far] = connectionPair();
    const responding = respond(far);
    await near.write(SESSION_PREFACE, Uint8Array.of(0, body.length), body);
    await assertRejects(() => responding, ProtocolError);
    assert(far.closed);
  }
});

Deno.test("secure: either side gives up after 10 s of silence, or of one byte a second", async () => {
  for (const drip of [false, true]) {
    for (const attempt of [initiate, respond]) {
      const clock = new FakeClock();
      const [near, far] = connectionPair();
      const outcome = assertRejects(() => attempt(near, { clock }), UnreachableError);
      let gone = false;
      outcome.then(() => gone = true);
      for (let i = 0; i < HANDSHAKE_TIMEOUT_MS / 1_000; i++) {
        if (drip) await far.write(SESSION_PREFACE.subarray(i, i + 1));
        assert(!gone, "it gave up early");
        await clock.advance(1_000);
      }
      const error = await outcome as UnreachableError;
      assert(error.message.includes("10 s"), error.message);
      assert(near.closed);
      assertEquals(clock.pending, 0);
    }
  }
});

Deno.test("secure: a signal ends the handshake with its reason, and leaves no timer", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const [near] = connectionPair();
  const outcome = initiate(near, { clock, signal: controller.signal }).catch((error) => error);
  await settled();
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await outcome, reason);
  assert(near.closed);
  assertEquals(clock.pending, 0);
  const [again] = connectionPair();
  assertEquals(
    await initiate(again, { clock, signal: controller.signal }).catch((error) => error),
    reason,
  );
  assert(again.closed);
});

Deno.test("secure: bytes that came together with the handshake are not lost", async () => {
  const [near, far] = connectionPair();
  // The last handshake message and the first records arrive in one read.
  const reading = respond(far).then(async (secure) => await readExactly(secure, 3_000));
  const a = await initiate(near);
  await a.write(pattern(1_000));
  await a.write(pattern(2_000));
  assertEquals(await reading, concatBytes(pattern(1_000), pattern(2_000)));
});

/** Two ends of a connection that keeps its bytes by itself, as far as both say. */
async function boundPair(near: Uint8Array, far = near) {
  const pair = connectionPair({ bufferBytes: 1_048_576 });
  const [a, b] = [
    Object.assign(pair[0], { binding: near }),
    Object.assign(pair[1], { binding: far }),
  ];
  const clock = new FakeClock();
  const both = await Promise.allSettled([initiate(a, { clock }), respond(b, { clock })]);
  return { pair, both };
}

const BINDING = pattern(32);

Deno.test("secure: on a connection with a binding only the handshake's messages and lengths are added", async () => {
  const { pair: [near, far], both } = await boundPair(BINDING);
  assertEquals([near.sent, far.sent], [2 + 32 + 2 + 64, 2 + 96]);
  const [a, b] = both.map((each) => (each as PromiseFulfilledResult<SecureConnection>).value);
  assertEquals([a!.remoteKey, b!.remoteKey], [bob.publicKey, alice.publicKey]);
  const before = near.sent;
  await a!.write(pattern(7), pattern(MAX_RECORD_BYTES - 7), pattern(3));
  assertEquals(near.sent - before, MAX_RECORD_BYTES + 3 + 2 * 2);
  assertEquals((await b!.read())!.length, MAX_RECORD_BYTES);
  assertEquals(await b!.read(), pattern(3));
  await near.write(Uint8Array.of(0, 2, 5, 6));
  assertEquals(await b!.read(), Uint8Array.of(5, 6));
});

Deno.test("secure: a record that no sealed one could be is refused on a connection with a binding, too", async () => {
  const { pair: [near], both } = await boundPair(BINDING);
  const [, b] = both.map((each) => (each as PromiseFulfilledResult<SecureConnection>).value);
  await near.write(Uint8Array.of(0xff, 0xff));
  await assertRejects(() => b!.read(), ProtocolError, "65535 bytes where 65519 are allowed");
});

Deno.test("secure: both sides must see the same binding, and the initiator knows first", async () => {
  const other = pattern(32);
  other[31]! ^= 1;
  const { both: [initiator, responder] } = await boundPair(BINDING, other);
  assertInstanceOf((initiator as PromiseRejectedResult).reason, ProtocolError);
  assertEquals(responder!.status, "rejected");
});

Deno.test("secure: the prologue inside TLS is the preface line and the binding", async () => {
  const [near, far] = connectionPair();
  const outcome = initiate(Object.assign(near, { binding: BINDING }));
  const noise = new HandshakeState({
    protocolName: "Noise_XX_25519_ChaChaPoly_SHA256",
    initiator: false,
    prologue: concatBytes(encodeText("p2p/1 tls\n"), BINDING),
    staticKey: bob,
  });
  noise.readMessage((await readExactly(far, 34)).subarray(2));
  await far.write(Uint8Array.of(0, 96), noise.writeMessage());
  noise.readMessage((await readExactly(far, 66)).subarray(2));
  assertEquals(noise.remoteStaticKey, alice.publicKey);
  assertEquals(TLS_PREFACE, encodeText("p2p/1 tls\n"));
  (await outcome).close();
});

Deno.test("secure: who asks for TLS where there is none is told so", async () => {
  const [near, far] = connectionPair();
  const outcome = assertRejects(() => respond(far), ProtocolError);
  await near.write(TLS_PREFACE);
  await outcome;
  assertEquals(
    await readAll(near),
    encodeText("p2p/1 error this side does not go on inside TLS here\n"),
  );
});
