import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import fc from "fast-check";
import { join } from "node:path";
import { streamPair } from "../fakes/stream_pair.ts";
import { FileError } from "../../protocol/errors.ts";
import { RefuseCode } from "../../protocol/offer.ts";
import { type Offer, receiveFiles } from "../../transfer/receive.ts";
import { OfferRefusedError } from "../../transfer/refusal.ts";
import { sendFiles, type SendOptions } from "../../transfer/send.ts";
import type { TransferProgress } from "../../transfer/progress.ts";
import { collectSources } from "../../transfer/walk.ts";
import { listing, MIB, namesIn, noise, reasonOf, Rig } from "./rig.ts";

/** A directory with everything that can be in one. */
function plantTree(rig: Rig): void {
  rig.file("tree/plain.txt", "plain");
  rig.file("tree/empty", "");
  rig.file("tree/large", noise(3 * MIB + 17));
  rig.file("tree/日本/русский.txt", "names");
  rig.file("tree/日本/עברית", "names");
  Deno.chmodSync(rig.file("tree/run.sh", "#!/bin/sh"), 0o755);
  Deno.chmodSync(rig.file("tree/locked", "read only"), 0o444);
  Deno.mkdirSync(join(rig.source, "tree/hollow/inner"), { recursive: true });
  Deno.symlinkSync("../plain.txt", join(rig.source, "tree/日本/link"));
  Deno.symlinkSync("hollow", join(rig.source, "tree/to-folder"));
  Deno.symlinkSync("nowhere", join(rig.source, "tree/dangling"));
}

for (const chunkBytes of [3, 4_099, 65_512]) {
  Deno.test(`A directory arrives as it is, in chunks of ${chunkBytes} bytes`, async () => {
    using rig = new Rig();
    plantTree(rig);
    if (chunkBytes === 3) rig.file("tree/large", noise(20_000));
    const { sent, received } = await rig.transfer({ pair: { chunkBytes } });
    assertEquals(rig.received(), rig.offered());
    assertEquals(received.items[0]!.path, join(rig.target, "tree"));
    assertEquals(sent.items[0]!.path, join(rig.source, "tree"));
    assertEquals([sent.files, sent.bytes], [received.files, received.bytes]);
    assertEquals(received.files, 7);
  });
}

Deno.test("Times of modification arrive, of files, directories and links", async () => {
  using rig = new Rig();
  plantTree(rig);
  const paths = ["tree/plain.txt", "tree/hollow", "tree/hollow/inner", "tree"];
  const times = paths.map((path, index) => {
    const time = new Date(1_500_000_000_123 + index * 1_000_000);
    Deno.utimeSync(join(rig.source, path), time, time);
    return time.getTime();
  });
  await rig.transfer();
  const arrived = paths.map((path) => Deno.statSync(join(rig.target, path)).mtime!.getTime());
  assertEquals(arrived, times);
  const [there, here] = [rig.source, rig.target].map((folder) =>
    Math.floor(Deno.lstatSync(join(folder, "tree/日本/link")).mtime!.getTime())
  );
  assertEquals(here, there);
});

Deno.test("A time from before 1970 arrives", async () => {
  using rig = new Rig();
  Deno.utimeSync(rig.file("old", "x"), -1_000_000, -1_000_000);
  await rig.transfer();
  assertEquals(Deno.statSync(join(rig.target, "old")).mtime!.getTime(), -1_000_000_000);
});

Deno.test("Files of sizes around the blocks and slabs arrive identical", async () => {
  using rig = new Rig();
  const around = [
    0,
    1,
    65_507,
    65_536,
    MIB - 1,
    MIB,
    MIB + 1,
    16 * 65_512 - 22,
    16 * 65_512,
    5 * MIB,
  ];
  const sizes = around.sort((a, b) => a - b);
  for (const size of sizes) rig.file(`f${size}`, noise(size, size + 1));
  const { received } = await rig.transfer({ pair: { windowBytes: 16 * MIB } });
  assertEquals(rig.received(), rig.offered());
  assertEquals(received.items.map(({ bytes }) => bytes).sort((a, b) => a - b), sizes);
});

