import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ProtocolError } from "../../protocol/errors.ts";
import { type LoggedFrame, SendLog } from "../../protocol/send_log.ts";

function frame(id: number, released?: () => void, size = 10): LoggedFrame {
  return { header: Uint8Array.of(id), payload: new Uint8Array(size), released };
}

function sendAll(log: SendLog, now = 1): number[] {
  const ids: number[] = [];
  for (let next = log.next(now); next; next = log.next(now)) ids.push(next.header[0]!);
  return ids;
}

Deno.test("SendLog sends what is appended once, in order, and keeps it until it is acknowledged", () => {
  const log = new SendLog();
  const released: number[] = [];
  for (const id of [1, 2, 3]) log.append(frame(id, () => released.push(id)));
  assertEquals([sendAll(log), sendAll(log)], [[1, 2, 3], []]);
  assertEquals([log.sent, log.kept, log.acknowledged, log.inFlight], [3, 3, 0, 33]);
  log.acknowledge(2, 5);
  assertEquals([released, log.kept, log.acknowledged, log.inFlight], [[1, 2], 1, 2, 11]);
  log.acknowledge(2, 5);
  log.acknowledge(3, 5);
  assertEquals([released, log.kept, log.inFlight], [[1, 2, 3], 0, 0]);
});

Deno.test("SendLog.rewind() makes everything unacknowledged due again, before what is new", () => {
  const log = new SendLog();
  for (const id of [1, 2, 3]) log.append(frame(id));
  sendAll(log);
  log.acknowledge(1, 5);
  log.rewind();
  assertEquals(log.inFlight, 0);
  log.append(frame(4));
  // The other side has had 2 as well, as its HELLO says.
  log.acknowledge(2, 6);
  assertEquals(sendAll(log), [3, 4]);
  assertEquals([log.sent, log.kept, log.inFlight], [4, 2, 22]);
});

Deno.test("SendLog.acknowledge() refuses counts below the last one and above what was sent, and changes nothing", () => {
  const log = new SendLog();
  for (const id of [1, 2, 3]) log.append(frame(id));
  sendAll(log);
  log.acknowledge(2, 5);
  for (const count of [1, 0, 4, 2 ** 53 - 1]) {
    assertThrows(() => log.acknowledge(count, 5), ProtocolError);
    assertEquals([log.acknowledged, log.kept], [2, 1]);
  }
});

Deno.test("SendLog.acknowledge() measures round trip and bytes, but not of frames of another connection", () => {
  const log = new SendLog();
  log.append(frame(1));
  log.append(frame(2));
  sendAll(log, 100);
  assertEquals(log.acknowledge(1, 130), { roundTrip: 30, bytes: 11 });
  assertEquals(log.acknowledge(1, 140), undefined);
  log.rewind();
  assertEquals(log.acknowledge(2, 200), undefined);
});

Deno.test("SendLog.clear() releases everything that is kept, once", () => {
  const log = new SendLog();
  const released: number[] = [];
  for (const id of [1, 2, 3]) log.append(frame(id, () => released.push(id)));
  sendAll(log);
  log.acknowledge(1, 5);
  log.clear();
  log.clear();
  assertEquals(released, [1, 2, 3]);
  assertEquals([log.kept, log.inFlight, log.next(9)], [0, 0, undefined]);
});

Deno.test("SendLog: over any number of connections every frame arrives once and in order", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("append" as const), count: fc.integer({ min: 1, max: 400 }) }),
    fc.record({ do: fc.constant("send" as const), count: fc.integer({ min: 1, max: 400 }) }),
    fc.record({
      do: fc.constant("ack" as const),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    fc.record({
      do: fc.constant("cut" as const),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const log = new SendLog();
    const released: number[] = [];
    const received: number[] = [];
    let wire: number[] = [];
    let appended = 0;
    function send(most: number): void {
      for (let i = 0; i < most; i++) {
        const next = log.next(1);
        if (!next) return;
        wire.push(new DataView(next.payload.buffer).getUint32(0));
      }
    }
    for (const each of steps) {
      if (each.do === "append") {
        for (let i = 0; i < each.count; i++) {
          const id = appended++;
          const payload = new Uint8Array(4);
          new DataView(payload.buffer).setUint32(0, id);
          log.append({ header: new Uint8Array(7), payload, released: () => released.push(id) });
        }
      } else if (each.do === "send") {
        send(each.count);
      } else if (each.do === "ack") {
        received.push(...wire.splice(0));
        const acked = log.acknowledged;
        log.acknowledge(acked + Math.floor((received.length - acked) * each.part), 2);
      } else {
        // A part of what is under way arrives, the rest is lost; the next HELLO tells.
        received.push(...wire.slice(0, Math.floor(wire.length * each.part)));
        wire = [];
        log.rewind();
        log.acknowledge(received.length, 3);
      }
      assert(log.inFlight >= 0 && log.kept === appended - log.acknowledged);
    }
    send(Infinity);
    received.push(...wire);
    log.acknowledge(received.length, 4);
    const all = Array.from({ length: appended }, (_, index) => index);
    assertEquals(received, all);
    assertEquals(released, all);
    assertEquals([log.inFlight, log.kept], [0, 0]);
  }));
});

Deno.test("SendLog takes a million frames in little time, however they are acknowledged", () => {
  const start = performance.now();
  for (const batch of [1, 1_000]) {
    const log = new SendLog();
    for (let i = 0; i < 500_000; i++) log.append(frame(i & 0xff, undefined, 1));
    sendAll(log);
    for (let acked = batch; acked <= 500_000; acked += batch) log.acknowledge(acked, 2);
    assertEquals(log.kept, 0);
  }
  // A log whose time grew with the square would take minutes.
  assert(performance.now() - start < 30_000);
});
