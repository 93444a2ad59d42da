import { assert, assertEquals, assertRejects } from "@std/assert";
import { changedKeyError, KnownPeers } from "../../peer/known_peers.ts";
import { FileError, IdentityError } from "../../protocol/errors.ts";

const posix = Deno.build.os !== "windows";
const keyA = new Uint8Array(32).fill(0xaa);
const keyB = new Uint8Array(32).fill(0xbb);
const now = () => new Date("2025-03-09T23:59:59.999Z");

/** Runs the test with a file in a folder of its own, which is removed afterwards. */
async function withKnownPeers(test: (known: KnownPeers, folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await test(new KnownPeers(folder, { now }), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("KnownPeers knows nobody while there is no file, and makes none by asking", () =>
  withKnownPeers(async (known, folder) => {
    assertEquals(await known.check("alice", keyA), "new");
    assertEquals(await known.entries(), []);
    assertEquals(known.warnings, []);
    assertEquals(Array.from(Deno.readDirSync(folder)), []);
  }));

Deno.test("KnownPeers.remember() writes one line per peer, in the published format", () =>
  withKnownPeers(async (known) => {
    assertEquals(await known.remember("alice", keyA), "new");
    assertEquals(await known.remember("[::1]:8080", keyB), "new");
    assertEquals(
      await Deno.readTextFile(known.path),
      "alice\tqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\t2025-03-09\n" +
        "[::1]:8080\tu7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7s=\t2025-03-09\n",
    );
    assertEquals(await known.entries(), [
      { name: "alice", key: keyA, firstSeen: "2025-03-09" },
      { name: "[::1]:8080", key: keyB, firstSeen: "2025-03-09" },
    ]);
  }));

Deno.test("KnownPeers lets nobody else read its file, nor the folder that it makes", {
  ignore: !posix,
}, () =>
  withKnownPeers(async (_, parent) => {
    const known = new KnownPeers(`${parent}/p2p`);
    await known.remember("alice", keyA);
    assertEquals((await Deno.stat(`${parent}/p2p`)).mode! & 0o777, 0o700);
    assertEquals((await Deno.stat(known.path)).mode! & 0o777, 0o600);
    await known.remember("bob", keyA);
    await known.forget("alice");
    assertEquals((await Deno.stat(known.path)).mode! & 0o777, 0o600);
  }));

Deno.test("KnownPeers.check() tells known, new and changed keys apart", () =>
  withKnownPeers(async (known) => {
    await known.remember("alice", keyA);
    assertEquals(await known.check("alice", keyA), "known");
    assertEquals(await known.check("alice", keyB), "changed");
    assertEquals(await known.check("Alice", keyB), "new");
    assertEquals(await known.check("alic", keyA), "new");
    assertEquals(await known.find("alice"), [
      { name: "alice", key: keyA, firstSeen: "2025-03-09" },
    ]);
  }));

Deno.test("KnownPeers.remember() changes nothing about a name that is known", () =>
  withKnownPeers(async (known) => {
    await known.remember("alice", keyA);
    const before = await Deno.readTextFile(known.path);
    assertEquals(await known.remember("alice", keyA), "known");
    assertEquals(await known.remember("alice", keyB), "changed");
    assertEquals(await Deno.readTextFile(known.path), before);
  }));

Deno.test("KnownPeers takes any of the keys that stand under a name", () =>
  withKnownPeers(async (known) => {
    const lines = [keyA, keyB].map((key) => `alice\t${key.toBase64()}\t2025-01-01\n`);
    await Deno.writeTextFile(known.path, lines.join(""));
    assertEquals(await known.check("alice", keyA), "known");
    assertEquals(await known.check("alice", keyB), "known");
    assertEquals(await known.check("alice", new Uint8Array(32)), "changed");
    assertEquals(await known.forget("alice"), true);
    assertEquals(await known.check("alice", keyA), "new");
  }));

Deno.test("KnownPeers.forget() removes that name only", () =>
  withKnownPeers(async (known) => {
    for (const name of ["alice", "bob", "carol"]) await known.remember(name, keyA);
    assertEquals(await known.forget("bob"), true);
    assertEquals(await known.forget("bob"), false);
    assertEquals((await known.entries()).map(({ name }) => name), ["alice", "carol"]);
    assertEquals(await known.remember("bob", keyB), "new");
    assertEquals(await known.check("bob", keyB), "known");
  }));

const unreadable = [
  "nonsense",
  "bob\tshort\t2025-01-01",
  `bob\t${keyA.toBase64()}`,
  `bob\t${keyA.toBase64()}\tyesterday`,
  `\t${keyA.toBase64()}\t2025-01-01`,
  `bob ${keyA.toBase64()} 2025-01-01`,
  `bob\t${new Uint8Array(31).toBase64()}\t2025-01-01`,
];

Deno.test("KnownPeers skips lines that it cannot read, says so, and keeps them", () =>
  withKnownPeers(async (known) => {
    const good = `alice\t${keyA.toBase64()}\t2025-01-01`;
    await Deno.writeTextFile(known.path, [...unreadable, "", good].join("\n"));
    assertEquals(await known.check("alice", keyA), "known");
    assertEquals(await known.check("bob", keyA), "new");
    assertEquals(
      known.warnings,
      unreadable.map((_, index) =>
        `Line ${index + 1} of ${known.path} skipped: it is not readable`
      ),
    );
    await known.remember("carol", keyB);
    await known.forget("alice");
    const carol = `carol\t${keyB.toBase64()}\t2025-03-09`;
    assertEquals(
      await Deno.readTextFile(known.path),
      [...unreadable, "", carol, ""].join("\n"),
    );
  }));

Deno.test("KnownPeers reads lines with more fields or with Windows line ends", () =>
  withKnownPeers(async (known) => {
    const text =
      `alice\t${keyA.toBase64()}\t2025-01-01\tlater\r\nbob\t${keyB.toBase64()}\t2025-01-01\r\n`;
    await Deno.writeTextFile(known.path, text);
    assertEquals(await known.check("alice", keyA), "known");
    assertEquals(await known.check("bob", keyB), "known");
    assertEquals(known.warnings, []);
  }));

Deno.test("KnownPeers.remember() rejects what cannot stand in a line", () =>
  withKnownPeers(async (known) => {
    for (const name of ["", "a\tb", "a\nb", "a\rb", " a", "a "]) {
      await assertRejects(() => known.remember(name, keyA), TypeError, "cannot stand in a line");
    }
    await assertRejects(() => known.remember("a", new Uint8Array(31)), TypeError, "31 bytes");
    assertEquals(await known.entries(), []);
  }));

Deno.test("KnownPeers says why its file cannot be read or written", () =>
  withKnownPeers(async (known, folder) => {
    await Deno.mkdir(known.path);
    await assertRejects(() => known.check("a", keyA), FileError, "Known peers not read");
    await assertRejects(() => known.remember("a", keyA), FileError, "Known peers not written");
    await assertRejects(() => known.forget("a"), FileError, "Known peers not written");
    await Deno.writeTextFile(`${folder}/file`, "");
    const elsewhere = new KnownPeers(`${folder}/file`);
    await assertRejects(() => elsewhere.remember("a", keyA), FileError, "Known peers not written");
  }));

Deno.test("KnownPeers loses no line when many write at once", () =>
  withKnownPeers(async (_, folder) => {
    const names = Array.from({ length: 30 }, (_, index) => `peer ${index}`);
    for (const name of ["x", "y", "z"]) await new KnownPeers(folder).remember(name, keyA);
    const forgetting = ["x", "y", "z"].map((name) => new KnownPeers(folder).forget(name));
    const remembering = names.map((name) => new KnownPeers(folder).remember(name, keyA));
    await Promise.all([...remembering.slice(0, 15), ...forgetting, ...remembering.slice(15)]);
    const found = (await new KnownPeers(folder).entries()).map(({ name }) => name);
    assertEquals(found.sort(), names.sort());
  }));

Deno.test("KnownPeers lets one of several keys win when a name is met for the first time", () =>
  withKnownPeers(async (_, folder) => {
    const keys = Array.from({ length: 10 }, (_, index) => new Uint8Array(32).fill(index));
    const results = await Promise.all(
      keys.map((key) => new KnownPeers(folder).remember("alice", key)),
    );
    assertEquals(results.filter((result) => result === "new").length, 1);
    assertEquals(results.filter((result) => result === "changed").length, 9);
    const [alice, ...others] = await new KnownPeers(folder).entries();
    assertEquals(others, []);
    assertEquals(alice!.key, keys[results.indexOf("new")]);
  }));

Deno.test("KnownPeers loses no line of other processes", () =>
  withKnownPeers(async (known, folder) => {
    const module = new URL("../../peer/known_peers.ts", import.meta.url);
    const work = (process: number) =>
      `import { KnownPeers } from ${JSON.stringify(module)};
      const known = new KnownPeers(${JSON.stringify(folder)});
      for (let i = 0; i < 20; i++) {
        await known.remember("peer ${process} " + i, new Uint8Array(32));
        if (i % 2) await known.forget("peer ${process} " + (i - 1));
      }`;
    const outputs = await Promise.all(
      [1, 2, 3].map((process) =>
        new Deno.Command(Deno.execPath(), { args: ["eval", work(process)] }).output()
      ),
    );
    assert(outputs.every(({ success }) => success));
    const found = (await known.entries()).map(({ name }) => name);
    const expected = [1, 2, 3].flatMap((process) =>
      Array.from({ length: 10 }, (_, index) => `peer ${process} ${2 * index + 1}`)
    );
    assertEquals(found.sort(), expected.sort());
    assertEquals(known.warnings, []);
  }));

const [zeros, ones] = [new Uint8Array(32), new Uint8Array(32).fill(255)];

Deno.test("changedKeyError() says loudly what was known and what to do", () => {
  const error = changedKeyError({ name: "bob", known: zeros, seen: ones, whose: "Peer" }, "/k p");
  assert(error instanceof IdentityError);
  assertEquals(
    error.message,
    "Peer refused: THE KEY OF bob HAS CHANGED, somebody may be in between " +
      "(it was mzuh-vlpy-mk6x-o3ep in /k p, now it is v6lb-g5qp-ojrv-7pnu)",
  );
  assertEquals(
    error.hint,
    "Ask bob by another way what their fingerprint is. Only if it is v6lb-g5qp-ojrv-7pnu: p2p forget bob",
  );
});

Deno.test("changedKeyError() tells of a relay what can be compared there: its address with the key", () => {
  const changed = { name: "host:8080", known: zeros, seen: ones, whose: "Relay" } as const;
  const { message, hint } = changedKeyError(changed, "/k");
  assert(message.startsWith("Relay refused: THE KEY OF host:8080 HAS CHANGED"), message);
  assert(/#KEY.*: p2p forget host:8080$/.test(hint!), hint);
});

Deno.test("changedKeyError() gives a command that is safe to paste whatever the name", () => {
  const hint = (name: string) =>
    changedKeyError({ name, known: keyA, seen: keyB, whose: "Peer" }, "/k").hint!;
  assert(hint("$(reboot)").endsWith("p2p forget '$(reboot)'"));
  assert(hint("--all").endsWith("p2p forget -- '--all'"));
});
