import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { RefuseCode } from "../../protocol/offer.ts";
import { type ConflictAnswer, type ConflictMode, otherName } from "../../transfer/conflict.ts";
import type { OfferRefusedError } from "../../transfer/refusal.ts";
import { MIB, namesIn, noise, reasonOf, Rig } from "./rig.ts";

function plant(rig: Rig, name: string, content: string): void {
  const path = join(rig.target, name);
  Deno.mkdirSync(join(path, ".."), { recursive: true });
  Deno.writeTextFileSync(path, content);
}

const names: [path: string, n: number, directory: boolean, expected: string][] = [
  ["/t/film.mkv", 0, false, "/t/film.mkv"],
  ["/t/film.mkv", 1, false, "/t/film (1).mkv"],
  ["/t/film.mkv", 12, false, "/t/film (12).mkv"],
  ["/t/archive.tar.gz", 1, false, "/t/archive (1).tar.gz"],
  ["/t/.bashrc", 1, false, "/t/.bashrc (1)"],
  ["/t/Makefile", 1, false, "/t/Makefile (1)"],
  ["/t/photos.d", 1, true, "/t/photos.d (1)"],
  [`/t/${"x".repeat(251)}.mkv`, 1, false, `/t/${"x".repeat(247)} (1).mkv`],
  [`/t/${"ä".repeat(127)}`, 1, true, `/t/${"ä".repeat(125)} (1)`],
];

for (const [path, n, directory, expected] of names) {
  Deno.test(`otherName() ${n} of ${path.slice(0, 24)} is ${expected.slice(-24)}`, () => {
    assertEquals(otherName(path, n, directory), expected);
  });
}

const modes: [mode: ConflictMode, expected: Record<string, string>, skipped: string[]][] = [
  ["skip", { "film.mkv": "644 old" }, ["film.mkv"]],
  ["rename", { "film.mkv": "644 old", "film (1).mkv": "644 new" }, []],
  ["overwrite", { "film.mkv": "644 new" }, []],
];

for (const [mode, expected, skipped] of modes) {
  Deno.test(`A file that exists, with ${mode}`, async () => {
    using rig = new Rig();
    rig.file("film.mkv", "new");
    plant(rig, "film.mkv", "old");
    const { sent, received } = await rig.transfer({ receive: { conflict: mode } });
    assertEquals(rig.received(), expected);
    assertEquals([sent.skipped, received.skipped], [skipped, skipped]);
    assertEquals([sent.items.length, received.items.length], Array(2).fill(1 - skipped.length));
    assertEquals(sent.bytes, received.bytes);
  });

  Deno.test(`A file that exists, asked about and answered ${mode}`, async () => {
    using rig = new Rig();
    rig.file("film.mkv", "new");
    rig.file("free", "not asked about");
    plant(rig, "film.mkv", "old");
    const asked: string[] = [];
    await rig.transfer({
      receive: {
        conflict: "ask",
        askConflict: (path) => {
          asked.push(path);
          return Promise.resolve(mode as ConflictAnswer);
        },
      },
    });
    assertEquals(rig.received(), { ...expected, free: "644 not asked about" });
    assertEquals(asked, [join(rig.target, "film.mkv")]);
  });
}

Deno.test("The final path of a renamed file is reported", async () => {
  using rig = new Rig();
  rig.file("film.mkv", "new");
  plant(rig, "film.mkv", "old");
  plant(rig, "film (1).mkv", "older");
  const { received } = await rig.transfer();
  assertEquals(received.items, [{ path: join(rig.target, "film (2).mkv"), bytes: 3 }]);
});

/** A directory on both sides that has each sort of meeting. */
function plantMeeting(rig: Rig): void {
  rig.file("tree/same", "new");
  rig.file("tree/only-new", "new");
  rig.file("tree/sub/same", "new");
  rig.file("tree/new-sub/x", "new");
  Deno.symlinkSync("same", join(rig.source, "tree/link"));
  plant(rig, "tree/same", "old");
  plant(rig, "tree/only-old", "old");
  plant(rig, "tree/sub/same", "old");
  Deno.symlinkSync("only-old", join(rig.target, "tree/link"));
}

