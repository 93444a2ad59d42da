import { Budget } from "../../protocol/budget.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeText } from "../../protocol/bytes.ts";
import type { Connection } from "../../protocol/connection.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { join, type JoinOptions } from "../../relay/copy.ts";
import { Turns } from "../../relay/turns.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import {
  connectionPair,
  type ConnectionPairOptions,
  seededRandom,
} from "../fakes/connection_pair.ts";

const NOTHING = new Uint8Array(0);
const IDLE_MS = 120_000;

/** Two people at the ends of a circuit. */
function rig(options: Partial<JoinOptions> & { pair?: ConnectionPairOptions } = {}) {
  const clock = new FakeClock();
  const [alice, aliceAtRelay] = connectionPair(options.pair);
  const [bob, bobAtRelay] = connectionPair(options.pair);
  let bytes = 0;
  const joined = join(
    { connection: aliceAtRelay, received: NOTHING },
    { connection: bobAtRelay, received: encodeText("early ") },
    {
      clock,
      greeting: encodeText("hi\n"),
      rate: Infinity,
      idleMs: IDLE_MS,
      onBytes: (count) => bytes += count,
      turns: new Turns(clock),
      buffers: new Budget(64 * 1_048_576),
      ...options,
    },
  );
  return { clock, alice, bob, aliceAtRelay, bobAtRelay, joined, bytes: () => bytes };
}

async function readText(connection: Connection): Promise<string> {
  let text = "";
  for (let bytes = await connection.read(); bytes; bytes = await connection.read()) {
    text += new TextDecoder().decode(bytes);
  }
  return text;
}

Deno.test("join() greets both ends, and passes on what one has said before", async () => {
  const { alice, bob, joined, clock, bytes } = rig();
  await alice.write(encodeText("to bob"));
  await alice.closeWrite();
  await bob.write(encodeText("to alice"));
  await bob.closeWrite();
  assertEquals(await readText(alice), "hi\nearly to alice");
  assertEquals(await readText(bob), "hi\nto bob");
  await joined;
  assertEquals([bytes(), clock.pending], [20, 0]);
});

Deno.test("join() passes on the end of one direction, and the other goes on", async () => {
  const { alice, bob, joined, bobAtRelay } = rig();
  await alice.write(encodeText("question"));
  await alice.closeWrite();
  assertEquals(await readText(bob), "hi\nquestion");
  assertEquals(bobAtRelay.closed, false);
  await bob.write(encodeText("answer"));
  await bob.closeWrite();
  assertEquals(await readText(alice), "hi\nearly answer");
  await joined;
  assertEquals(bobAtRelay.closed, true);
});

Deno.test("join() closes both when one breaks", async () => {
  const { alice, bob, joined } = rig();
  alice.cut();
  await joined;
  await assertRejects(() => bob.write(encodeText("?")), UnreachableError);
});

Deno.test("join() carries much, in pieces of any size, unchanged", async () => {
  const random = seededRandom(11);
  const chunk = (atHand: number) => 1 + Math.floor(random() * atHand);
  const { alice, bob, joined } = rig({ pair: { chunk, bufferBytes: 300_000 } });
  const sent = new Uint8Array(3_000_000).map((_, i) => i * 31 ^ i >> 8);
  const writing = alice.write(sent).then(() => alice.closeWrite());
  const arrived: Uint8Array[] = [];
  for (let bytes = await bob.read(); bytes; bytes = await bob.read()) arrived.push(bytes);
  await writing;
  await bob.closeWrite();
  await joined;
  const all = new Uint8Array(await new Blob(arrived as BlobPart[]).arrayBuffer());
  assertEquals(all.length, sent.length + 3);
  assert(all.subarray(3).every((byte, i) => byte === sent[i]));
});

Deno.test("join() holds no more than a buffer of what one end does not read", async () => {
  const { alice, bob, aliceAtRelay, joined } = rig({ pair: { bufferBytes: 4_096 } });
  let written = 0;
  const piece = new Uint8Array(4_096);
  (async () => {
    for (;;) written += (await alice.write(piece), piece.length);
  })().catch(() => {});
  for (let i = 0; i < 200; i++) await settled();
  // What the two lines hold, and one buffer.
  assert(written <= 4 * 4_096, `took ${written}`);
  await bob.write(encodeText("still"));
  await settled();
  assertEquals(aliceAtRelay.sent, "hi\nearly still".length);
  alice.close();
  bob.close();
  await joined;
});

Deno.test("join() closes both after two minutes without a byte, and not before", async () => {
  const { alice, bob, clock, joined, aliceAtRelay } = rig();
  await alice.read();
  await clock.advance(IDLE_MS - 1);
  await bob.write(encodeText("x"));
  await settled();
  await clock.advance(IDLE_MS - 1);
  assertEquals(aliceAtRelay.closed, false);
  await clock.advance(1);
  assertEquals(aliceAtRelay.closed, true);
  await joined;
  assertEquals(clock.pending, 0);
});

Deno.test("join() closes ends that take nothing, not even the greeting", async () => {
  const { clock, joined } = rig({ pair: { bufferBytes: 1 } });
  await clock.advance(IDLE_MS);
  await joined;
  assertEquals(clock.pending, 0);
});

Deno.test("join() keeps to the rate", async () => {
  const { alice, bobAtRelay, clock, joined } = rig({
    rate: 10_000,
    pair: { bufferBytes: 200_000 },
  });
  await alice.write(new Uint8Array(100_000));
  await clock.advance(5_000);
  const { sent } = bobAtRelay;
  assert(sent > 50_000 && sent <= 53_000, String(sent));
  alice.cut();
  await clock.until(joined, 1_000);
  assertEquals(clock.pending, 0);
});

Deno.test("join() rests while others have their turn, and loses nothing by it", async () => {
  const { alice, bob, joined, clock, bytes } = rig();
  const size = 12 * 1_048_576;
  const sending = (async () => {
    const piece = new Uint8Array(262_144);
    for (let sent = 0; sent < size; sent += piece.length) await alice.write(piece);
    await alice.closeWrite();
  })();
  let read = 0;
  const reading = (async () => {
    for (let some = await bob.read(); some; some = await bob.read()) read += some.length;
  })();
  for (let before = -1; read !== before;) {
    before = read;
    await settled();
  }
  assert(bytes() >= 8 * 1_048_576 && bytes() < size, `${bytes()} bytes passed`);
  await clock.until(reading, 1_000);
  assertEquals(read, size + "hi\n".length);
  await sending;
  await bob.closeWrite();
  await joined;
  assertEquals(clock.pending, 0);
});

Deno.test("join() makes do with small buffers where others have all large ones, and gives back what it had", async () => {
  const film = new Uint8Array(2_000_000).fill(7);
  for (const bytes of [0, 100_000, 64 * 1_048_576]) {
    const buffers = new Budget(bytes);
    let least = bytes;
    const onBytes = () => least = Math.min(least, buffers.left);
    const pair = { bufferBytes: 1_048_576 };
    const { alice, bob, joined } = rig({ buffers, onBytes, pair });
    const sending = alice.write(film).then(() => alice.closeWrite());
    await bob.closeWrite();
    const received = await readText(bob);
    assertEquals(received.length, "hi\n".length + film.length);
    await Promise.all([sending, readText(alice), joined]);
    assertEquals([least >= 0, least < bytes || bytes === 0, buffers.left], [true, true, bytes]);
  }
});
