import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { join, normalize } from "node:path";
import { type Entry, EntryKind } from "../../protocol/offer.ts";
import {
  entriesProblem,
  foldPath,
  partProblem,
  pathProblem,
  targetProblem,
} from "../../transfer/name.ts";

function entry(path: string, kind: EntryKind = EntryKind.file, target = ""): Entry {
  return { kind, mode: 0, mtime: 0, size: 0, path, target };
}

function folder(path: string): Entry {
  return entry(path, EntryKind.directory);
}

const refused: [path: string, problem: string][] = [
  ["", "has an empty part"],
  ["/etc/passwd", "is absolute"],
  ["/", "is absolute"],
  ["a//b", "has an empty part"],
  ["a/", "has an empty part"],
  [".", "has the part ."],
  ["..", "has the part .."],
  ["../x", "has the part .."],
  ["a/../../x", "has the part .."],
  ["a/./b", "has the part ."],
  ["a\\b", "has a backslash"],
  ["..\\x", "has a backslash"],
  ["C:", "has a colon"],
  ["C:\\x", "has a backslash"],
  ["file.txt:stream", "has a colon"],
  ...Array.from('<>"|?*', (sign): [string, string] => [`a${sign}b`, `has the sign ${sign}`]),
  ["a\0b", "has a control character"],
  ["a\nb", "has a control character"],
  ["\x1b[31mred", "has a control character"],
  ["a\x7fb", "has a control character"],
  ["a\u0085b", "has a control character"],
  ["a\ud800b", "is not Unicode"],
  ["\udc00", "is not Unicode"],
  ["name.", "ends in a dot or space"],
  ["name ", "ends in a dot or space"],
  ["a /b", "ends in a dot or space"],
  ["...", "ends in a dot or space"],
  ...[
    "CON",
    "PRN",
    "AUX",
    "NUL",
    "CONIN$",
    "CONOUT$",
    "COM0",
    "COM1",
    "COM9",
    "COM\u00b9",
    "COM\u00b2",
    "COM\u00b3",
    "LPT0",
    "LPT9",
    "LPT\u00b3",
    "con",
    "nul.txt",
    "Com1.tar.gz",
    "aux .txt",
    "dir/lpt1.log",
  ].map((name): [string, string] => [name, "is reserved on Windows"]),
  ["film.mkv.p2p-part", "has the ending of an unfinished transfer"],
  ["film.mkv.P2P-State", "has the ending of an unfinished transfer"],
  ["a.p2p-part/b", "has the ending of an unfinished transfer"],
  [".p2p-part", "has the ending of an unfinished transfer"],
  ["x".repeat(256), "has a part that is too long"],
  ["ä".repeat(128), "has a part that is too long"],
  [Array(65).fill("a").join("/"), "has too many parts"],
  [Array(17).fill("x".repeat(250)).join("/"), "is too long"],
];

for (const [path, problem] of refused) {
  Deno.test(`pathProblem(${JSON.stringify(path).slice(0, 40)}) ${problem}`, () => {
    assertEquals(pathProblem(path), problem);
  });
}

const accepted = [
  "film.mkv",
  ".hidden",
  "..double",
  "a..b",
  "con1",
  "console",
  "COM10",
  "COM",
  "null.txt",
  "p2p-part",
  "film.p2p-part.mkv",
  "-rf",
  "~",
  "$HOME",
  "a b",
  " leading",
  "it's; rm -rf",
  "日本語.txt",
  "Ελληνικά",
  "русский/файл",
  "עברית",
  "हिन्दी",
  "e\u0301",
  "👩‍👩‍👧.png",
  "x".repeat(255),
  Array(64).fill("a").join("/"),
];

for (const path of accepted) {
  Deno.test(`pathProblem(${JSON.stringify(path).slice(0, 40)}) finds none`, () => {
    assertEquals(pathProblem(path), undefined);
  });
}

const twins: [string, string][] = [
  ["a", "A"],
  ["straße", "STRASSE"],
  ["é", "e\u0301"],
  ["É", "e\u0301"],
  ["ﬁ", "FI"],
  ["σ", "ς"],
  ["K", "\u212a"],
  ["ǆ", "ǅ"],
];

for (const [a, b] of twins) {
  Deno.test(`entriesProblem() finds that ${a} and ${b} are the same name`, () => {
    const problem = `is the same name as ${a}`;
    assertEquals(entriesProblem([entry(a), entry(b)]), { path: b, problem });
    const nested = [folder("d"), entry(`d/${a}`), entry(`d/${b}`)];
    assertEquals(entriesProblem(nested)?.path, `d/${b}`);
  });
}

