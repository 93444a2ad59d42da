import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { joinBytes } from "../../protocol/bytes.ts";
import { Inbox } from "../../protocol/inbox.ts";

function drain(inbox: Inbox): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let chunk = inbox.take(); chunk; chunk = inbox.take()) chunks.push(chunk);
  return chunks;
}

Deno.test("Inbox gives back what was added, in order, however adding and taking alternate", () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 900, max: 20_000 }));
  fc.assert(fc.property(fc.array(fc.tuple(size, fc.boolean()), { maxLength: 60 }), (steps) => {
    const inbox = new Inbox();
    const added: Uint8Array[] = [];
    const taken: Uint8Array[] = [];
    steps.forEach(([length, take], index) => {
      const bytes = new Uint8Array(length).fill(index);
      added.push(bytes.slice());
      inbox.add(bytes);
      assertEquals(inbox.empty, false);
      if (take) taken.push(inbox.take()!);
    });
    taken.push(...drain(inbox));
    assertEquals(inbox.empty, true);
    assertEquals(joinBytes(taken), joinBytes(added));
  }));
});

Deno.test("Inbox holds little more memory than the bytes that wait in it, whatever their pieces", () => {
  for (const sizes of [[1], [1, 1_024], [1_023], [1_023, 1_024], [9_000, 1], [1, 1, 1, 5_000]]) {
    const inbox = new Inbox();
    let waiting = 0;
    for (let i = 0; waiting < 262_144; i++) {
      const length = sizes[i % sizes.length]!;
      inbox.add(new Uint8Array(length));
      waiting += length;
    }
    const buffers = new Set(drain(inbox).map((chunk) => chunk.buffer));
    const held = [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0);
    assert(held <= 2 * waiting + 32_768, `${sizes}: ${held} bytes for ${waiting}`);
    assert(buffers.size <= waiting / 200, `${sizes}: ${buffers.size} arrays`);
  }
});

Deno.test("Inbox.take() gives bytes that later ones leave alone", () => {
  const inbox = new Inbox();
  for (const fill of [1, 2, 3]) inbox.add(new Uint8Array(5).fill(fill));
  inbox.take();
  const shared = inbox.take()!;
  inbox.add(new Uint8Array(5).fill(9));
  inbox.add(new Uint8Array(5).fill(9));
  assertEquals(shared, Uint8Array.of(2, 2, 2, 2, 2, 3, 3, 3, 3, 3));
});

Deno.test("Inbox.clear() forgets everything", () => {
  const inbox = new Inbox();
  for (let i = 0; i < 3; i++) inbox.add(new Uint8Array(5));
  inbox.clear();
  assertEquals([inbox.empty, inbox.take()], [true, undefined]);
  inbox.add(Uint8Array.of(4));
  assertEquals(inbox.take(), Uint8Array.of(4));
});
