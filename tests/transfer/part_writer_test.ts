import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { FileError } from "../../protocol/errors.ts";
import { PartWriter } from "../../transfer/part_writer.ts";
import { Promptness } from "../../transfer/promptness.ts";
import { MIB, noise, Rig } from "./rig.ts";

Deno.test("PartWriter writes files of any size, one after the other", async () => {
  using rig = new Rig();
  const writer = new PartWriter();
  for (const size of [10, 5 * MIB + 3, 0, MIB, 70 * MIB]) {
    const path = join(rig.target, `f${size}`);
    using file = Deno.openSync(path, { write: true, create: true });
    writer.begin(file, path);
    const content = noise(size);
    for (let at = 0; at < size; at += 99_991) await writer.write(content.subarray(at, at + 99_991));
    await writer.end();
    assertEquals(Deno.readFileSync(path).every((byte, index) => byte === content[index]), true);
    assertEquals(Deno.statSync(path).size, size);
  }
});

Deno.test("PartWriter leaves a disk that makes it wait to the thread pool, for a while, and loses nothing", async () => {
  using rig = new Rig();
  let [now, calls] = [0, 0];
  // Every third blocking call takes long.
  const promptness = new Promptness(() => now += ++calls % 6 === 0 ? 25 : 0);
  const writer = new PartWriter(promptness);
  const path = join(rig.target, "film");
  using file = Deno.openSync(path, { write: true, create: true });
  writer.begin(file, path);
  const content = noise(40 * MIB + 17);
  for (let at = 0; at < content.length; at += 65_512) {
    await writer.write(content.subarray(at, at + 65_512));
  }
  await writer.end();
  assertEquals(Deno.readFileSync(path).every((byte, index) => byte === content[index]), true);
  assert(calls > 6 && calls < 200, `${calls / 2} blocking calls of 640`);
});

for (const size of [10, MIB, 1.5 * MIB, 20 * MIB]) {
  Deno.test(`PartWriter tells that the disk is full, of ${size} bytes`, async () => {
    const writer = new PartWriter();
    using file = Deno.openSync("/dev/full", { write: true });
    writer.begin(file, "name");
    const fill = async () => {
      for (let at = 0; at < size; at += 65_536) {
        await writer.write(new Uint8Array(Math.min(65_536, size - at)));
      }
      await writer.end();
    };
    await assertRejects(fill, FileError, "Cannot write name: no space left on the disk");
    await writer.settled();
  });
}
