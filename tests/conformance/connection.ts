/** What every kind of Connection must do: one suite for all of them, each in both directions. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { concatBytes } from "../../protocol/bytes.ts";
import type { Connection } from "../../protocol/connection.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { MAX_RECORD_BYTES } from "../../protocol/limits.ts";

/** A kind of connection, for the suite. */
export interface ConnectionKind {
  name: string;
  /** Two connections that are joined. */
  pair(): Promise<[Connection, Connection]>;
  /** Bytes that are sent at the most: less for slow kinds. */
  largest: number;
  /** Why it cannot be tested here, if it cannot. */
  skip?: string | undefined;
}

type Test = (near: Connection, far: Connection, kind: ConnectionKind) => Promise<void>;

const tests: [string, Test][] = [
  ["bytes arrive whole and in order, whatever their number", carriesEverySize],
  ["read() fills the room it is given and no more", readsInto],
  ["read() without room gives bytes that later reads leave alone", readsFresh],
  ["write() sends many parts one behind the other", writesParts],
  ["both directions work at once", bothDirections],
  ["write() waits when nobody reads, and goes on when somebody does", backpressure],
  ["closeWrite() ends one direction, the other goes on", halfCloses],
  ["null stays null", staysEnded],
  ["close() can be called again", closesTwice],
  ["close() ends a read that waits", closeEndsRead],
  ["close() ends a write that waits", closeEndsWrite],
  ["close() is seen by the other side", closeIsSeen],
  ["nothing works after close()", deadAfterClose],
  ["it closes itself at the end of its scope", disposes],
];

/** Registers the suite for one kind. */
export function testConnections(kind: ConnectionKind): void {
  if (kind.skip) console.warn(`%cNOT TESTED: ${kind.name}: ${kind.skip}`, "color: red");
  for (const [title, test] of tests) {
    for (const direction of ["dialler to listener", "listener to dialler"]) {
      Deno.test({
        name: `${kind.name}, ${direction}: ${title}`,
        ignore: kind.skip !== undefined,
        async fn() {
          const [dialler, listener] = await kind.pair();
          await using near = direction.startsWith("dialler") ? dialler : listener;
          await using far = near === dialler ? listener : dialler;
          await test(near, far, kind);
        },
      });
    }
  }
}

/** Bytes that tell where they belong. */
export function pattern(length: number, seed = 0): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 17 + seed) & 0xff;
  return bytes;
}

/** Exactly the next `length` bytes. */
export async function readExactly(from: Connection, length: number): Promise<Uint8Array> {
  const room = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const read = await from.read(room.subarray(at));
    if (read === null) throw new Error(`The other side ended after ${at} of ${length} bytes`);
    at += read.length;
  }
  return room;
}

/** Everything until the other side ends. */
export async function readAll(from: Connection): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let part = await from.read(); part; part = await from.read()) parts.push(part);
  return concatBytes(...parts);
}

async function carriesEverySize(near: Connection, far: Connection, kind: ConnectionKind) {
  const around = [-1, 0, 1].map((more) => MAX_RECORD_BYTES + more);
  for (const size of [0, 1, 2, 255, 4_096, ...around, 1_048_576]) {
    if (size > kind.largest) continue;
    const sent = pattern(size, size);
    const [received] = await Promise.all([readExactly(far, size), near.write(sent)]);
    assertEquals(received, sent, `${size} bytes`);
  }
}

async function readsInto(near: Connection, far: Connection) {
  const sent = pattern(300);
  await near.write(sent);
  const received: number[] = [];
  for (let size = 1; received.length < 300; size++) {
    const room = new Uint8Array(size + 3).fill(0xee);
    const read = (await far.read(room.subarray(0, size)))!;
    assert(read.length > 0 && read.length <= size);
    assertEquals(read.buffer, room.buffer, "the bytes stand elsewhere");
    assertEquals(read.byteOffset, 0);
    assertEquals([...room.subarray(size)], [0xee, 0xee, 0xee], "behind the room");
    received.push(...read);
  }
  assertEquals(Uint8Array.from(received), sent);
}

async function readsFresh(near: Connection, far: Connection) {
  await near.write(pattern(8, 1));
  const first = (await far.read())!;
  const copy = first.slice();
  await near.write(pattern(8, 100));
  await readExactly(far, 8 - first.length + 8);
  assertEquals(first, copy);
}

