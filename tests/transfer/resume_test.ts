import { assertEquals, assertInstanceOf } from "@std/assert";
import { join } from "node:path";
import { UnreachableError } from "../../protocol/errors.ts";
import type { FakeStream } from "../fakes/stream_pair.ts";
import { MIB, namesIn, noise, reasonOf, Rig, type TransferOptions } from "./rig.ts";

const PART = "big.p2p-part";
const STATE = "big.p2p-state";

/** Loses the session once the receiver has read so many bytes. */
function loseAfter(bytes: number): NonNullable<TransferOptions["prepare"]> {
  return (sender: FakeStream, receiver: FakeStream) => {
    const read = receiver.read.bind(receiver);
    let left = bytes;
    receiver.read = async () => {
      const piece = await read();
      left -= piece?.length ?? 0;
      if (left > 0) return piece;
      for (const stream of [sender, receiver]) stream.fail(new UnreachableError("Lost"));
      throw new UnreachableError("Lost");
    };
  };
}

/** An attempt that is cut off after so many bytes. */
async function interrupt(rig: Rig, bytes: number): Promise<void> {
  const { sent, received } = await rig.attempt({ prepare: loseAfter(bytes) });
  assertInstanceOf(reasonOf(received), UnreachableError);
  assertInstanceOf(reasonOf(sent), UnreachableError);
}

Deno.test("A file resumes wherever it was interrupted", async () => {
  using rig = new Rig();
  rig.file("big", noise(7 * MIB + 123));
  for (const bytes of [100_000, 900_000, 1.5 * MIB, 2.5 * MIB, 1.5 * MIB]) {
    await interrupt(rig, bytes);
    assertEquals(namesIn(rig.target), [PART, STATE]);
  }
  const { sent, received } = await rig.transfer();
  assertEquals(rig.received(), rig.offered());
  assertEquals(received.resumedBytes >= 4 * MIB, true, `${received.resumedBytes} resumed`);
  assertEquals(sent.resumedBytes, received.resumedBytes);
  assertEquals(received.bytes, 7 * MIB + 123);
});

Deno.test("Interrupted at each of many points, a file arrives once and never incomplete", async () => {
  for (let bytes = 20; bytes < 3 * MIB; bytes += 211_111) {
    using rig = new Rig();
    rig.file("big", noise(2.5 * MIB));
    const { received } = await rig.attempt({ prepare: loseAfter(bytes) });
    if (received.status === "rejected") {
      assertEquals(namesIn(rig.target).includes("big"), false, `after ${bytes} bytes`);
    }
    await rig.transfer({ receive: { conflict: "skip" } });
    assertEquals(rig.received(), rig.offered());
  }
});

Deno.test("What an earlier try brought does not cross again", async () => {
  using rig = new Rig();
  rig.file("big", noise(6 * MIB));
  await interrupt(rig, 5 * MIB);
  let crossed = 0;
  await rig.transfer({
    prepare(sender) {
      const write = sender.write.bind(sender);
      sender.write = (bytes, released) => {
        crossed += bytes.length;
        return write(bytes, released);
      };
    },
  });
  assertEquals(crossed < 3 * MIB, true, `${crossed} bytes crossed`);
  assertEquals(rig.received(), rig.offered());
});

Deno.test("A part that is complete only needs its name", async () => {
  using rig = new Rig();
  rig.file("big", noise(3 * MIB + 5));
  await interrupt(rig, 3 * MIB);
  Deno.writeFileSync(join(rig.target, PART), Deno.readFileSync(join(rig.source, "big")));
  const { received } = await rig.transfer();
  assertEquals(received.resumedBytes, 3 * MIB + 5);
  assertEquals(rig.received(), rig.offered());
});

Deno.test("A directory resumes file by file, within files too", async () => {
  using rig = new Rig();
  for (let i = 0; i < 40; i++) rig.file(`tree/sub/f${i}`, noise(10_000, i + 1));
  rig.file("tree/sub/z-large", noise(3 * MIB));
  Deno.symlinkSync("sub/f1", join(rig.source, "tree/link"));
  await interrupt(rig, 150_000);
  assertEquals(namesIn(rig.target), ["tree.p2p-part", "tree.p2p-state"]);
  await interrupt(rig, 2 * MIB);
  const { received } = await rig.transfer();
  assertEquals(rig.received(), rig.offered());
  assertEquals(received.resumedBytes > MIB, true, `${received.resumedBytes} resumed`);
});