Deno.test("A property: any files in any directories arrive as they are", async () => {
  const part = fc.stringMatching(/^[a-zα-ω0-9][a-z0-9_-]{1,4}$/);
  const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
  const tree = fc.dictionary(path, fc.uint8Array({ maxLength: 300 }), { maxKeys: 12 });
  await fc.assert(
    fc.asyncProperty(tree, fc.integer({ min: 1, max: 500 }), async (files, chunkBytes) => {
      using rig = new Rig();
      Deno.mkdirSync(join(rig.source, "always"));
      for (const [path, content] of Object.entries(files)) {
        try {
          rig.file(path, new Uint8Array(content));
        } catch {
          // Another path has a file where this one needs a directory.
        }
      }
      await rig.transfer({ pair: { chunkBytes } });
      assertEquals(rig.received(), rig.offered());
    }),
    { numRuns: 25 },
  );
});

Deno.test("Ten thousand small files need no answer for each", async () => {
  using rig = new Rig();
  for (let i = 0; i < 2_000; i++) rig.file(`many/d${i % 20}/f${i}`, `content ${i}`);
  let writes = 0;
  await rig.transfer({
    prepare(sender, receiver) {
      for (const stream of [sender, receiver]) {
        const write = stream.write.bind(stream);
        stream.write = (bytes, released) => (writes++, write(bytes, released));
      }
    },
  });
  assertEquals(listing(rig.target), listing(rig.source));
  assertEquals(writes <= 6, true, `${writes} writes`);
});

Deno.test("Several arguments arrive beside each other, with nothing left over", async () => {
  using rig = new Rig();
  rig.file("a.txt", "a");
  rig.file("b/c", "c");
  rig.file("big", noise(2 * MIB));
  const { received } = await rig.transfer();
  assertEquals(namesIn(rig.target), ["a.txt", "b", "big"]);
  assertEquals(received.items.map(({ path }) => path), [
    join(rig.target, "a.txt"),
    join(rig.target, "b"),
    join(rig.target, "big"),
  ]);
});

Deno.test("An empty directory arrives alone", async () => {
  using rig = new Rig();
  Deno.mkdirSync(join(rig.source, "hollow"));
  const { received, sent } = await rig.transfer();
  assertEquals(rig.received(), { "hollow/": "755" });
  assertEquals([received.files, sent.files, received.items.length], [0, 0, 1]);
});

Deno.test("Set-user-id and sticky bits do not arrive, and the mask applies", async () => {
  using rig = new Rig();
  Deno.chmodSync(rig.file("tool", "x"), 0o6777);
  await rig.transfer();
  assertEquals((Deno.statSync(join(rig.target, "tool")).mode! & 0o7777).toString(8), "755");
});

Deno.test("Names near the limit arrive although ours do not fit behind them", async () => {
  using rig = new Rig();
  const long = "n".repeat(255);
  rig.file(long, noise(2 * MIB));
  rig.file(`${"ä".repeat(120)}/x`, "x");
  await rig.transfer();
  assertEquals(rig.received(), rig.offered());
});

Deno.test("Progress goes up to the whole on both sides", async () => {
  using rig = new Rig();
  rig.file("a", noise(3 * MIB));
  rig.file("b", noise(100));
  const steps: Record<string, TransferProgress[]> = { sent: [], received: [] };
  await rig.transfer({
    send: { onProgress: (progress) => void steps.sent!.push(progress) },
    receive: { onProgress: (progress) => void steps.received!.push(progress) },
  });
  const total = 3 * MIB + 100;
  for (const list of Object.values(steps)) {
    const bytes = list.map((step) => step.bytes);
    assertEquals(bytes, [...bytes].sort((a, b) => a - b));
    assertEquals(list.at(-1), { bytes: total, total, resumedBytes: 0, file: "b" });
  }
});

