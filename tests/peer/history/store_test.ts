import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import type { HistoryEntry } from "../../../peer/history/entry.ts";
import { isLocked } from "../../../peer/history/file.ts";
import { HistoryStore } from "../../../peer/history/store.ts";
import { FileError } from "../../../protocol/errors.ts";
import { TemporaryFolder } from "../../fakes/temporary_folder.ts";

const BOB = { key: new Uint8Array(32).fill(1), name: "bob" };
const CAROL = { key: new Uint8Array(32).fill(2), name: "carol" };

function entry(changes: Partial<HistoryEntry> = {}): HistoryEntry {
  const { from = "bob" } = changes;
  return { time: 1_000, sent: false, private: false, from, with: [BOB], text: "hi", ...changes };
}

function open(folder: TemporaryFolder, maxBytes = 1_000_000): Promise<HistoryStore> {
  return HistoryStore.open(folder.join("p2p", "history.db"), { timeoutMs: 50, maxBytes });
}

function texts(entries: Iterable<HistoryEntry>): string[] {
  return Array.from(entries, ({ text }) => text);
}

Deno.test("HistoryStore gives back what it was given, in order, after it was opened anew", async () => {
  using folder = new TemporaryFolder();
  const entries = [
    entry({ text: "one\u0000\x1b[31m\u202e ü日🙂" }),
    entry({ time: 2, sent: true, from: "alice", with: [BOB, CAROL], text: "" }),
    entry({ private: true, text: "secret" }),
    entry({ text: "/tmp/film.mkv", fileBytes: 2 ** 40 }),
  ];
  {
    using store = await open(folder);
    store.append(entries);
  }
  using store = await open(folder);
  const read = [...store.read({})].map((each) => ({
    ...each,
    with: each.with.map(({ key, name }) => ({ key: new Uint8Array(key), name })),
  }));
  assertEquals(read, entries.map((each) => ({ fileBytes: undefined, ...each })));
});

Deno.test("HistoryStore finds by key, by time, and the last ones", async () => {
  using folder = new TemporaryFolder();
  using store = await open(folder);
  store.append([
    entry({ text: "1", time: 10 }),
    entry({ text: "2", time: 20, with: [CAROL] }),
    entry({ text: "3", time: 30, with: [BOB, CAROL] }),
    entry({ text: "4", time: 40, with: [{ ...BOB, name: "robert" }] }),
  ]);
  assertEquals(texts(store.read({})), ["1", "2", "3", "4"]);
  assertEquals(texts(store.read({ keys: [BOB.key] })), ["1", "3", "4"]);
  assertEquals(texts(store.read({ keys: [BOB.key, CAROL.key], last: 2 })), ["3", "4"]);
  assertEquals(texts(store.read({ keys: [] })), []);
  assertEquals(texts(store.read({ since: 20, last: 2 })), ["3", "4"]);
  assertEquals(store.keysOf("robert").map((key) => key[0]), [1]);
  assertEquals(store.keysOf("nobody"), []);
});

Deno.test("HistoryStore's file is its owner's alone, and so is the folder", async () => {
  using folder = new TemporaryFolder();
  using store = await open(folder);
  store.append([entry()]);
  assertEquals(Deno.statSync(folder.join("p2p")).mode! & 0o777, 0o700);
  for (const file of Deno.readDirSync(folder.join("p2p"))) {
    assertEquals(Deno.statSync(folder.join("p2p", file.name)).mode! & 0o777, 0o600, file.name);
  }
});

Deno.test("HistoryStore takes a file that others could read away from them", async () => {
  using folder = new TemporaryFolder();
  (await open(folder))[Symbol.dispose]();
  Deno.chmodSync(folder.join("p2p", "history.db"), 0o644);
  (await open(folder))[Symbol.dispose]();
  assertEquals(Deno.statSync(folder.join("p2p", "history.db")).mode! & 0o777, 0o600);
});

