import { assertEquals, assertRejects } from "@std/assert";
import { streamPair } from "../fakes/stream_pair.ts";
import type { ByteStream } from "../../protocol/connection.ts";
import { MAX_PAYLOAD_BYTES, MAX_SLABS, SLAB_BYTES } from "../../protocol/limits.ts";
import { FileMessage } from "../../protocol/offer.ts";
import { MessageReader } from "../../transfer/message_reader.ts";
import { MessageWriter } from "../../transfer/message_writer.ts";
import { noise } from "./rig.ts";

/** A stream that takes every write at once and acknowledges when it is told to. */
class Sink implements Pick<ByteStream, "write"> {
  readonly writes: number[] = [];
  readonly releases: (() => void)[] = [];

  write(bytes: Uint8Array, released?: () => void): Promise<void> {
    this.writes.push(bytes.length);
    if (released) this.releases.push(released);
    return Promise.resolve();
  }
}

async function fill(writer: MessageWriter, bytes: number): Promise<void> {
  for (let left = bytes; left > 0;) {
    const count = Math.min(left, (await writer.room()).length);
    writer.data(count);
    left -= count;
  }
}

Deno.test("MessageWriter writes whole frames of a large file", async () => {
  const sink = new Sink();
  const writer = new MessageWriter(sink as unknown as ByteStream, () => {});
  await writer.message(FileMessage.begin, new Uint8Array(12));
  await fill(writer, 5 * SLAB_BYTES);
  assertEquals(sink.writes.length, 5);
  for (const length of sink.writes) assertEquals(length % MAX_PAYLOAD_BYTES, 0);
});

Deno.test("MessageWriter carries messages of any size in their order", async () => {
  const [a, b] = streamPair({ windowBytes: 64 * SLAB_BYTES });
  const writer = new MessageWriter(a, () => {});
  const bodies = [3, SLAB_BYTES + 1, 0, SLAB_BYTES - 5, 70_000, 3 * SLAB_BYTES, 1].map((size) =>
    noise(size, size + 1)
  );
  for (const body of bodies) await writer.message(1, body);
  await writer.drain();
  const reader = new MessageReader(b, () => 4 * SLAB_BYTES);
  for (const body of bodies) assertEquals((await reader.read())?.body, body);
});

Deno.test("MessageWriter waits when all slabs are on their way, and goes on when one is back", async () => {
  const sink = new Sink();
  const writer = new MessageWriter(sink as unknown as ByteStream, () => {});
  let done = false;
  const filling = fill(writer, (MAX_SLABS + 0.5) * SLAB_BYTES).then(() => done = true);
  while (sink.writes.length < MAX_SLABS) await Promise.resolve();
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  assertEquals([done, sink.writes.length], [false, MAX_SLABS]);
  sink.releases.shift()!();
  await filling;
});

Deno.test("MessageWriter tells the bytes of files that were acknowledged, and no others", async () => {
  const sink = new Sink();
  const delivered: number[] = [];
  const writer = new MessageWriter(sink as unknown as ByteStream, (bytes) => delivered.push(bytes));
  await writer.message(FileMessage.begin, new Uint8Array(12));
  await fill(writer, 1_000);
  await writer.drain();
  await writer.message(FileMessage.end);
  await writer.drain();
  assertEquals(delivered, []);
  for (const release of sink.releases) release();
  assertEquals(delivered, [1_000]);
});

Deno.test("MessageWriter.fail() ends the wait for a slab", async () => {
  const sink = new Sink();
  const writer = new MessageWriter(sink as unknown as ByteStream, () => {});
  const filling = fill(writer, (MAX_SLABS + 0.5) * SLAB_BYTES);
  while (sink.writes.length < MAX_SLABS) await Promise.resolve();
  writer.fail(new Error("over"));
  await assertRejects(() => filling, Error, "over");
});