Deno.test("More blocks than fit one message resume", async () => {
  using rig = new Rig();
  const path = rig.file("big", "");
  Deno.truncateSync(path, 150 * MIB);
  await interrupt(rig, 149 * MIB);
  const { received } = await rig.transfer();
  assertEquals(received.resumedBytes > 130 * MIB, true, `${received.resumedBytes} resumed`);
  assertEquals(rig.received(), rig.offered());
});

const changes: [name: string, change: (path: string) => void, resumed: number][] = [
  ["from its first byte", (path) => Deno.writeFileSync(path, noise(5 * MIB, 99)), 0],
  ["in its third block", (path) => {
    using file = Deno.openSync(path, { write: true });
    file.seekSync(2 * MIB + 5, Deno.SeekMode.Start);
    file.writeSync(new Uint8Array([1, 2, 3]));
  }, 2 * MIB],
  ["by getting longer", (path) => Deno.writeFileSync(path, noise(MIB), { append: true }), 3 * MIB],
  ["by getting shorter", (path) => Deno.truncateSync(path, 1.5 * MIB), 1.5 * MIB],
  ["to nothing", (path) => Deno.truncateSync(path, 0), 0],
];

for (const [name, change, resumed] of changes) {
  Deno.test(`A source that changed ${name} between tries arrives as it is now`, async () => {
    using rig = new Rig();
    const path = rig.file("big", noise(5 * MIB));
    await interrupt(rig, 4.5 * MIB);
    change(path);
    const { received } = await rig.transfer();
    assertEquals(rig.received(), rig.offered());
    assertEquals(received.resumedBytes >= resumed, true, `${received.resumedBytes} resumed`);
    if (resumed < 3 * MIB) assertEquals(received.resumedBytes, resumed);
  });
}

Deno.test("A part that was altered is sent anew from the first block that differs", async () => {
  using rig = new Rig();
  rig.file("big", noise(5 * MIB));
  await interrupt(rig, 4.5 * MIB);
  {
    using part = Deno.openSync(join(rig.target, PART), { write: true });
    part.seekSync(MIB + 1, Deno.SeekMode.Start);
    part.writeSync(new Uint8Array([0xff]));
  }
  const { received } = await rig.transfer();
  assertEquals(received.resumedBytes, MIB);
  assertEquals(rig.received(), rig.offered());
});

Deno.test("What is in a staged directory and not offered any more does not arrive", async () => {
  using rig = new Rig();
  rig.file("tree/a", noise(2 * MIB));
  const gone = ["tree/b/gone", "tree/gone", "tree/hollow/gone"].map((name) => rig.file(name, "x"));
  rig.file("tree/z", noise(2 * MIB));
  await interrupt(rig, 3 * MIB);
  for (const path of gone) Deno.removeSync(path);
  Deno.removeSync(join(rig.source, "tree/b"));
  rig.file("tree/b", "a file now");
  await rig.transfer();
  assertEquals(rig.received(), rig.offered());
});

Deno.test("Another sender does not go on with a part, nor destroy it", async () => {
  using rig = new Rig();
  rig.file("big", noise(4 * MIB));
  await interrupt(rig, 3 * MIB);
  const part = Deno.readFileSync(join(rig.target, PART));
  const { received } = await rig.transfer({ receive: { from: "another" } });
  assertEquals(received.resumedBytes, 0);
  assertEquals(namesIn(rig.target), ["big", PART, STATE]);
  assertEquals(Deno.readFileSync(join(rig.target, PART)), part);
});

for (
  const [name, spoil] of [
    ["that is not JSON", (state: string) => Deno.writeTextFileSync(state, "{")],
    [
      "of another version",
      (state: string) =>
        Deno.writeTextFileSync(state, '{"version":2,"from":"aaaa-bbbb-cccc-dddd","name":"big"}'),
    ],
    ["that is missing", (state: string) => Deno.removeSync(state)],
    ["that is null", (state: string) => Deno.writeTextFileSync(state, "null")],
  ] as const
) {
  Deno.test(`A part with a state file ${name} is not trusted`, async () => {
    using rig = new Rig();
    rig.file("big", noise(4 * MIB));
    await interrupt(rig, 3 * MIB);
    spoil(join(rig.target, STATE));
    const { received } = await rig.transfer();
    assertEquals(received.resumedBytes, 0);
    assertEquals(rig.received(), rig.offered());
  });
}