const offers: [name: string, entries: Entry[], path: string, problem: string][] = [
  ["the same path twice", [entry("a"), entry("a")], "a", "stands twice"],
  ["the same directory twice", [folder("a"), folder("a")], "a", "stands twice"],
  ["no directory", [entry("a/b")], "a/b", "is in a directory that was not offered"],
  [
    "a directory after what is in it",
    [entry("a/b"), folder("a")],
    "a/b",
    "is in a directory that was not offered",
  ],
  [
    "a file as a directory",
    [entry("a"), entry("a/b")],
    "a/b",
    "is in a directory that was not offered",
  ],
  [
    "a path through a link",
    [folder("a"), entry("a/l", EntryKind.link, "."), entry("a/l/x")],
    "a/l/x",
    "is in a directory that was not offered",
  ],
  [
    "a directory of another case",
    [folder("a"), entry("A/b")],
    "A/b",
    "is in a directory that was not offered",
  ],
  [
    "an entry away from its directory",
    [folder("a"), folder("b"), entry("a/x")],
    "a/x",
    "does not stand with its directory",
  ],
  ["a link at the top", [entry("l", EntryKind.link, "x")], "l", "is a link that leads outside"],
];

for (const [name, entries, path, problem] of offers) {
  Deno.test(`entriesProblem() refuses ${name}`, () => {
    assertEquals(entriesProblem(entries), { path, problem });
  });
}

const outside = "is a link that leads outside";
const behind = "is a link whose target has '..' behind a name";
const targets: [path: string, target: string, problem: string | undefined][] = [
  ["t/l", "x", undefined],
  ["t/l", ".", undefined],
  ["t/l", "./x/./y", undefined],
  ["t/a/l", "..", undefined],
  ["t/a/l", "../b/c", undefined],
  ["t/a/b/l", "../../x", undefined],
  ["t/l", "..", outside],
  ["t/l", "../t/x", outside],
  ["t/a/l", "../../x", outside],
  ["t/a/l", "./.././../x", outside],
  ["t/l", "/etc/passwd", "is a link to an absolute path"],
  ["t/a/l", "b/../../..", behind],
  ["t/a/l", "b/..", behind],
  ["t/l", "C:\\x", "is a link whose target has a backslash"],
  ["t/l", "a:b", "is a link whose target has a colon"],
  ["t/l", "a//b", "is a link whose target has an empty part"],
  ["t/l", "a\nb", "is a link whose target has a control character"],
  ["t/l", "x.p2p-part", "is a link whose target has the ending of an unfinished transfer"],
];

for (const [path, target, problem] of targets) {
  Deno.test(`targetProblem() of ${path} → ${JSON.stringify(target)}: ${problem ?? "none"}`, () => {
    assertEquals(targetProblem(path, target), problem);
  });
}

const nastyPart = fc.oneof(
  fc.constantFrom("", ".", "..", "a", "A", "b", "con", "a.", " ", "/", "\\", "C:", "\0", "é"),
  fc.string({ unit: "binary", maxLength: 6 }),
);
const nastyPath = fc.array(nastyPart, { maxLength: 6 }).map((parts) => parts.join("/"));

Deno.test("What pathProblem() accepts stays inside the folder", () => {
  fc.assert(
    fc.property(nastyPath, (path) => {
      if (pathProblem(path) !== undefined) return;
      const joined = join("/target", path);
      assertEquals(joined.startsWith("/target/"), true);
      assertEquals(normalize(path), path);
      assertEquals(
        new URL(`file:///target/${encodeURI(path)}`).pathname.startsWith("/target/"),
        true,
      );
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("What targetProblem() accepts resolves inside the top directory", () => {
  const part = fc.constantFrom("..", ".", "a", "b", "c");
  const path = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(path, fc.array(part, { minLength: 1, maxLength: 6 }), (parents, target) => {
      const link = ["top", ...parents].join("/");
      if (targetProblem(link, target.join("/")) !== undefined) return;
      const resolved = join("/", link, "..", ...target);
      assertEquals(resolved === "/top" || resolved.startsWith("/top/"), true);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("entriesProblem() leaves no two names that fold to the same", () => {
  const names = fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 3 }));
  fc.assert(
    fc.property(names, (names) => {
      if (entriesProblem(names.map((name) => entry(name))) !== undefined) return;
      assertEquals(new Set(names.map(foldPath)).size, names.length);
    }),
    { numRuns: 500 },
  );
});

Deno.test("partProblem() is none for ordinary names", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z][a-z0-9_-]{5,20}\.[a-z]{3}$/), (name) => {
      assertEquals(partProblem(name), undefined);
    }),
  );
});