// Decisions.

for (
  const [name, code] of [["declined", RefuseCode.declined], ["nobody", RefuseCode.nobody]] as const
) {
  Deno.test(`An offer that is ${name} leaves nothing and tells the sender`, async () => {
    using rig = new Rig();
    plantTree(rig);
    let offer: Offer | undefined;
    const { sent, received } = await rig.attempt({
      receive: {
        decide: (told) => {
          offer = told;
          return Promise.resolve({ accept: false, code, text: "not now" });
        },
      },
    });
    const error = reasonOf(sent);
    assertInstanceOf(error, OfferRefusedError);
    assertEquals((error as OfferRefusedError).code, "refused");
    assertEquals((error as OfferRefusedError).refusal, { code, text: "not now" });
    assertEquals(received.status === "fulfilled" && received.value.accepted, false);
    assertEquals([offer?.files, offer?.stream], [7, false]);
    assertEquals(offer?.total, 3 * MIB + 17 + 33);
    assertEquals(rig.received(), {});
  });
}

for (
  const [name, prepare, state] of [
    ["is missing", (path: string) => Deno.removeSync(path), "no such file or folder"],
    ["is a file", (path: string) => {
      Deno.removeSync(path);
      Deno.writeTextFileSync(path, "");
    }, "not a folder"],
  ] as const
) {
  Deno.test(`A target folder that ${name} is told to both before anybody is asked`, async () => {
    using rig = new Rig();
    rig.file("a", "a");
    prepare(rig.target);
    const { sent, received } = await rig.attempt({
      receive: { decide: () => Promise.reject(new Error("Must not be asked")) },
    });
    const error = reasonOf(received);
    assertInstanceOf(error, FileError);
    assertEquals(error.message, `Cannot write into ${rig.target}: ${state}`);
    assertEquals((reasonOf(sent) as OfferRefusedError).refusal, {
      code: RefuseCode.folder,
      text: "",
    });
  });
}

// Stopping.

Deno.test("sendFiles() that is aborted throws the reason and resets the stream", async () => {
  using rig = new Rig();
  rig.file("big", noise(4 * MIB));
  const stop = new AbortController();
  const { sent, received } = await rig.attempt({
    send: { signal: stop.signal },
    receive: { onProgress: ({ bytes }) => bytes > MIB && stop.abort(new Error("enough")) },
  });
  assertEquals(reasonOf(sent).message, "enough");
  assertEquals(reasonOf(received).message, "Transfer stopped by the other side");
  assertEquals(namesIn(rig.target), ["big.p2p-part", "big.p2p-state"]);
});

Deno.test("receiveFiles() that is aborted throws the reason and the sender hears of it", async () => {
  using rig = new Rig();
  rig.file("big", noise(4 * MIB));
  const stop = new AbortController();
  const { sent, received } = await rig.attempt({
    receive: {
      signal: stop.signal,
      onProgress: ({ bytes }) => bytes > MIB && stop.abort(new Error("enough")),
    },
  });
  assertEquals(reasonOf(received).message, "enough");
  const error = reasonOf(sent) as OfferRefusedError;
  assertEquals(error.refusal.code, RefuseCode.cancelled);
  assertEquals(namesIn(rig.target), ["big.p2p-part", "big.p2p-state"]);
});

Deno.test("receiveFiles() that is aborted does not wait for the person asked", async () => {
  using rig = new Rig();
  rig.file("a", "a");
  const stop = new AbortController();
  const { received } = await rig.attempt({
    receive: {
      signal: stop.signal,
      decide: () => {
        queueMicrotask(() => stop.abort(new Error("enough")));
        return new Promise(() => {});
      },
    },
  });
  assertEquals(reasonOf(received).message, "enough");
});