async function writesParts(near: Connection, far: Connection) {
  const parts = Array.from({ length: 200 }, (_, index) => pattern(index % 7 * 50, index));
  const whole = concatBytes(...parts);
  const [received] = await Promise.all([readExactly(far, whole.length), near.write(...parts)]);
  assertEquals(received, whole);
}

async function bothDirections(near: Connection, far: Connection, kind: ConnectionKind) {
  const size = Math.min(kind.largest, 300_000);
  const [there, back] = await Promise.all([
    readExactly(far, size),
    readExactly(near, size),
    near.write(pattern(size, 3)),
    far.write(pattern(size, 4)),
  ]);
  assertEquals(there, pattern(size, 3));
  assertEquals(back, pattern(size, 4));
}

/** More than the buffers of any carrier hold. */
const FLOOD_BYTES = 64 * 1_048_576;

async function backpressure(near: Connection, far: Connection, kind: ConnectionKind) {
  const block = pattern(Math.min(kind.largest, 1_048_576));
  let sent = 0;
  let moved = Promise.withResolvers<void>();
  async function flood(): Promise<void> {
    for (; sent < FLOOD_BYTES; moved.resolve()) {
      await near.write(block);
      sent += block.length;
    }
  }
  const flooding = assertRejects(flood, UnreachableError);
  const stuck = await stops(() => sent);
  assert(stuck < FLOOD_BYTES, "nobody read, and everything was taken");
  moved = Promise.withResolvers();
  let received = 0;
  while (sent === stuck) {
    const [read] = await Promise.all([far.read(), Promise.race([moved.promise, undefined])]);
    received += read!.length;
  }
  assert(received > 0);
  near.close();
  await flooding;
}

/** The number that a counter stays at: the same in a hundred turns of the event loop in a row. */
async function stops(counter: () => number): Promise<number> {
  let last = counter();
  for (let same = 0; same < 100; same++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (counter() !== last) same = 0;
    last = counter();
  }
  return last;
}

async function halfCloses(near: Connection, far: Connection) {
  await near.write(pattern(10));
  await near.closeWrite();
  assertEquals(await readAll(far), pattern(10));
  await far.write(pattern(20));
  await far.closeWrite();
  assertEquals(await readAll(near), pattern(20));
}

async function staysEnded(near: Connection, far: Connection) {
  await near.closeWrite();
  assertEquals(await far.read(), null);
  assertEquals(await far.read(new Uint8Array(1)), null);
}

function closesTwice(near: Connection, far: Connection): Promise<void> {
  for (const each of [near, near, far, near, far]) each.close();
  return Promise.resolve();
}

async function closeEndsRead(near: Connection) {
  const reading = assertRejects(() => near.read(), UnreachableError);
  near.close();
  await reading;
}

async function closeEndsWrite(near: Connection) {
  const writing = assertRejects(() => near.write(new Uint8Array(FLOOD_BYTES)), UnreachableError);
  await new Promise((resolve) => setTimeout(resolve, 0));
  near.close();
  await writing;
}

async function closeIsSeen(near: Connection, far: Connection) {
  await near.write(pattern(5));
  assertEquals(await readExactly(far, 5), pattern(5));
  near.close();
  try {
    assertEquals(await far.read(), null);
  } catch (error) {
    assert(error instanceof UnreachableError, String(error));
  }
  await assertRejects(async () => {
    for (;;) await far.write(pattern(65_536));
  }, UnreachableError);
}

async function deadAfterClose(near: Connection, far: Connection) {
  // Bytes that have arrived and were not read are lost, too.
  await far.write(pattern(100));
  await near.read(new Uint8Array(10));
  near.close();
  await assertRejects(() => near.read(), UnreachableError);
  await assertRejects(() => near.read(new Uint8Array(1)), UnreachableError);
  await assertRejects(() => near.write(pattern(1)), UnreachableError);
  await assertRejects(() => near.closeWrite(), UnreachableError);
}

async function disposes(near: Connection) {
  {
    await using scoped = near;
    assert(scoped.remote !== "");
  }
  await assertRejects(() => near.read(), UnreachableError);
}
