import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import fc from "fast-check";
import { concatBytes, encodeText, joinBytes } from "../../protocol/bytes.ts";
import { ResetCode } from "../../protocol/connection.ts";
import { ProtocolError, StreamResetError } from "../../protocol/errors.ts";
import {
  INITIAL_WINDOW_BYTES,
  MAX_EXTRA_WINDOW_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_STREAMS,
  MAX_WINDOW_BYTES,
} from "../../protocol/limits.ts";
import { Mux, type MuxStream } from "../../protocol/mux.ts";
import {
  decodeWindow,
  encodeFrame,
  encodeReset,
  encodeWindow,
  FrameType,
  type SessionFrame,
  SessionFrameDecoder,
} from "../../protocol/session_frame.ts";

/** A mux, and what it told. */
class Side {
  readonly mux: Mux;
  readonly opened: MuxStream[] = [];
  changes = 0;

  constructor(role: "initiator" | "responder") {
    this.mux = new Mux(role, {
      opened: (stream) => this.opened.push(stream),
      changed: () => this.changes++,
    });
  }

  /** The next frame, as it is on the wire. */
  next(bulkAllowed = true): SessionFrame | undefined {
    const logged = this.mux.next(bulkAllowed);
    if (!logged) return undefined;
    logged.released?.();
    const decoder = new SessionFrameDecoder();
    decoder.push(concatBytes(logged.header, logged.payload));
    return decoder.next();
  }

  /** All that can be sent. */
  all(bulkAllowed = true): SessionFrame[] {
    const frames: SessionFrame[] = [];
    for (let frame = this.next(bulkAllowed); frame; frame = this.next(bulkAllowed)) {
      frames.push(frame);
    }
    return frames;
  }

  receive(type: FrameType, stream: number, payload: Uint8Array = new Uint8Array(0)): void {
    this.mux.receive({ type, stream, payload });
  }

  read(stream: MuxStream): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let part = this.mux.read(stream); part; part = this.mux.read(stream)) parts.push(part);
    return joinBytes(parts);
  }
}

/** Lets each take in what the other sends until both are quiet. */
function exchange(a: Side, b: Side): void {
  for (let quiet = false; !quiet;) {
    const [fromA, fromB] = [a.all(), b.all()];
    for (const frame of fromA) b.mux.receive(frame);
    for (const frame of fromB) a.mux.receive(frame);
    quiet = fromA.length + fromB.length === 0;
  }
}

const kinds = (frames: SessionFrame[]) => frames.map(({ type, stream }) => [type, stream]);
const CHAT = encodeText("chat/1");
const FILES = encodeText("files/1");

Deno.test("Mux opens streams with odd numbers as initiator, even ones as responder", () => {
  for (const [role, ids] of [["initiator", [1, 3]], ["responder", [2, 4]]] as const) {
    const side = new Side(role);
    assertEquals([1, 2].map(() => side.mux.open("chat/1", "urgent").id), ids);
    assertEquals(
      side.all().map((frame) => encodeFrame(frame).toHex()),
      ids.map((id) => `01${id.toString(16).padStart(8, "0")}0006636861742f31`),
    );
  }
});

Deno.test("Mux.next() sends control first, then urgent streams, then bulk ones in turn", () => {
  const side = new Side("initiator");
  const films = [1, 2].map(() => side.mux.open("files/1", "bulk"));
  const chat = side.mux.open("chat/1", "urgent");
  for (const film of films) side.mux.write(film, new Uint8Array(2 * MAX_PAYLOAD_BYTES));
  side.mux.write(chat, new Uint8Array(10));
  assertEquals(kinds(side.all()), [
    [FrameType.open, 1],
    [FrameType.open, 3],
    [FrameType.open, 5],
    [FrameType.data, 5],
    [FrameType.data, 1],
    [FrameType.data, 3],
    [FrameType.data, 1],
    [FrameType.data, 3],
  ]);
});

Deno.test("Mux.next() holds bulk back, and only that, while it is not allowed", () => {
  const side = new Side("initiator");
  const film = side.mux.open("files/1", "bulk");
  const chat = side.mux.open("chat/1", "urgent");
  side.all();
  side.mux.write(film, new Uint8Array(10));
  side.mux.write(chat, new Uint8Array(10));
  assertEquals(kinds(side.all(false)), [[FrameType.data, 3]]);
  assertEquals(kinds(side.all(true)), [[FrameType.data, 1]]);
});

