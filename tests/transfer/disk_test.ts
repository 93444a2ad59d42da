/** Disks that are full, and two receives that want the same place. */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { join } from "node:path";
import { streamPair } from "../fakes/stream_pair.ts";
import { FileError } from "../../protocol/errors.ts";
import { RefuseCode } from "../../protocol/offer.ts";
import { errorCode, fileError, writableFolder } from "../../transfer/files.ts";
import { receiveFiles } from "../../transfer/receive.ts";
import type { OfferRefusedError } from "../../transfer/refusal.ts";
import { sendFiles } from "../../transfer/send.ts";
import { collectSources } from "../../transfer/walk.ts";
import { MIB, namesIn, noise, reasonOf, Rig } from "./rig.ts";

/** A small disk as the target folder, until disposed; undefined where it cannot be had. */
async function smallDisk(rig: Rig, size: string): Promise<AsyncDisposable | undefined> {
  const mount = (command: string, ...args: string[]) =>
    new Deno.Command(command, { args, stderr: "null" }).output().catch(() => ({ success: false }));
  const { success } = await mount(
    "mount",
    "-t",
    "tmpfs",
    "-o",
    `size=${size}`,
    "tmpfs",
    rig.target,
  );
  if (!success) {
    console.error("Not tested: a small disk cannot be mounted here (root is needed)");
    return undefined;
  }
  return {
    async [Symbol.asyncDispose]() {
      await mount("umount", rig.target);
    },
  };
}

Deno.test("What does not fit the disk is refused before it is sent", async () => {
  using rig = new Rig();
  await using disk = await smallDisk(rig, "6m");
  if (!disk) return;
  rig.file("big", noise(3 * MIB));
  const { sent, received } = await rig.attempt();
  assertInstanceOf(reasonOf(received), FileError);
  assertEquals(reasonOf(received).message.includes("bytes are needed"), true);
  assertEquals((reasonOf(sent) as OfferRefusedError).refusal.code, RefuseCode.noSpace);
  assertEquals(rig.received(), {});
});

Deno.test("Many small files take as much space as the disk gives them", async () => {
  using rig = new Rig();
  await using disk = await smallDisk(rig, "6m");
  if (!disk) return;
  for (let i = 0; i < 600; i++) rig.file(`tree/f${i}`, "x");
  const { sent } = await rig.attempt();
  assertEquals((reasonOf(sent) as OfferRefusedError).refusal.code, RefuseCode.noSpace);
});

Deno.test("A disk that fills up meanwhile stops both; the part resumes when there is space", async () => {
  using rig = new Rig();
  await using disk = await smallDisk(rig, "16m");
  if (!disk) return;
  rig.file("big", noise(10 * MIB));
  const filler = join(rig.target, "filler");
  let filled = false;
  const { sent, received } = await rig.attempt({
    receive: {
      onProgress: ({ bytes }) => {
        if (filled || bytes < 3 * MIB) return;
        filled = true;
        Deno.writeFileSync(filler, new Uint8Array(10 * MIB));
      },
    },
  });
  const error = reasonOf(received);
  assertInstanceOf(error, FileError);
  assertEquals(error.message.endsWith("no space left on the disk"), true, error.message);
  assertEquals((reasonOf(sent) as OfferRefusedError).refusal.code, RefuseCode.noSpace);
  assertEquals(namesIn(rig.target), ["big.p2p-part", "big.p2p-state", "filler"]);
  Deno.removeSync(filler);
  const again = await rig.transfer();
  assertEquals(again.received.resumedBytes >= 2 * MIB, true);
  assertEquals(rig.received(), rig.offered());
});

const failures: [code: string, state: string][] = [
  ["ENOSPC", "no space left on the disk"],
  ["EACCES", "permission denied"],
  ["EROFS", "the file system is read-only"],
  ["ENOTDIR", "not a folder"],
  ["ENOENT", "no such file or folder"],
  ["ENAMETOOLONG", "the name is too long"],
  ["ELOOP", "a symbolic link stands in the way"],
];

for (const [code, state] of failures) {
  Deno.test(`fileError() says what ${code} means, and what to do`, () => {
    const cause = Object.assign(new Error("os error"), { code });
    const error = fileError("Cannot write", "/x", cause);
    assertEquals(error.message, `Cannot write /x: ${state}`);
    assertEquals([error.code, error.cause, error.hint !== undefined], ["file", cause, true]);
  });
}