const untouched = {
  "tree/": "755",
  "tree/only-old": "644 old",
  "tree/sub/": "755",
};
const added = {
  "tree/only-new": "644 new",
  "tree/new-sub/": "755",
  "tree/new-sub/x": "644 new",
};

Deno.test("A directory that exists is merged, with skip", async () => {
  using rig = new Rig();
  plantMeeting(rig);
  const { received } = await rig.transfer({ receive: { conflict: "skip" } });
  assertEquals(rig.received(), {
    ...untouched,
    ...added,
    "tree/same": "644 old",
    "tree/sub/same": "644 old",
    "tree/link": "→ only-old",
  });
  assertEquals(received.skipped, ["tree/same", "tree/sub/same"]);
  assertEquals(received.items, [{ path: join(rig.target, "tree"), bytes: 6 }]);
});

Deno.test("A directory that exists is merged, with overwrite", async () => {
  using rig = new Rig();
  plantMeeting(rig);
  await rig.transfer({ receive: { conflict: "overwrite" } });
  assertEquals(rig.received(), {
    ...untouched,
    ...added,
    "tree/same": "644 new",
    "tree/sub/same": "644 new",
    "tree/link": "→ same",
  });
});

Deno.test("A directory that exists is merged, asked about and answered rename", async () => {
  using rig = new Rig();
  plantMeeting(rig);
  await rig.transfer({
    receive: { conflict: "ask", askConflict: () => Promise.resolve("rename" as const) },
  });
  assertEquals(rig.received(), {
    ...untouched,
    ...added,
    "tree/same": "644 old",
    "tree/same (1)": "644 new",
    "tree/sub/same": "644 old",
    "tree/sub/same (1)": "644 new",
    "tree/link": "→ only-old",
    "tree/link (1)": "→ same",
  });
});

Deno.test("A directory that exists is left alone with rename", async () => {
  using rig = new Rig();
  plantMeeting(rig);
  const before = rig.received();
  const { received } = await rig.transfer({ receive: { conflict: "rename" } });
  assertEquals(received.items[0]!.path, join(rig.target, "tree (1)"));
  for (const [path, content] of Object.entries(before)) {
    assertEquals(rig.received()[path], content);
  }
  assertEquals(rig.received()["tree (1)/same"], "644 new");
});

const mismatches: [name: string, prepare: (rig: Rig) => void, skipped: string[]][] = [
  ["a file where a directory is offered", (rig) => {
    rig.file("x/y", "new");
    plant(rig, "x", "old");
  }, ["x/y"]],
  ["a directory where a file is offered", (rig) => {
    rig.file("x", "new");
    plant(rig, "x/y", "old");
  }, ["x"]],
  ["a link where a directory is offered", (rig) => {
    rig.file("x/y", "new");
    plant(rig, "elsewhere/y", "old");
    Deno.symlinkSync("elsewhere", join(rig.target, "x"));
  }, ["x/y"]],
  ["a link to a folder within a merged directory", (rig) => {
    rig.file("top/x/y/z", "new");
    plant(rig, "elsewhere/y/z", "old");
    Deno.mkdirSync(join(rig.target, "top"));
    Deno.symlinkSync("../elsewhere", join(rig.target, "top/x"));
  }, ["top/x/y/z"]],
];

for (const [name, prepare, skipped] of mismatches) {
  Deno.test(`With overwrite, ${name} refuses the offer`, async () => {
    using rig = new Rig();
    prepare(rig);
    const before = rig.received();
    const { sent, received } = await rig.attempt({ receive: { conflict: "overwrite" } });
    assertEquals((reasonOf(sent) as OfferRefusedError).refusal.code, RefuseCode.exists);
    assertEquals(reasonOf(received).message.startsWith("Cannot receive "), true);
    assertEquals(rig.received(), before);
  });

  Deno.test(`With skip, ${name} is left alone`, async () => {
    using rig = new Rig();
    prepare(rig);
    const before = rig.received();
    const { received } = await rig.transfer({ receive: { conflict: "skip" } });
    assertEquals(received.skipped, skipped);
    assertEquals(rig.received(), before);
  });
}