Deno.test("Mux sends the FINISH behind what is queued, and nothing after it", () => {
  const side = new Side("initiator");
  const stream = side.mux.open("chat/1", "urgent");
  side.mux.write(stream, new Uint8Array(MAX_PAYLOAD_BYTES + 1));
  let acknowledged = 0;
  side.mux.finish(stream, () => acknowledged++);
  assertEquals(kinds(side.all()).map(([type]) => type), [
    FrameType.open,
    FrameType.data,
    FrameType.data,
    FrameType.finish,
  ]);
  assertEquals([acknowledged, side.mux.idle], [1, true]);
});

Deno.test("Mux sends no more than the window, and goes on with the bytes that are granted", () => {
  const side = new Side("initiator");
  const stream = side.mux.open("files/1", "bulk");
  side.mux.write(stream, new Uint8Array(INITIAL_WINDOW_BYTES + 500));
  const sent = () =>
    side.all().reduce(
      (sum, { type, payload }) => sum + (type === FrameType.data ? payload.length : 0),
      0,
    );
  assertEquals([sent(), side.mux.idle], [INITIAL_WINDOW_BYTES, false]);
  for (const grant of [1, 99, 400]) {
    side.receive(FrameType.window, 1, encodeWindow(grant));
    assertEquals(sent(), grant);
  }
  side.receive(FrameType.window, 1, encodeWindow(100));
  assertEquals([sent(), side.mux.idle], [0, true]);
});

Deno.test("Mux takes exactly the window, and refuses one byte more", () => {
  const side = new Side("responder");
  side.receive(FrameType.open, 1, FILES);
  for (let left = INITIAL_WINDOW_BYTES; left > 0; left -= MAX_PAYLOAD_BYTES) {
    side.receive(FrameType.data, 1, new Uint8Array(Math.min(left, MAX_PAYLOAD_BYTES)));
  }
  assertThrows(() => side.receive(FrameType.data, 1, new Uint8Array(1)), ProtocolError);
});

Deno.test("Mux grants what was read once it is half of the window, not before", () => {
  const side = new Side("responder");
  side.receive(FrameType.open, 1, FILES);
  const [stream] = side.opened;
  const quarter = INITIAL_WINDOW_BYTES / 8;
  for (let i = 0; i < 8; i++) side.receive(FrameType.data, 1, new Uint8Array(quarter));
  for (let i = 0; i < 3; i++) side.mux.read(stream!);
  assertEquals(side.all(), []);
  side.mux.read(stream!);
  const [grant] = side.all();
  // The reader is behind, so the window does not grow.
  assertEquals(decodeWindow(grant!.payload), 4 * quarter);
});

Deno.test("Mux lets windows of readers that keep up grow, to 16 MiB each and 32 MiB together, and no further", () => {
  const side = new Side("responder");
  const windows: number[] = [];
  for (let i = 0; i < 4; i++) {
    side.receive(FrameType.open, 2 * i + 1, FILES);
    const stream = side.opened[i]!;
    for (let round = 0; round < 3_000; round++) {
      side.receive(FrameType.data, stream.id, new Uint8Array(MAX_PAYLOAD_BYTES));
      side.read(stream);
      side.all();
    }
    windows.push(stream.window);
  }
  assert(windows.every((each) => each <= MAX_WINDOW_BYTES));
  const extra = windows.reduce((sum, each) => sum + each - INITIAL_WINDOW_BYTES, 0);
  assert(extra <= MAX_EXTRA_WINDOW_BYTES && extra > MAX_EXTRA_WINDOW_BYTES / 2, `${windows}`);
  // What a stream had is free for others when it is gone.
  for (const { id } of side.opened.slice(0, 3)) side.receive(FrameType.reset, id, encodeReset(0));
  const last = side.opened[3]!;
  for (let round = 0; round < 3_000; round++) {
    side.receive(FrameType.data, last.id, new Uint8Array(MAX_PAYLOAD_BYTES));
    side.read(last);
    side.all();
  }
  assertEquals(last.window, MAX_WINDOW_BYTES);
});