Deno.test("HistoryStore drops the oldest of whoever has most, and nobody else's", async () => {
  using folder = new TemporaryFolder();
  using store = await open(folder, 100_000);
  store.append([entry({ text: "kept" })]);
  const flood = (round: number) =>
    Array.from(
      { length: 100 },
      (_, i) => entry({ with: [CAROL], text: `${round} ${i} ${"x".repeat(5_000)}` }),
    );
  for (let round = 0; round < 10; round++) store.append(flood(round));
  const kept = texts(store.read({}));
  assertEquals(kept[0], "kept");
  assertEquals(kept.at(-1)!.slice(0, 5), "9 99 ");
  // It is looked at every 256 KiB only.
  assert(kept.length < 100, `${kept.length}`);
  const size = Deno.statSync(folder.join("p2p", "history.db")).size;
  assert(size < 1_500_000, `${size}`);
});

Deno.test("HistoryStore stays small, and quick, where each line comes from another key", async () => {
  using folder = new TemporaryFolder();
  using store = await open(folder, 500_000);
  const began = performance.now();
  for (let round = 0; round < 20; round++) {
    store.append(Array.from({ length: 1_000 }, (_, i) => {
      const key = new Uint8Array(32);
      new DataView(key.buffer).setUint32(0, round * 1_000 + i);
      return entry({ with: [{ key, name: `n${round} ${i}` }] });
    }));
  }
  assert(store.allKeys().length < 5_000);
  assert(performance.now() - began < 5_000);
});

Deno.test("HistoryStore.clear() deletes one person's or everything, down to the bytes", async () => {
  using folder = new TemporaryFolder();
  using store = await open(folder);
  store.append([
    entry({ text: "a secret of bob" }),
    entry({ text: "a word of carol", with: [CAROL] }),
    entry({ text: "for both", sent: true, with: [BOB, CAROL] }),
  ]);
  assertEquals(store.clear([BOB.key]), 1);
  assertEquals(texts(store.read({})), ["a word of carol", "for both"]);
  const bytes = ["history.db", "history.db-wal"].map((name) =>
    new TextDecoder().decode(Deno.readFileSync(folder.join("p2p", name)))
  ).join("");
  assert(!bytes.includes("a secret of bob"));
  assertEquals(store.clear(), 2);
  assertEquals(texts(store.read({})), []);
  assertEquals(store.allKeys(), []);
});

Deno.test("HistoryStore tells what is no database, or not ours", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("p2p/history.db", "garbage ".repeat(1_000));
  await assertRejects(() => open(folder), FileError, "it is damaged, or not p2p's");
  Deno.removeSync(path);
  Deno.mkdirSync(path);
  await assertRejects(() => open(folder), FileError, "it is a folder");
  Deno.removeSync(path);
  const other = new DatabaseSync(path);
  other.exec("CREATE TABLE a (b)");
  other.close();
  await assertRejects(() => open(folder), FileError, "another program's database");
  Deno.removeSync(path);
  (await open(folder))[Symbol.dispose]();
  const later = new DatabaseSync(path);
  later.exec("PRAGMA user_version = 2");
  later.close();
  await assertRejects(() => open(folder), FileError, "a later version of p2p");
});

Deno.test("HistoryStore tells that another program holds it, and goes on when it does not", async () => {
  using folder = new TemporaryFolder();
  using store = await open(folder);
  const other = new DatabaseSync(store.path);
  other.exec("BEGIN IMMEDIATE");
  const error = assertThrows(() => store.append([entry()]), FileError, "another program holds it");
  assert(isLocked(error));
  other.exec("COMMIT");
  other.close();
  store.append([entry()]);
  assertEquals(texts(store.read({})), ["hi"]);
});

Deno.test("HistoryStore.append() keeps all or nothing", async () => {
  using folder = new TemporaryFolder();
  using store = await open(folder);
  const broken = entry({ text: undefined as unknown as string });
  assertThrows(() => store.append([entry(), broken]), FileError);
  assertEquals(texts(store.read({})), []);
  store.append([entry()]);
  assertEquals(texts(store.read({})), ["hi"]);
});
