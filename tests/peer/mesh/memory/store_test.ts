import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { clearMesh } from "../../../../peer/mesh/memory/clear.ts";
import type { MeshMemory } from "../../../../peer/mesh/memory/memory.ts";
import { MeshStore } from "../../../../peer/mesh/memory/store.ts";
import { openMeshMemory } from "../../../../peer/mesh/memory/open.ts";
import { FileError } from "../../../../protocol/errors.ts";
import { MAX_LOGS, MAX_REMEMBERED_MEMBERS } from "../../../../protocol/limits.ts";
import type { StoredLine } from "../../../../protocol/line.ts";
import type { RememberedMember } from "../../../../protocol/memberships.ts";
import { FakeClock } from "../../../fakes/clock.ts";
import { TemporaryFolder } from "../../../fakes/temporary_folder.ts";

const HOUR_MS = 3_600_000;
const NOON = Date.UTC(2026, 10, 21, 12);
const KEY = bytes(32, 1);
const BOB = bytes(32, 2);
const CAROL = bytes(32, 3);

function bytes(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

function line(number: number, changes: Partial<StoredLine> = {}): StoredLine {
  return {
    author: BOB,
    instance: bytes(8, 9),
    channel: 0,
    number,
    time: NOON,
    receivedAt: NOON,
    name: "bob",
    text: `line ${number}`,
    signature: bytes(64, 7),
    ...changes,
  };
}

function member(changes: Partial<RememberedMember> = {}): RememberedMember {
  return {
    key: BOB,
    signingKey: bytes(32, 8),
    name: "bob",
    addresses: [{ host: "192.168.1.20", port: 8080 }, { host: "2001:db8::1", port: 1 }],
    relay: undefined,
    memberSince: NOON,
    lastSeen: NOON,
    state: "present",
    ...changes,
  };
}

/** A folder, and time, in which stores are opened. */
class Rig implements Disposable {
  readonly folder = new TemporaryFolder();
  now = NOON;

  get path(): string {
    return this.folder.join("p2p", "mesh.db");
  }

  open(key = KEY, keepLines = true): Promise<MeshStore> {
    return MeshStore.open(this.folder.join("p2p"), { key, keepLines, now: () => this.now });
  }

  /** What a program finds that is started now. */
  async restored(key = KEY, keepLines = true) {
    using store = await this.open(key, keepLines);
    return store.restore();
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

function numbers(lines: readonly { number: number }[]): number[] {
  return lines.map(({ number }) => number);
}

Deno.test("MeshStore gives back what it was given, in order, to the next program", async () => {
  using rig = new Rig();
  const lines = [
    line(1, { text: "one\u0000\x1b[31m\u202e ü日🙂\r\n" }),
    line(7, { text: "", name: "Боб 日本 محمد 🙂" }),
    line(2, { author: KEY, channel: 1, to: CAROL, receivedAt: NOON + 1 }),
    line(2, { author: KEY, channel: 1, to: BOB, receivedAt: NOON + 1 }),
    line(2 ** 32 - 1, { instance: bytes(8, 255), time: 2 ** 48 - 1 }),
  ];
  const members = [
    member({ name: "Боб 日本", relay: "host.example:8080", state: "lost" }),
    member({ key: CAROL, addresses: [], state: "left", lastSeen: NOON - 1 }),
  ];
  {
    using store = await rig.open();
    store.write({ lines: lines.slice(0, 3), members });
    store.write({ lines: lines.slice(3) });
  }
  const restored = await rig.restored();
  assertEquals(restored.lines, lines);
  assertEquals(restored.members, members);
});

Deno.test("MeshStore writes text as it is sent: a half of a character is none", async () => {
  using rig = new Rig();
  {
    using store = await rig.open();
    store.write({ lines: [line(1, { text: "a\ud800b" })] });
  }
  assertEquals((await rig.restored()).lines[0]!.text, "a\ufffdb");
});

Deno.test("MeshStore keeps how far each log is known, never less", async () => {
  using rig = new Rig();
  const log = { author: BOB, instance: bytes(8, 9), direct: true };
  {
    using store = await rig.open();
    store.write({ lines: [line(3), line(4)], positions: [{ ...log, channel: 0, number: 4 }] });
    store.write({
      lines: [line(8, { channel: 1, to: KEY }), line(8, { author: KEY, channel: 1, to: BOB })],
    });
    store.write({ positions: [{ ...log, channel: 1, number: 9 }] });
    store.write({ lines: [line(5)] });
    store.write({ positions: [{ ...log, channel: 0, number: 2 }] });
  }
  const { positions } = await rig.restored();
  assertEquals(positions.sort((a, b) => a.number - b.number), [
    { ...log, direct: false, channel: 0, number: 5 },
    { ...log, direct: false, channel: 1, number: 9 },
  ]);
});

Deno.test("MeshStore keeps the position, but not the text, of a line above 1 MiB", async () => {
  using rig = new Rig();
  {
    using store = await rig.open();
    store.write({ lines: [line(1, { text: "x".repeat(2 ** 20) })] });
    store.write({ lines: [line(2, { text: "x".repeat(2 ** 20 + 1) })] });
    store.write({ lines: [line(3, { text: "ü".repeat(8 * 2 ** 20) })] });
  }
  const { lines, positions } = await rig.restored();
  assertEquals(numbers(lines), [1]);
  assertEquals(numbers(positions), [3]);
});

Deno.test("MeshStore keeps a line once, however often it is told", async () => {
  using rig = new Rig();
  {
    using store = await rig.open();
    store.write({ lines: [line(1), line(1, { text: "another" })] });
  }
  assertEquals((await rig.restored()).lines.map(({ text }) => text), ["line 1"]);
});

Deno.test("MeshStore drops lines after an hour and positions after two", async () => {
  using rig = new Rig();
  {
    using store = await rig.open();
    store.write({ lines: [line(1)] });
    rig.now += HOUR_MS - 1;
    store.write({ lines: [line(2, { receivedAt: rig.now })] });
    rig.now += 2;
    store.sweep();
    assertEquals(numbers(store.restore().lines), [2]);
    rig.now += HOUR_MS;
    store.sweep();
    assertEquals(store.restore().lines, []);
  }
  assertEquals(numbers((await rig.restored()).positions), [2]);
  rig.now += HOUR_MS;
  assertEquals(await rig.restored(), { lines: [], positions: [], members: [] });
});

Deno.test("MeshStore does not keep for ever what a clock that was wrong has dated", async () => {
  using rig = new Rig();
  rig.now += 1_000 * 24 * HOUR_MS;
  {
    using store = await rig.open();
    store.write({ lines: [line(1, { receivedAt: rig.now })] });
    store.write({ members: [member({ lastSeen: rig.now })] });
  }
  rig.now = NOON;
  const { lines, positions, members } = await rig.restored();
  assertEquals([lines, positions], [[], []]);
  assertEquals(members[0]!.lastSeen, NOON);
});

Deno.test("MeshStore has whoever was present lost in the next program, since the last sweep", async () => {
  using rig = new Rig();
  {
    using store = await rig.open();
    store.write({ members: [member(), member({ key: CAROL, state: "left" })] });
    rig.now += 3 * HOUR_MS;
    store.sweep();
    rig.now += HOUR_MS;
  }
  assertEquals((await rig.restored()).members, [
    member({ state: "lost", lastSeen: NOON + 3 * HOUR_MS }),
    member({ key: CAROL, state: "left" }),
  ]);
});

Deno.test("MeshStore keeps what a member told last, and of those who are gone the last ones", async () => {
  using rig = new Rig();
  const many = Array.from({ length: 2 * MAX_REMEMBERED_MEMBERS }, (_, i) => {
    const key = bytes(32, 4);
    key.set([i >> 8, i & 255]);
    return member({ key, state: "left", lastSeen: NOON - i });
  });
  {
    using store = await rig.open();
    store.write({ members: [member({ name: "old", lastSeen: NOON + 1 }), ...many] });
    store.write({ members: [member({ name: "robert", addresses: [], lastSeen: NOON + 1 })] });
    rig.now += 2;
    store.write({ members: [member({ key: CAROL, lastSeen: 0 })] });
    store.sweep();
    // Two are present, one of them among the last.
    assertEquals(store.restore().members.length, MAX_REMEMBERED_MEMBERS);
    assertEquals(store.restore().members[0]!.name, "robert");
  }
  const { members } = await rig.restored();
  assertEquals(
    members.map(({ key }) => key.toHex()).sort(),
    [{ key: BOB }, { key: CAROL }, ...many.slice(0, MAX_REMEMBERED_MEMBERS - 2)]
      .map(({ key }) => key.toHex()).sort(),
  );
});

Deno.test("MeshStore has those who stayed a moment make room for those who stayed for longer", async () => {
  using rig = new Rig();
  const many = Array.from({ length: 2 * MAX_REMEMBERED_MEMBERS }, (_, i) => {
    const key = bytes(32, 4);
    key.set([i >> 8, i & 255]);
    return member({ key, state: "lost", memberSince: NOON, lastSeen: NOON + 59_999 });
  });
  rig.now += 60_000;
  {
    using store = await rig.open();
    const stayed = { memberSince: NOON - 60_000, lastSeen: NOON };
    store.write({ members: [member({ ...stayed, state: "lost" }), ...many] });
    store.sweep();
  }
  const { members } = await rig.restored();
  assertEquals([members.length, members[0]!.key], [MAX_REMEMBERED_MEMBERS, BOB]);
});

Deno.test("MeshStore keeps the members only, where nothing that is said is to be kept", async () => {
  using rig = new Rig();
  {
    using store = await rig.open();
    store.write({ lines: [line(1, { text: "a secret" })], members: [member()] });
  }
  {
    using store = await rig.open(KEY, false);
    store.write({ lines: [line(2, { text: "a secret" })], members: [member({ key: CAROL })] });
    store.write({ positions: [{ ...line(3), direct: false }] });
  }
  const { lines, positions, members } = await rig.restored();
  assertEquals([lines, positions, members.length], [[], [], 2]);
  const file = new TextDecoder().decode(Deno.readFileSync(rig.path));
  assert(!file.includes("a secret"));
});

Deno.test("MeshStore drops what another identity left", async () => {
  using rig = new Rig();
  {
    using store = await rig.open();
    store.write({ lines: [line(1)], members: [member()] });
  }
  assertEquals(await rig.restored(CAROL), { lines: [], positions: [], members: [] });
  assertEquals(await rig.restored(KEY), { lines: [], positions: [], members: [] });
});

Deno.test("MeshStore drops the oldest of whoever floods, and nobody else's", async () => {
  using rig = new Rig();
  using store = await rig.open();
  store.write({ lines: [line(1, { author: CAROL, text: "kept" })] });
  for (let round = 0; round < 40; round++) {
    const flood = Array.from(
      { length: 100 },
      (_, i) => line(round * 100 + i + 1, { text: "x".repeat(5_000) }),
    );
    store.write({ lines: flood });
  }
  const { lines } = store.restore();
  assertEquals(lines[0]!.text, "kept");
  assertEquals(lines.at(-1)!.number, 4_000);
  const kept = numbers(lines.slice(1));
  assertEquals(kept, kept.map((_, i) => 4_001 - kept.length + i));
  const size = kept.length * 5_300;
  assert(size > 7_000_000 && size <= 8_388_608, `${size}`);
});

Deno.test("MeshStore keeps no more logs than it uses, though somebody begins one with each line", async () => {
  using rig = new Rig();
  using store = await rig.open();
  for (let round = 0; round < 20; round++) {
    const positions = Array.from({ length: 1_000 }, (_, i) => {
      const instance = new Uint8Array(8);
      new DataView(instance.buffer).setUint32(0, round * 1_000 + i);
      return { author: BOB, instance, channel: 0 as const, direct: false, number: 1 };
    });
    store.write({ positions });
  }
  const kept = store.restore().positions.length;
  assert(kept >= MAX_LOGS && kept <= 10 * MAX_LOGS, `${kept}`);
});

Deno.test("MeshStore keeps no more of all who were never met than of one member", async () => {
  using rig = new Rig();
  const text = "x".repeat(5_000);
  const many = (author: Uint8Array, count: number) => ({
    lines: Array.from({ length: count }, (_, i) => line(i + 1, { author, text })),
  });
  for (let round = 0; round < 2; round++) {
    using store = await rig.open();
    store.write({ ...many(BOB, 1_000), members: [member()] });
    for (let author = 100; author < 164; author++) store.write(many(bytes(32, author), 100));
    const { lines } = store.restore();
    const bobs = lines.filter(({ author }) => author[0] === BOB[0]).length;
    assertEquals(bobs, 1_000);
    const others = (lines.length - bobs) * 5_300;
    assert(others > 7_500_000 && others <= 8_388_608, `${others}`);
  }
});

Deno.test("MeshStore has a share for whoever is met, of what was there before, too", async () => {
  using rig = new Rig();
  using store = await rig.open();
  const text = "x".repeat(5_000);
  const many = (author: Uint8Array, from: number) => ({
    lines: Array.from({ length: 1_000 }, (_, i) => line(from + i, { author, text })),
  });
  store.write(many(BOB, 1));
  store.write({ members: [member()] });
  store.write(many(CAROL, 1));
  store.write(many(BOB, 1_001));
  const { lines } = store.restore();
  const numbersOf = (author: Uint8Array) =>
    numbers(lines.filter((each) => each.author[0] === author[0]));
  assertEquals(numbersOf(CAROL).length, 1_000);
  assertEquals(numbersOf(BOB).at(-1), 2_000);
  assert(numbersOf(BOB).length > 1_500);
});

Deno.test("MeshStore does not forget a position because others begin logs without end", async () => {
  using rig = new Rig();
  using store = await rig.open();
  const log = { instance: bytes(8, 9), channel: 0 as const, direct: false };
  store.write({ positions: [{ ...log, author: BOB, number: 7 }], members: [member()] });
  rig.now += 1;
  const positions = Array.from({ length: 4 * MAX_LOGS }, (_, i) => {
    const instance = new Uint8Array(8);
    new DataView(instance.buffer).setUint32(0, i);
    return { ...log, instance, author: bytes(32, 100 + i % 64), number: 1 };
  });
  store.write({ positions });
  store.sweep();
  const kept = store.restore().positions;
  assertEquals(kept.length, MAX_LOGS);
  assertEquals(kept.filter(({ author }) => author[0] === BOB[0]).map(({ number }) => number), [7]);
});

/** What is kept when each of some members has said so many lines of this length. */
async function keptOf(authors: number, count: number, length: number) {
  using rig = new Rig();
  using store = await rig.open();
  for (let author = 0; author < authors; author++) {
    const said = { author: bytes(32, 10 + author), text: "x".repeat(length) };
    store.write({ members: [member({ key: said.author })] });
    store.write({ lines: Array.from({ length: count }, (_, i) => line(i + 1, said)) });
  }
  const { lines } = store.restore();
  store[Symbol.dispose]();
  const text = lines.reduce((sum, { text }) => sum + text.length, 0);
  return { lines: lines.length, text, file: Deno.statSync(rig.path).size };
}

Deno.test("MeshStore keeps 32,768 lines, however short", async () => {
  const { lines } = await keptOf(35, 1_000, 10);
  assert(lines > 32_000 && lines <= 32_768, `${lines}`);
});

Deno.test("MeshStore keeps 32 MiB of lines, however many are from one author", async () => {
  const { text } = await keptOf(6, 80, 100_000);
  assert(text > 26_000_000 && text <= 33_554_432, `${text}`);
});

Deno.test("MeshStore's file has 64 MiB at most where lines waste half of each page", async () => {
  const { text, file } = await keptOf(17, 1_000, 1_960);
  assert(text > 28_000_000 && text <= 33_554_432, `${text}`);
  assert(file > 56_000_000 && file <= 67_108_864, `${file}`);
});

Deno.test("MeshStore writes 10,000 lines in well below half a second", async () => {
  using rig = new Rig();
  using store = await rig.open();
  const began = performance.now();
  for (let batch = 0; batch < 200; batch++) {
    store.write({ lines: Array.from({ length: 50 }, (_, i) => line(batch * 50 + i + 1)) });
  }
  const ms = performance.now() - began;
  // Loosely: the machine may be busy.
  assert(ms < 2_000, `${ms}`);
});

Deno.test("MeshStore's files are their owner's alone, and so is the folder", async () => {
  using rig = new Rig();
  using store = await rig.open();
  store.write({ lines: [line(1)] });
  assertEquals(Deno.statSync(rig.folder.join("p2p")).mode! & 0o777, 0o700);
  const names = Array.from(Deno.readDirSync(rig.folder.join("p2p")), ({ name }) => name);
  assertEquals(names.sort(), ["mesh.db", "mesh.db-wal", "mesh.lock"]);
  for (const name of names) {
    assertEquals(Deno.statSync(rig.folder.join("p2p", name)).mode! & 0o777, 0o600, name);
  }
});

Deno.test("MeshStore tells what is no database, or not ours", async () => {
  using rig = new Rig();
  rig.folder.file("p2p/mesh.db", "garbage ".repeat(1_000));
  await assertRejects(() => rig.open(), FileError, "mesh.db: it is damaged, or not p2p's");
  Deno.removeSync(rig.path);
  Deno.mkdirSync(rig.path);
  await assertRejects(() => rig.open(), FileError, "mesh.db: it is a folder");
  Deno.removeSync(rig.path);
  const other = new DatabaseSync(rig.path);
  other.exec("CREATE TABLE a (b)");
  other.close();
  await assertRejects(() => rig.open(), FileError, "another program's database");
  Deno.removeSync(rig.path);
  (await rig.open())[Symbol.dispose]();
  const later = new DatabaseSync(rig.path);
  later.exec("PRAGMA user_version = 2");
  later.close();
  await assertRejects(() => rig.open(), FileError, "a later version of p2p");
});

Deno.test("MeshStore tells of what is not as it was written", async () => {
  using rig = new Rig();
  (await rig.open())[Symbol.dispose]();
  const other = new DatabaseSync(rig.path);
  other.exec(
    `INSERT INTO members VALUES (x'01', x'03', 'bob', '[', NULL, ${NOON}, ${NOON}, 'left')`,
  );
  other.close();
  using store = await rig.open();
  assertThrows(() => store.restore(), FileError, "mesh.db: it is damaged");
});

Deno.test("MeshStore takes the next file where another has the first, and says when there is none", async () => {
  using rig = new Rig();
  using stores = new DisposableStack();
  const names: string[] = [];
  for (let i = 0; i < 8; i++) names.push(stores.use(await rig.open()).path);
  const expected = ["mesh", ...[2, 3, 4, 5, 6, 7, 8].map((i) => `mesh-${i}`)];
  assertEquals(names, expected.map((name) => rig.folder.join("p2p", `${name}.db`)));
  await assertRejects(() => rig.open(), FileError, "8 programs have a file there each already");
});

Deno.test("clearMesh() deletes what is of somebody, or all, down to the bytes", async () => {
  using rig = new Rig();
  const folder = rig.folder.join("p2p");
  assert(!await clearMesh(folder));
  {
    using store = await rig.open();
    store.write({
      lines: [
        line(1, { text: "a secret of bob" }),
        line(1, { author: KEY, channel: 1, to: BOB, text: "a secret for bob" }),
        line(2, { author: KEY, text: "for all" }),
        line(1, { author: CAROL, text: "a word of carol" }),
      ],
      members: [member(), member({ key: CAROL })],
    });
    assert(await clearMesh(folder));
    assertEquals(store.restore().lines.length, 4);
  }
  assert(!await clearMesh(folder, [BOB]));
  const { lines, members } = await rig.restored();
  assertEquals(lines.map(({ text }) => text), ["for all", "a word of carol"]);
  assertEquals(members.map(({ key }) => key), [CAROL]);
  assert(!new TextDecoder().decode(Deno.readFileSync(rig.path)).includes("a secret"));
  assert(!await clearMesh(folder));
  assertEquals(Array.from(Deno.readDirSync(folder), ({ name }) => name), ["mesh.lock"]);
});

Deno.test("clearMesh() removes what cannot be read, but only where all is to go", async () => {
  using rig = new Rig();
  rig.folder.file("p2p/mesh.db", "garbage ".repeat(1_000));
  await assertRejects(() => clearMesh(rig.folder.join("p2p"), [BOB]), FileError, "it is damaged");
  await clearMesh(rig.folder.join("p2p"));
  assertEquals((await rig.restored()).lines, []);
});

/** Memories, and what was said of them. */
class MemoryRig extends Rig {
  readonly clock = new FakeClock();
  readonly warnings: string[][] = [];

  openMemory(folder = this.folder.join("p2p")): Promise<MeshMemory> {
    return openMeshMemory({
      key: KEY,
      noHistory: false,
      output: { warn: (...lines) => this.warnings.push(lines) },
      folder,
      clock: this.clock,
      now: () => this.now,
    });
  }
}

Deno.test("openMeshMemory() remembers, and sweeps every minute until it is closed", async () => {
  using rig = new MemoryRig();
  const memory = await rig.openMemory();
  memory.write({ lines: [line(1)], members: [member()] });
  rig.now += HOUR_MS + 1;
  await rig.clock.advance(60_000);
  assertEquals(memory.restore().lines, []);
  assertEquals(memory.restore().members[0]!.lastSeen, rig.now);
  rig.now += 5;
  await rig.clock.advance(60_000);
  assertEquals(memory.restore().members[0]!.lastSeen, rig.now);
  memory.close();
  memory.close();
  memory.write({ lines: [line(2)] });
  await rig.clock.advance(600_000);
  assertEquals((await rig.restored()).lines, []);
  assertEquals(rig.warnings, []);
});

Deno.test("openMeshMemory() goes on without where the file cannot be used, and says so once", async () => {
  using rig = new MemoryRig();
  const path = rig.folder.file("p2p/mesh.db", "garbage ".repeat(1_000));
  const memory = await rig.openMemory();
  memory.write({ lines: [line(1)] });
  assertEquals(memory.restore(), { lines: [], positions: [], members: [] });
  memory.close();
  assertEquals(rig.warnings, [[
    "The chat goes on, but its last hour would not survive a restart. " +
    `${path}: it is damaged, or not p2p's`,
    "Move the file away: with the next start there is a new one.",
  ]]);
});

Deno.test("openMeshMemory() goes on without where there can be no folder", async () => {
  using rig = new MemoryRig();
  const folder = `${rig.folder.file("file", "")}/p2p`;
  (await rig.openMemory(folder)).close();
  assertEquals(rig.warnings.length, 1);
  assert(rig.warnings[0]![0]!.endsWith(`${folder}: not a folder`), rig.warnings[0]![0]);
});

Deno.test("openMeshMemory() goes on without when the file fails later, and says so once", async () => {
  using rig = new MemoryRig();
  const memory = await rig.openMemory();
  memory.write({ lines: [line(1)] });
  memory.write({ lines: [line(2, { signature: undefined as unknown as Uint8Array })] });
  memory.write({ lines: [line(3)] });
  await rig.clock.advance(600_000);
  memory.close();
  assertEquals(rig.warnings.length, 1);
  assertEquals(numbers((await rig.restored()).lines), [1]);
});