Deno.test("Mux never lets the other side send more than the window that it can still hold", () => {
  const reads = fc.array(fc.tuple(fc.integer({ min: 1, max: MAX_PAYLOAD_BYTES }), fc.nat(5)), {
    minLength: 50,
    maxLength: 300,
  });
  fc.assert(
    fc.property(reads, (steps) => {
      const side = new Side("responder");
      side.receive(FrameType.open, 1, FILES);
      const [stream] = side.opened as [MuxStream];
      let [granted, sent, read] = [INITIAL_WINDOW_BYTES, 0, 0];
      for (const [size, count] of steps) {
        const length = Math.min(size, granted - sent);
        if (length > 0) side.receive(FrameType.data, 1, new Uint8Array(length));
        sent += length;
        for (let i = 0; i < count; i++) read += side.mux.read(stream)?.length ?? 0;
        for (const frame of side.all()) granted += decodeWindow(frame.payload);
        assertEquals(stream.allowance, granted - sent);
        assert(granted - read <= stream.window, "more than the window may be under way");
      }
    }),
    { numRuns: 50 },
  );
});

Deno.test("Mux forgets a stream that has ended both ways, and drops what still comes for it", () => {
  const [a, b] = [new Side("initiator"), new Side("responder")];
  const near = a.mux.open("chat/1", "urgent");
  exchange(a, b);
  const far = b.opened[0]!;
  a.mux.finish(near, () => {});
  b.mux.finish(far, () => {});
  exchange(a, b);
  assertEquals([[...a.mux.streams], [...b.mux.streams]], [[], []]);
  b.receive(FrameType.data, 1, new Uint8Array(300_000));
  b.receive(FrameType.window, 1, encodeWindow(1));
  b.receive(FrameType.reset, 1, encodeReset(0));
  assertEquals([far.inbox.empty, far.failure], [true, undefined]);
});

Deno.test("Mux keeps a stream that has ended until it is read, and counts it until then", () => {
  const side = new Side("responder");
  side.receive(FrameType.open, 1, CHAT);
  side.receive(FrameType.data, 1, new Uint8Array(5));
  side.receive(FrameType.finish, 1);
  const stream = side.opened[0]!;
  side.mux.finish(stream, () => {});
  side.all();
  assertEquals([...side.mux.streams], [stream]);
  side.read(stream);
  assertEquals([...side.mux.streams], []);
});

Deno.test("Mux.reset() ends both directions here and there, once", () => {
  const [a, b] = [new Side("initiator"), new Side("responder")];
  const near = a.mux.open("files/1", "bulk");
  let released = 0;
  a.mux.write(near, new Uint8Array(400_000), () => released++);
  exchange(a, b);
  const far = b.opened[0]!;
  a.mux.reset(near, ResetCode.failed);
  a.mux.reset(near, ResetCode.failed);
  assertEquals(kinds(a.all()), [[FrameType.reset, 1]]);
  assertEquals(released, 1);
  b.receive(FrameType.reset, 1, encodeReset(2));
  for (const stream of [near, far]) {
    assertInstanceOf(stream.failure, StreamResetError);
    assertEquals((stream.failure as StreamResetError).resetCode, 2);
    assert(stream.inbox.empty && !stream.sendable);
  }
});

Deno.test("Mux.fail() breaks every stream, and leaves what has arrived to be read", () => {
  const side = new Side("responder");
  side.receive(FrameType.open, 1, CHAT);
  side.receive(FrameType.data, 1, new Uint8Array(5));
  const mine = side.mux.open("chat/1", "urgent");
  const error = new Error("over");
  side.mux.fail(error);
  assertEquals([side.opened[0]!.failure, mine.failure], [error, error]);
  assertEquals(side.read(side.opened[0]!).length, 5);
  assertEquals(side.all(), []);
});

