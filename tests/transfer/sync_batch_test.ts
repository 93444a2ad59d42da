/** When files are synced, together or one by one, and that none gets its name before. */
import { assertEquals, assertRejects } from "@std/assert";
import { dirname, join } from "node:path";
import { FileError } from "../../protocol/errors.ts";
import { SYNC_BATCH_BYTES, SYNC_BATCH_MS, SYNC_TOGETHER_FILES } from "../../protocol/limits.ts";
import { FileSystemSync, isLinuxFrom } from "../../transfer/file_system_sync.ts";
import { SyncBatch } from "../../transfer/sync_batch.ts";
import { FakeClock } from "../fakes/clock.ts";
import { FakeSync } from "../fakes/sync.ts";
import { namesIn, noise, reasonOf, Rig } from "./rig.ts";

const MANY = SYNC_TOGETHER_FILES + 36;

/** A batch, files for it, and what became of them. */
class Files {
  readonly named: string[] = [];
  readonly #rig: Rig;
  readonly #batch: SyncBatch;

  constructor(rig: Rig, batch: SyncBatch) {
    this.#rig = rig;
    this.#batch = batch;
  }

  async add(count: number, { bytes = 1, folder = "." } = {}): Promise<void> {
    for (let n = 0; n < count; n++) {
      const path = this.#rig.file(join(folder, `f${n}`), "x");
      const whenSynced = () => void this.named.push(path);
      await this.#batch.add({
        file: Deno.openSync(path, { write: true }),
        path,
        bytes,
        whenSynced,
      });
    }
  }
}

Deno.test("SyncBatch syncs the file system once for many small files, and only then names them", async () => {
  using rig = new Rig();
  const sync = new FakeSync();
  const batch = new SyncBatch(new FileSystemSync(sync.options));
  const files = new Files(rig, batch);
  sync.hold();
  await files.add(MANY);
  const flushed = batch.flush();
  await sync.reached;
  assertEquals(files.named, []);
  sync.release();
  await flushed;
  assertEquals(files.named.length, MANY);
  assertEquals(sync.folders, [rig.source]);
});

Deno.test("SyncBatch syncs few files, and large ones, one by one", async () => {
  using rig = new Rig();
  const sync = new FakeSync();
  const batch = new SyncBatch(new FileSystemSync(sync.options));
  const files = new Files(rig, batch);
  await files.add(SYNC_TOGETHER_FILES - 1);
  await batch.flush();
  await files.add(MANY, { bytes: 2 ** 30 });
  await batch.flush();
  assertEquals(files.named.length, SYNC_TOGETHER_FILES - 1 + MANY);
  assertEquals(sync.calls, []);
});

Deno.test("SyncBatch gathers no more than a batch has room for", async () => {
  using rig = new Rig();
  const sync = new FakeSync();
  const batch = new SyncBatch(new FileSystemSync(sync.options));
  const files = new Files(rig, batch);
  const bytes = SYNC_BATCH_BYTES / SYNC_TOGETHER_FILES - 1;
  await files.add(2 * (SYNC_TOGETHER_FILES + 1), { bytes });
  await batch.flush();
  assertEquals(sync.folders, [rig.source, rig.source]);
  assertEquals(files.named.length, 2 * (SYNC_TOGETHER_FILES + 1));
});

for (const count of [1, MANY]) {
  Deno.test(`SyncBatch lets ${count} complete files not wait for more that do not come`, async () => {
    using rig = new Rig();
    const clock = new FakeClock();
    const sync = new FakeSync();
    const after = (ms: number, action: () => void) => clock.after(ms, action);
    const batch = new SyncBatch(new FileSystemSync(sync.options), after);
    const { promise: named, resolve } = Promise.withResolvers<void>();
    for (let n = 0; n < count; n++) {
      const path = rig.file(`f${n}`, "x");
      const whenSynced = n === count - 1 ? resolve : () => {};
      await batch.add({ file: Deno.openSync(path, { write: true }), path, bytes: 1, whenSynced });
    }
    clock.advance(SYNC_BATCH_MS);
    await named;
    assertEquals(sync.folders.length, count === 1 ? 0 : 1);
    await batch.close();
  });
}

for (const how of ["is missing", "fails", "hangs", "is another program"] as const) {
  Deno.test(`SyncBatch syncs one by one where sync ${how}`, async () => {
    using rig = new Rig();
    const sync = new FakeSync(how);
    const batch = new SyncBatch(new FileSystemSync(sync.options));
    const files = new Files(rig, batch);
    await files.add(MANY);
    await batch.flush();
    assertEquals(files.named.length, MANY);
    const calls = sync.calls.length;
    await files.add(MANY);
    await batch.flush();
    assertEquals(files.named.length, 2 * MANY);
    assertEquals(sync.calls.length, calls, "it was asked again");
  });
}