Deno.test("A part that has another name as well is left alone", async () => {
  using rig = new Rig();
  rig.file("big", noise(4 * MIB));
  await interrupt(rig, 3 * MIB);
  const precious = join(rig.root, "precious");
  Deno.linkSync(join(rig.target, PART), precious);
  const before = Deno.readFileSync(precious);
  const { received } = await rig.transfer();
  assertEquals(received.resumedBytes, 0);
  assertEquals(Deno.readFileSync(precious), before);
  assertEquals(rig.received(), rig.offered());
});

Deno.test("Links planted where parts stand are not followed", async () => {
  using rig = new Rig();
  rig.file("big", noise(4 * MIB));
  const precious = join(rig.root, "precious");
  Deno.writeTextFileSync(precious, "precious");
  for (const name of [PART, STATE]) {
    await interrupt(rig, 3 * MIB);
    Deno.removeSync(join(rig.target, name));
    Deno.symlinkSync(precious, join(rig.target, name));
    await rig.transfer({ receive: { conflict: "overwrite" } });
    assertEquals(Deno.readTextFileSync(precious), "precious");
    assertEquals(rig.received(), rig.offered());
    Deno.removeSync(join(rig.target, "big"));
  }
});

Deno.test("Links planted in a staged directory are not followed", async () => {
  using rig = new Rig();
  rig.file("tree/a", noise(2 * MIB));
  rig.file("tree/sub/b", noise(2 * MIB, 2));
  const precious = join(rig.root, "precious");
  Deno.mkdirSync(precious);
  Deno.writeTextFileSync(join(precious, "b"), "precious");
  await interrupt(rig, 3 * MIB);
  const sub = join(rig.target, "tree.p2p-part/sub");
  Deno.removeSync(sub, { recursive: true });
  Deno.symlinkSync(precious, sub);
  await rig.transfer();
  assertEquals(Deno.readTextFileSync(join(precious, "b")), "precious");
  assertEquals(rig.received(), rig.offered());
});

for (const name of [PART, STATE]) {
  Deno.test(`A file that has the name ${name} as well is not written to`, async () => {
    using rig = new Rig();
    rig.file("big", noise(2 * MIB));
    const precious = join(rig.root, "precious");
    Deno.writeTextFileSync(precious, "precious");
    Deno.linkSync(precious, join(rig.target, name));
    await rig.transfer();
    assertEquals(Deno.readTextFileSync(precious), "precious");
    assertEquals(rig.received(), rig.offered());
  });
}

for (const moment of ["a", "b"]) {
  Deno.test(`A link planted while ${moment} is received stops the transfer`, async () => {
    using rig = new Rig();
    rig.file("tree/sub/a", noise(2 * MIB));
    rig.file("tree/sub/b", noise(2 * MIB));
    const precious = join(rig.root, "precious");
    Deno.mkdirSync(precious);
    const sub = join(rig.target, "tree.p2p-part/sub");
    let planted = false;
    const { received } = await rig.attempt({
      receive: {
        onProgress: ({ file }) => {
          if (planted || !file.endsWith(moment)) return;
          planted = true;
          Deno.renameSync(sub, `${sub}-moved`);
          Deno.symlinkSync(precious, sub);
        },
      },
    });
    assertEquals(reasonOf(received).message.endsWith("something else was put in its place"), true);
    assertEquals(namesIn(precious), []);
    assertEquals(namesIn(rig.target).includes("tree"), false);
  });
}

Deno.test("A part that was replaced while it was received does not get the name", async () => {
  using rig = new Rig();
  rig.file("big", noise(2 * MIB));
  const part = join(rig.target, PART);
  let replaced = false;
  const { received } = await rig.attempt({
    receive: {
      onProgress: () => {
        if (replaced) return;
        replaced = true;
        Deno.renameSync(part, join(rig.root, "moved"));
        Deno.writeTextFileSync(part, "evil");
      },
    },
  });
  assertEquals(reasonOf(received).message.endsWith("something else was put in its place"), true);
  assertEquals(namesIn(rig.target).includes("big"), false);
});