Deno.test("Mux answers OPENs beyond the limit with RESET 1 and nothing else", () => {
  const side = new Side("responder");
  for (let i = 0; i < MAX_STREAMS + 2; i++) side.receive(FrameType.open, 2 * i + 1, CHAT);
  assertEquals(side.opened.length, MAX_STREAMS);
  assertEquals(
    side.all().map((frame) => encodeFrame(frame).toHex()),
    ["040000010100020001", "040000010300020001"],
  );
  side.receive(FrameType.reset, 1, encodeReset(0));
  side.receive(FrameType.open, 2 * MAX_STREAMS + 5, CHAT);
  assertEquals(side.opened.length, MAX_STREAMS + 1);
});

Deno.test("Mux refuses to pile up answers that nobody takes", () => {
  const side = new Side("responder");
  assertThrows(() => {
    for (let id = 1; id < 20_000; id += 2) side.receive(FrameType.open, id, CHAT);
  }, ProtocolError);
});

for (
  const [what, type, stream, payload] of [
    ["an OPEN with our own parity", FrameType.open, 2, CHAT],
    ["an OPEN that leaves a gap", FrameType.open, 5, CHAT],
    ["an OPEN again", FrameType.open, 1, CHAT],
    ["an OPEN of 0", FrameType.open, 0, CHAT],
    ["a kind with a space", FrameType.open, 3, encodeText("a b")],
    ["a kind that is not ASCII", FrameType.open, 3, encodeText("ä")],
    ["a kind that is no text", FrameType.open, 3, Uint8Array.of(0xff)],
    ["DATA for a stream of theirs to come", FrameType.data, 3, Uint8Array.of(1)],
    ["DATA for a stream of ours to come", FrameType.data, 2, Uint8Array.of(1)],
    ["FINISH for none", FrameType.finish, 0, new Uint8Array(0)],
    ["credit beyond 2^31", FrameType.window, 1, encodeWindow(2 ** 31)],
  ] as [string, FrameType, number, Uint8Array][]
) {
  Deno.test(`Mux refuses ${what}`, () => {
    const side = new Side("responder");
    side.receive(FrameType.open, 1, CHAT);
    assertThrows(() => side.receive(type, stream, payload), ProtocolError);
  });
}

Deno.test("Mux carries random traffic on random streams both ways, whole and in order", () => {
  const write = fc.record({
    side: fc.nat(1),
    stream: fc.nat(5),
    length: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 400_000 })),
    frames: fc.nat(6),
  });
  fc.assert(
    fc.property(fc.array(write, { minLength: 1, maxLength: 40 }), (steps) => {
      const sides = [new Side("initiator"), new Side("responder")] as const;
      const own = sides.map((side) => [0, 1, 2].map(() => side.mux.open("files/1", "bulk")));
      exchange(...sides);
      const streams = sides.map((side, index) => [...own[index]!, ...side.opened]);
      const sent = new Map<string, Uint8Array[]>();
      const received = new Map<string, Uint8Array[]>();
      function readAll(): void {
        sides.forEach((side, index) => {
          for (const stream of streams[index]!) {
            const key = `${1 - index} ${stream.id}`;
            received.set(key, [...received.get(key) ?? [], side.read(stream)]);
          }
        });
      }
      steps.forEach(({ side, stream: at, length, frames }, index) => {
        const stream = streams[side]![at]!;
        const bytes = new Uint8Array(length).fill(index);
        const key = `${side} ${stream.id}`;
        sent.set(key, [...sent.get(key) ?? [], bytes]);
        sides[side]!.mux.write(stream, bytes);
        for (let i = 0; i < frames; i++) {
          const frame = sides[side]!.next();
          if (frame) sides[1 - side]!.mux.receive(frame);
        }
      });
      for (let quiet = 0; quiet < 2; quiet++) {
        readAll();
        for (const [from, to] of [[0, 1], [1, 0]] as const) {
          for (const frame of sides[from].all()) {
            sides[to].mux.receive(frame);
            quiet = -1;
          }
        }
      }
      for (const [key, parts] of sent) {
        const [expected, actual] = [joinBytes(parts), joinBytes(received.get(key)!)];
        assertEquals(actual.length, expected.length, key);
        assert(actual.every((byte, at) => byte === expected[at]), key);
      }
      assert(sides.every((side) => side.mux.idle));
    }),
    { numRuns: 40 },
  );
});
