import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";

const CHUNK_BYTES = 4 * 1_048_576;

/** Fails unless both files have the same bytes. */
export async function assertSameBytes(actual: string, expected: string): Promise<void> {
  using one = await Deno.open(actual);
  using other = await Deno.open(expected);
  assertEquals((await one.stat()).size, (await other.stat()).size, `${actual} has another size`);
  const [left, right] = [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES)];
  for (let at = 0;; at += CHUNK_BYTES) {
    const [count] = await Promise.all([fill(one, left), fill(other, right)]);
    const same = left.subarray(0, count).equals(right.subarray(0, count));
    assert(same, `${actual} differs within ${CHUNK_BYTES} bytes from ${at}`);
    if (count < CHUNK_BYTES) return;
  }
}

/** Reads until the buffer is full or the file at its end. @returns the number of bytes */
async function fill(file: Deno.FsFile, buffer: Uint8Array): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const count = await file.read(buffer.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return filled;
}