Deno.test("errorCode() knows the system's errors as Deno throws them", () => {
  using rig = new Rig();
  const file = rig.file("file", "");
  const paths = [join(rig.source, "none"), join(file, "x"), join(rig.source, "n".repeat(300))];
  const codes = paths.map((path) => {
    try {
      Deno.openSync(path);
    } catch (error) {
      return errorCode(error);
    }
  });
  assertEquals(codes, ["ENOENT", "ENOTDIR", "ENAMETOOLONG"]);
});

/** A receive that has come to its middle and waits there, and what it will come to. */
async function halfway(rig: Rig, options: { isStale: () => Promise<boolean>; from?: string }) {
  const [a, b] = streamPair();
  const reached = Promise.withResolvers<void>();
  const read = b.read.bind(b);
  const held = Promise.withResolvers<void>();
  let bytes = 0;
  b.read = async () => {
    if (bytes > MIB) {
      reached.resolve();
      await Promise.race([held.promise, broken.promise]);
    }
    const piece = await read();
    bytes += piece?.length ?? 0;
    return piece;
  };
  const broken = Promise.withResolvers<void>();
  const reset = b.reset.bind(b);
  b.reset = (code) => {
    reset(code);
    broken.resolve();
  };
  const outcome = Promise.allSettled([
    sendFiles(a, await collectSources([join(rig.source, "big")])),
    receiveFiles(b, rig.receiveOptions(options)),
  ]);
  await reached.promise;
  return { outcome, goOn: () => held.resolve() };
}

Deno.test("The same file from the same sender is busy while it is received", async () => {
  using rig = new Rig();
  rig.file("big", noise(4 * MIB));
  const first = await halfway(rig, { isStale: () => Promise.resolve(false) });
  const { sent, received } = await rig.attempt();
  assertEquals((reasonOf(sent) as OfferRefusedError).refusal.code, RefuseCode.busy);
  assertEquals(reasonOf(received).message, "Cannot receive big: it is being received already");
  first.goOn();
  const [, outcome] = await first.outcome;
  assertEquals(outcome.status, "fulfilled");
  assertEquals(rig.received(), rig.offered());
});

Deno.test("A receive whose sender is gone gives way to the same sender, who resumes it", async () => {
  using rig = new Rig();
  rig.file("big", noise(4 * MIB));
  const first = await halfway(rig, { isStale: () => Promise.resolve(true) });
  const { received } = await rig.transfer();
  assertEquals(received.resumedBytes >= MIB, true);
  const [, outcome] = await first.outcome;
  assertEquals(
    reasonOf(outcome).message,
    "Transfer taken over: the same sender started it again",
  );
  assertEquals(rig.received(), rig.offered());
});

Deno.test("The same name from two senders at once arrives twice", async () => {
  using rig = new Rig();
  rig.file("big", noise(4 * MIB));
  const first = await halfway(rig, { isStale: () => Promise.resolve(false), from: "another" });
  await rig.transfer();
  first.goOn();
  await first.outcome;
  assertEquals(namesIn(rig.target), ["big", "big (1)"]);
  const [one, other] = ["big", "big (1)"].map((name) => Deno.readFileSync(join(rig.target, name)));
  assertEquals(one, other);
});

Deno.test("A part that another process writes to is busy", async () => {
  using rig = new Rig();
  rig.file("big", noise(4 * MIB));
  const state = join(rig.target, "big.p2p-state");
  Deno.writeTextFileSync(state, '{"version":1,"from":"aaaa-bbbb-cccc-dddd","name":"big"}');
  {
    using lock = Deno.openSync(state, { read: true, write: true });
    lock.lockSync(true);
    const { sent } = await rig.attempt();
    assertEquals((reasonOf(sent) as OfferRefusedError).refusal.code, RefuseCode.busy);
  }
  await rig.transfer();
  assertEquals(rig.received(), rig.offered());
});

Deno.test("A folder that is writable by other means than its mode for owner and others takes files", () => {
  using rig = new Rig();
  if (Deno.uid() !== 0) {
    console.error("Not tested: a folder of somebody else cannot be made here (root is needed)");
    return;
  }
  Deno.chownSync(rig.target, 65_534, 65_534);
  Deno.chmodSync(rig.target, 0o770);
  assertEquals(writableFolder(rig.target), Deno.realPathSync(rig.target));
  assertEquals(namesIn(rig.target), []);
});
