import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import type { HistoryEntry } from "../../../peer/history/entry.ts";
import { History } from "../../../peer/history/history.ts";
import { FakeClock } from "../../fakes/clock.ts";
import { TemporaryFolder } from "../../fakes/temporary_folder.ts";

const BOB = { key: new Uint8Array(32).fill(1), name: "bob" };

/** A history on a test's clock. */
class Rig implements AsyncDisposable {
  readonly folder = new TemporaryFolder();
  readonly path = this.folder.join("history.db");
  readonly clock = new FakeClock();
  readonly warnings: string[] = [];
  readonly history = new History({
    path: this.path,
    output: { warn: (...lines) => void this.warnings.push(...lines) },
    clock: this.clock,
    now: () => 1_234,
  });

  say(text: string): void {
    this.history.add({ sent: false, private: false, from: "bob", with: [BOB], text });
  }

  /** Lets time pass until all that waits is written, or given up. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      await this.clock.advance(50);
      // The disk knows nothing of the test's clock.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** What is in the file. */
  stored(): string[] {
    const database = new DatabaseSync(this.path);
    const rows = database.prepare("SELECT text FROM entries ORDER BY id").all();
    database.close();
    return rows.map(({ text }) => text as string);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.history[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

function texts(entries: HistoryEntry[]): string[] {
  return entries.map(({ text }) => text);
}

Deno.test("History makes no file until something is said", async () => {
  await using rig = new Rig();
  await rig.history[Symbol.asyncDispose]();
  assertEquals([...Deno.readDirSync(rig.folder.path)], []);
});

Deno.test("History is written a moment after it was said, and at the end at once", async () => {
  await using rig = new Rig();
  rig.say("one");
  rig.say("two");
  await rig.pass(200);
  assertEquals(rig.stored(), ["one", "two"]);
  rig.say("three");
  await rig.history[Symbol.asyncDispose]();
  assertEquals(rig.stored(), ["one", "two", "three"]);
});

Deno.test("History.read() has what was said just before", async () => {
  await using rig = new Rig();
  rig.say("one");
  assertEquals(texts(await rig.history.read({})), ["one"]);
  rig.say("two");
  const [entry] = await rig.history.read({ keys: [BOB.key], last: 1 });
  assertEquals([entry?.text, entry?.time], ["two", 1_234]);
});

Deno.test("History waits for another program that holds the lock for some seconds", async () => {
  await using rig = new Rig();
  rig.say("one");
  await rig.pass(100);
  const other = new DatabaseSync(rig.path);
  other.exec("BEGIN EXCLUSIVE");
  rig.say("two");
  await rig.pass(3_000);
  rig.say("three");
  other.exec("COMMIT");
  other.close();
  await rig.pass(1_000);
  assertEquals(rig.stored(), ["one", "two", "three"]);
  assertEquals(rig.warnings, []);
});

Deno.test("History gives up, in one line, a database that stays locked", async () => {
  await using rig = new Rig();
  const other = new DatabaseSync(rig.path);
  other.exec("BEGIN EXCLUSIVE");
  rig.say("one");
  await rig.pass(15_000);
  rig.say("two");
  await rig.pass(15_000);
  other.close();
  assertEquals(rig.warnings.length, 1);
  assertEquals(
    rig.warnings[0],
    "The chat goes on without history. " +
      `History not opened: ${rig.path}: another program holds it`,
  );
  await assertRejects(() => rig.history.read({}));
});

Deno.test("History does not hold up a flood of lines while it is locked", async () => {
  await using rig = new Rig();
  rig.say("one");
  await rig.pass(100);
  const other = new DatabaseSync(rig.path);
  other.exec("BEGIN EXCLUSIVE");
  const began = performance.now();
  for (let i = 0; i < 5_000; i++) rig.say("flood");
  assert(performance.now() - began < 1_000);
  other.exec("COMMIT");
  other.close();
  await rig.pass(1_000);
  assertEquals([rig.stored().length, rig.warnings], [5_001, []]);
});

Deno.test("History gives up when too much is said while it is locked", async () => {
  await using rig = new Rig();
  rig.say("one");
  await rig.pass(100);
  const other = new DatabaseSync(rig.path);
  other.exec("BEGIN EXCLUSIVE");
  for (let i = 0; i < 300 && rig.warnings.length === 0; i++) rig.say("x".repeat(1_000_000));
  other.close();
  assertEquals(rig.warnings.length, 1);
  await rig.pass(100);
  assertEquals(rig.stored(), ["one"]);
});

Deno.test("History keeps the beginning of a line that is too long", async () => {
  await using rig = new Rig();
  rig.say("🙂".repeat(100_000));
  const [entry] = await rig.history.read({});
  assertEquals([entry!.text.length, entry!.text.endsWith("🙂\ufffd…")], [65_536, true]);
});

Deno.test("History keeps 100,000 lines that are said at once", async () => {
  await using rig = new Rig();
  for (let i = 0; i < 3; i++) rig.say(`line ${i}`);
  await rig.history.read({ last: 1 });
  for (let i = 3; i < 100_000; i++) rig.say(`line ${i}`);
  await rig.pass(200);
  assertEquals(rig.stored(), Array.from({ length: 100_000 }, (_, i) => `line ${i}`));
});
