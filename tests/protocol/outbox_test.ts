import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { joinBytes } from "../../protocol/bytes.ts";
import { MAX_PAYLOAD_BYTES } from "../../protocol/limits.ts";
import { Outbox, type Payload } from "../../protocol/outbox.ts";

const bytes = (length: number, fill = 0) => new Uint8Array(length).fill(fill);

function takeAll(outbox: Outbox, limit = Infinity): Payload[] {
  const payloads: Payload[] = [];
  while (outbox.size > 0) payloads.push(outbox.take(limit));
  return payloads;
}

Deno.test("Outbox joins small writes into one payload, and releases them at once: it is a copy", () => {
  const outbox = new Outbox();
  let released = 0;
  const first = bytes(10, 1);
  for (const part of [first, bytes(20, 2), bytes(30, 3)]) outbox.add(part, () => released++);
  const [payload, ...rest] = takeAll(outbox);
  assertEquals([payload!.bytes.length, rest.length, released], [60, 0, 3]);
  first.fill(0xee);
  assertEquals(payload!.bytes[0], 1);
});

Deno.test("Outbox sends a large write without a copy, and releases it with its last payload", () => {
  const outbox = new Outbox();
  const large = bytes(2 * MAX_PAYLOAD_BYTES + 5);
  const released = () => {};
  outbox.add(large, released);
  const payloads = takeAll(outbox);
  assertEquals(payloads.map((each) => each.bytes.length), [
    MAX_PAYLOAD_BYTES,
    MAX_PAYLOAD_BYTES,
    5,
  ]);
  assertEquals(payloads.map((each) => each.released), [undefined, undefined, released]);
  assert(payloads.every((each) => each.bytes.buffer === large.buffer));
});

Deno.test("Outbox does not release a large write with its short end, while the rest is still to arrive", () => {
  const outbox = new Outbox();
  let released = 0;
  outbox.add(bytes(MAX_PAYLOAD_BYTES + 5), () => released++);
  outbox.add(bytes(5));
  outbox.add(bytes(5));
  outbox.take(Infinity);
  const end = outbox.take(Infinity);
  assertEquals([end.bytes.length, released], [5, 0]);
  end.released!();
  assertEquals(released, 1);
  assertEquals(outbox.take(Infinity).bytes.length, 10);
});

Deno.test("Outbox.add() of nothing releases at once", () => {
  const outbox = new Outbox();
  let released = 0;
  outbox.add(bytes(0), () => released++);
  assertEquals([outbox.size, released], [0, 1]);
});

Deno.test("Outbox.clear() releases what is queued, once", () => {
  const outbox = new Outbox();
  let released = 0;
  for (let i = 0; i < 3; i++) outbox.add(bytes(10_000), () => released++);
  outbox.take(100);
  outbox.clear();
  outbox.clear();
  assertEquals([outbox.size, released], [0, 3]);
});

Deno.test("Outbox: the payloads are the writes, in order, within the limits, each released once and not too early", () => {
  const sizes = fc.array(fc.oneof(fc.nat(300), fc.nat(9_000), fc.nat(200_000)), { maxLength: 12 });
  const limits = fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(sizes, limits, (writes, most) => {
      const outbox = new Outbox();
      const released = writes.map(() => 0);
      const parts = writes.map((size, index) => bytes(size, index));
      // What was given away as a view must not change before it is released.
      parts.forEach((part, index) =>
        outbox.add(part, () => {
          released[index]!++;
          part.fill(0xff);
        })
      );
      const whole = joinBytes(writes.map((size, index) => bytes(size, index)));
      const payloads: Payload[] = [];
      for (let i = 0; outbox.size > 0; i++) {
        const before = outbox.size;
        const limit = most[i % most.length]!;
        const payload = outbox.take(limit);
        assert(
          payload.bytes.length > 0 && payload.bytes.length <= Math.min(limit, MAX_PAYLOAD_BYTES),
        );
        assertEquals(outbox.size, before - payload.bytes.length);
        payloads.push(payload);
      }
      const joined = joinBytes(payloads.map((each) => each.bytes));
      assert(
        joined.length === whole.length && joined.every((byte, index) => byte === whole[index]),
      );
      for (const each of payloads) each.released?.();
      assertEquals(released, writes.map(() => 1));
    }),
    { numRuns: 60 },
  );
});