Deno.test("SyncBatch says which file cannot be synced when the file system could not", async () => {
  using rig = new Rig();
  const batch = new SyncBatch(new FileSystemSync(new FakeSync("fails").options));
  const files = new Files(rig, batch);
  await files.add(MANY);
  // A file that is gone stands for one that the disk does not take.
  Deno.removeSync(join(rig.source, "f7"));
  const error = await assertRejects(() => batch.flush(), FileError);
  assertEquals(error.message.startsWith(`Cannot write ${rig.source}/f7: `), true, error.message);
  assertEquals(files.named, []);
  await batch.close();
});

Deno.test("SyncBatch.close() names the complete files, and waits for no others", async () => {
  using rig = new Rig();
  const sync = new FakeSync();
  const batch = new SyncBatch(new FileSystemSync(sync.options));
  const files = new Files(rig, batch);
  await files.add(MANY);
  await batch.close();
  assertEquals([files.named.length, sync.folders.length], [MANY, 1]);
  for (let n = 0; n < 2 * MANY; n++) {
    const path = rig.file(`g${n}`, "x");
    await batch.add({ file: Deno.openSync(path, { write: true }), path, bytes: 1 });
  }
  await batch.close();
  assertEquals(sync.folders.length, 1);
});

Deno.test("SyncBatch syncs many folders at once", async () => {
  using rig = new Rig();
  const sync = new FakeSync();
  const batch = new SyncBatch(new FileSystemSync(sync.options));
  await batch.folders(Array.from({ length: MANY }, () => rig.target));
  await batch.folders([rig.source]);
  assertEquals(sync.folders, [rig.target]);
});

Deno.test("FileSystemSync syncs every file system once on which there are files", async () => {
  const sync = new FakeSync();
  sync.devices.set("/b", 2);
  assertEquals(await new FileSystemSync(sync.options).sync(["/a", "/b", "/c", "-d"]), true);
  assertEquals(sync.calls, [["--version"], ["-f", "--", "-d"], ["-f", "--", "/b"]]);
});

Deno.test("FileSystemSync syncs nothing where one of the file systems is not known to sync", async () => {
  const sync = new FakeSync();
  sync.devices.set("/overlay", 2);
  sync.types.set("/overlay", 0x794c7630);
  const all = new FileSystemSync(sync.options);
  assertEquals(await all.serves("/a"), true);
  assertEquals(await all.serves("/overlay"), false);
  assertEquals(await all.sync(["/a", "/overlay"]), false);
});

for (const names of [["tree"], undefined]) {
  const what = names ? "a folder" : "many files";
  Deno.test(`Nothing of ${what} has its own name before it was synced`, async () => {
    using rig = new Rig();
    for (let n = 0; n < MANY; n++) rig.file(names ? `tree/f${n}` : `f${n}`, noise(1_000, n + 1));
    const sync = new FakeSync();
    const seen: string[][] = [];
    sync.onSync = () => void seen.push(namesIn(rig.target));
    const fileSystemSync = new FileSystemSync(sync.options);
    const { received } = await rig.transfer({
      ...(names && { names }),
      receive: { fileSystemSync },
    });
    assertEquals(received.files, MANY);
    assertEquals(seen.length, 1);
    assertEquals(seen[0]!.filter((name) => !/\.p2p-(part|state)$/.test(name)), []);
    assertEquals(rig.received(), rig.offered());
    assertEquals(
      received.items.map(({ path }) => dirname(path)).every((p) => p === rig.target),
      true,
    );
  });
}

Deno.test("A part that somebody replaces while it is synced does not get the name", async () => {
  using rig = new Rig();
  for (let n = 0; n < MANY; n++) rig.file(`f${n}`, "x");
  const sync = new FakeSync();
  sync.onSync = () => {
    Deno.renameSync(join(rig.target, "f8.p2p-part"), join(rig.target, "f7.p2p-part"));
  };
  const fileSystemSync = new FileSystemSync(sync.options);
  const { received } = await rig.attempt({ receive: { fileSystemSync } });
  assertEquals(reasonOf(received).message.includes("something else was put in its place"), true);
  assertEquals(namesIn(rig.target).includes("f7"), false);
});

Deno.test("isLinuxFrom() compares versions, not texts", () => {
  const releases = [
    "4.19.0-27-amd64",
    "5.7.19",
    "5.8.0",
    "5.15.167.4-WSL2",
    "6.1.0-18",
    "10.0",
    "",
  ];
  const from58 = releases.filter((release) => isLinuxFrom(release, [5, 8]));
  assertEquals(from58, ["5.8.0", "5.15.167.4-WSL2", "6.1.0-18", "10.0"]);
});

Deno.test("The system's own sync, where it is one that can be used", async () => {
  using rig = new Rig();
  const all = new FileSystemSync();
  if (!await all.serves(rig.target)) {
    console.error("Not tested: no GNU sync, or a file system that it is not used for");
    return;
  }
  assertEquals(await all.sync([rig.target, rig.source]), true);
  assertEquals(await all.sync([join(rig.target, "none")]), false);
});