Deno.test("A link that has a file's name is replaced, not followed", async () => {
  using rig = new Rig();
  rig.file("film.mkv", "new");
  plant(rig, "precious", "old");
  Deno.symlinkSync("precious", join(rig.target, "film.mkv"));
  await rig.transfer({ receive: { conflict: "overwrite" } });
  assertEquals(rig.received(), { "film.mkv": "644 new", precious: "644 old" });
});

for (const mode of ["skip", "rename"] as const) {
  Deno.test(`A file that appears meanwhile is not replaced, with ${mode}`, async () => {
    using rig = new Rig();
    rig.file("film.mkv", "new");
    rig.file("tree/x", "new");
    await rig.transfer({
      receive: {
        conflict: mode,
        onProgress: () => {
          plant(rig, "film.mkv", "appeared");
          plant(rig, "tree/x", "appeared");
        },
      },
    });
    assertEquals(rig.received(), {
      "film.mkv": "644 appeared",
      "film (1).mkv": "644 new",
      "tree/": "755",
      "tree/x": "644 appeared",
      "tree (1)/": "755",
      "tree (1)/x": "644 new",
    });
  });
}

for (const place of ["tree/sub", "tree"]) {
  Deno.test(`A link planted as ${place}, which is merged, is not followed`, async () => {
    using rig = new Rig();
    rig.file("tree/sub/x", "new");
    plant(rig, "tree/sub/old", "old");
    plant(rig, "precious/sub/y", "precious");
    let planted = false;
    const { received } = await rig.attempt({
      receive: {
        conflict: "overwrite",
        onProgress: () => {
          if (planted) return;
          planted = true;
          const path = join(rig.target, place);
          Deno.renameSync(path, `${path}-moved`);
          Deno.symlinkSync(join(rig.target, "precious"), path);
        },
      },
    });
    assertEquals(reasonOf(received).message.endsWith("something else was put in its place"), true);
    assertEquals(namesIn(join(rig.target, "precious")), ["sub"]);
    assertEquals(namesIn(join(rig.target, "precious/sub")), ["y"]);
  });
}

Deno.test("An offer all of which is skipped still ends well", async () => {
  using rig = new Rig();
  rig.file("a", "new");
  plant(rig, "a", "old");
  const { sent, received } = await rig.transfer({ receive: { conflict: "skip" } });
  assertEquals([sent.items, received.items], [[], []]);
  assertEquals([sent.files, received.files], [0, 0]);
});

Deno.test("More skipped files than fit one message are skipped", async () => {
  using rig = new Rig();
  for (let i = 0; i < 17_000; i++) rig.file(`tree/f${i}`, "");
  rig.file("tree/new", noise(10));
  await rig.transfer({ names: ["tree"] });
  Deno.removeSync(join(rig.target, "tree/new"));
  const { sent, received } = await rig.transfer({ receive: { conflict: "skip" } });
  assertEquals([sent.skipped.length, received.skipped.length], [17_000, 17_000]);
  assertEquals(namesIn(rig.target), ["tree"]);
  assertEquals(namesIn(join(rig.target, "tree")).length, 17_001);
});

Deno.test("Skipped bytes are not in the total of the progress", async () => {
  using rig = new Rig();
  rig.file("a", noise(2 * MIB));
  rig.file("b", noise(MIB));
  plant(rig, "a", "old");
  const totals = new Set<number | undefined>();
  const onProgress = ({ total }: { total: number | undefined }) => void totals.add(total);
  await rig.transfer({ send: { onProgress }, receive: { conflict: "skip", onProgress } });
  assertEquals([...totals], [MIB]);
});