Deno.test("A signal that is aborted already stops both at once", async () => {
  using rig = new Rig();
  rig.file("a", "a");
  const signal = AbortSignal.abort(new Error("before"));
  const sending = await rig.attempt({ send: { signal } });
  assertEquals(reasonOf(sending.sent).message, "before");
  const receiving = await rig.attempt({ receive: { signal } });
  assertEquals(reasonOf(receiving.received).message, "before");
  assertEquals(rig.received(), {});
});

Deno.test("A lost session is what both sides throw", async () => {
  using rig = new Rig();
  rig.file("big", noise(4 * MIB));
  const lost = new Error("lost");
  const { sent, received } = await rig.attempt({
    prepare(sender, receiver) {
      const read = receiver.read.bind(receiver);
      let count = 0;
      receiver.read = () => {
        if (++count === 20) [sender, receiver].forEach((stream) => stream.fail(lost));
        return read();
      };
    },
  });
  assertEquals([reasonOf(sent), reasonOf(received)], [lost, lost]);
});

Deno.test("A receiver that cannot write tells the sender in the middle", async () => {
  using rig = new Rig();
  rig.file("a", noise(3 * MIB));
  rig.file("b", noise(3 * MIB));
  let planted = false;
  const { sent, received } = await rig.attempt({
    receive: {
      onProgress: ({ file }) => {
        if (file !== "a" || planted) return;
        planted = true;
        Deno.removeSync(rig.target, { recursive: true });
      },
    },
  });
  assertInstanceOf(reasonOf(received), FileError);
  assertEquals((reasonOf(sent) as OfferRefusedError).refusal.code, RefuseCode.folder);
});

// Sources that fail.

Deno.test("A source that vanishes is told to both, and what is whole is kept", async () => {
  using rig = new Rig();
  rig.file("a", "whole");
  const path = rig.file("b", noise(2 * MIB));
  const { sent, received } = await rig.attempt({
    receive: {
      decide: () => {
        Deno.removeSync(path);
        return Promise.resolve({ accept: true });
      },
    },
  });
  assertInstanceOf(reasonOf(sent), FileError);
  assertEquals(reasonOf(sent).message, `Cannot read ${path}: no such file or folder`);
  assertEquals(
    reasonOf(received).message,
    "Transfer stopped by the other side: it cannot read b: no such file or folder",
  );
  assertEquals(namesIn(rig.target).filter((name) => !name.includes(".p2p-")), ["a"]);
});

for (
  const [name, change] of [
    ["shrinks", (path: string) => Deno.truncateSync(path, MIB)],
    ["grows", (path: string) => Deno.writeTextFileSync(path, "more", { append: true })],
    ["gets another time", (path: string) => Deno.utimeSync(path, 1, 1)],
  ] as const
) {
  Deno.test(`A source that ${name} while it is sent never gets its final name`, async () => {
    using rig = new Rig();
    const path = rig.file("big", noise(4 * MIB));
    let changed = false;
    const { sent, received } = await rig.attempt({
      pair: { windowBytes: 65_536 },
      receive: {
        onProgress: () => {
          if (!changed) change(path);
          changed = true;
        },
      },
    });
    assertEquals(
      reasonOf(sent).message,
      `Cannot send ${path}: it changed while it was being sent`,
    );
    assertEquals(
      reasonOf(received).message,
      "Transfer stopped by the other side: it cannot read big: it changed while it was being sent",
    );
    assertEquals(namesIn(rig.target), ["big.p2p-part", "big.p2p-state"]);
  });
}

// Standard input.

async function streamInput(
  stdin: NonNullable<SendOptions["stdin"]>,
  sink: (bytes: Uint8Array) => number | Promise<number>,
) {
  const [a, b] = streamPair();
  using rig = new Rig();
  return await Promise.allSettled([
    sendFiles(a, await collectSources(["-"]), { stdin }),
    receiveFiles(b, rig.receiveOptions({ stdout: { write: async (bytes) => await sink(bytes) } })),
  ]);
}

Deno.test("Standard input arrives at standard output, however it is cut", async () => {
  const content = noise(3 * MIB + 5);
  let at = 0;
  const arrived: Uint8Array[] = [];
  const [sent, received] = await streamInput({
    read(into) {
      if (at === content.length) return Promise.resolve(null);
      const piece = content.subarray(at, at + Math.min(into.length, 1 + at % 70_000));
      into.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length);
    },
  }, (bytes) => {
    const taken = Math.ceil(bytes.length / 2);
    arrived.push(bytes.slice(0, taken));
    return taken;
  });
  assertEquals(sent.status === "fulfilled" && sent.value.bytes, content.length);
  assertEquals(received.status === "fulfilled" && received.value.bytes, content.length);
  assertEquals(new Uint8Array(await new Blob(arrived as BlobPart[]).arrayBuffer()), content);
});

Deno.test("Standard input goes out while more is awaited", async () => {
  const first = Promise.withResolvers<void>();
  let reads = 0;
  const [sent] = await streamInput({
    async read(into) {
      if (reads++ > 0) {
        await first.promise;
        return null;
      }
      into[0] = 7;
      return 1;
    },
  }, (bytes) => {
    first.resolve();
    return bytes.length;
  });
  assertEquals(sent.status, "fulfilled");
});

Deno.test("Standard input of any length needs constant memory", async () => {
  // Far more than what other tests of this process may have left to the garbage collector.
  let left = 1_000;
  const piece = noise(MIB);
  const before = Deno.memoryUsage().rss;
  let most = 0;
  const [sent] = await streamInput({
    read(into) {
      if (left-- === 0) return Promise.resolve(null);
      const count = Math.min(into.length, MIB);
      into.set(piece.subarray(0, count));
      return Promise.resolve(count);
    },
  }, (bytes) => {
    most = Math.max(most, Deno.memoryUsage().rss - before);
    return bytes.length;
  });
  assertEquals(sent.status, "fulfilled");
  assertEquals(most < 300 * MIB, true, `${Math.round(most / MIB)} MiB more`);
});

Deno.test("A closed standard output stops the sender", async () => {
  const [sent, received] = await streamInput({
    read: (into) => Promise.resolve(into.length),
  }, () => Promise.reject(new Deno.errors.BrokenPipe("closed")));
  assertInstanceOf(reasonOf(received), FileError);
  assertInstanceOf(reasonOf(sent), OfferRefusedError);
});

Deno.test("A sender that waits for its standard input notices that it is not wanted", async () => {
  const stop = new AbortController();
  const [a, b] = streamPair();
  using rig = new Rig();
  const [sent, received] = await Promise.allSettled([
    sendFiles(a, await collectSources(["-"]), {
      stdin: {
        read: () => {
          stop.abort(new Error("enough"));
          return new Promise(() => {});
        },
      },
    }),
    receiveFiles(
      b,
      rig.receiveOptions({
        signal: stop.signal,
        stdout: { write: (bytes) => Promise.resolve(bytes.length) },
      }),
    ),
  ]);
  assertEquals(reasonOf(received).message, "enough");
  assertEquals((reasonOf(sent) as OfferRefusedError).refusal.code, RefuseCode.cancelled);
});

Deno.test("Files are not for standard output, nor a stream for a folder", async () => {
  using rig = new Rig();
  rig.file("a", "a");
  const files = await rig.attempt({
    receive: { stdout: { write: () => Promise.reject(new Error("Must not be written to")) } },
  });
  assertEquals((reasonOf(files.sent) as OfferRefusedError).refusal.code, RefuseCode.wrongSort);
  const [a, b] = streamPair();
  const stdin = { read: () => Promise.resolve(null) };
  const sending = sendFiles(a, await collectSources(["-"]), { stdin });
  const receiving = receiveFiles(b, rig.receiveOptions());
  const [sent] = await Promise.allSettled([sending, receiving]);
  assertEquals((reasonOf(sent) as OfferRefusedError).refusal.code, RefuseCode.wrongSort);
  await assertRejects(() => receiving, Error, "files are wanted here");
});
