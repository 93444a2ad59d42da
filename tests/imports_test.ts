import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("..", import.meta.url);

/** Who may import from whom, and why nobody else. */
const layers: Record<string, { from: string[]; packages: string[]; because: string }> = {
  protocol: {
    from: ["protocol"],
    packages: ["node:crypto", "node:buffer"],
    because:
      "what is on the wire depends on nothing: bytes in, bytes out, so that it can be tested and moved anywhere",
  },
  transfer: {
    from: ["transfer", "protocol"],
    // node:timers for setImmediate: the end of a turn of the event loop, which no timer is.
    packages: ["node:crypto", "node:fs", "node:path", "node:timers"],
    because: "what a stream means must not know which network or terminal it came from",
  },
  relay: {
    from: ["relay", "protocol"],
    // node:stream and node:events for ws, which knows no other streams.
    packages: ["node:crypto", "node:events", "node:stream", "ws"],
    because: "a relay sees only what strangers may see: it has no part in sessions",
  },
  peer: {
    from: ["peer", "transfer", "protocol"],
    packages: [
      "node:crypto",
      "node:dgram",
      "node:dns/promises",
      "node:events",
      "node:net",
      // Loaded when a chat begins: only types are imported at once.
      "node:sqlite",
      // setImmediate: the end of a turn of the event loop, which no timer is.
      "node:timers",
      "node:util",
    ],
    because: "network and terminal use the layers below, and nothing uses them but main.ts",
  },
  "main.ts": {
    from: ["peer", "relay", "protocol", "deno.json"],
    packages: [],
    because: "it only hands the command line to the command",
  },
};

/** Files outside of peer/ and main.ts that may name Deno: those that touch the disk. */
const diskFiles = [
  "transfer/file_system_sync.ts",
  "transfer/files.ts",
  "transfer/part.ts",
  "transfer/part_writer.ts",
  "transfer/source_file.ts",
  "transfer/staging.ts",
  "transfer/walk.ts",
];

interface Source {
  path: string;
  text: string;
  /** Without comments. */
  code: string;
}

async function* walk(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
    const path = folder + entry.name;
    if (entry.isDirectory) yield* walk(`${path}/`);
    else yield path;
  }
}

async function readSource(path: string): Promise<Source> {
  const text = await Deno.readTextFile(new URL(path, ROOT));
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`])\/\/.*$/gm, "$1");
  return { path, text, code };
}

async function sources(): Promise<Source[]> {
  const paths = ["main.ts"];
  for (const folder of ["protocol/", "transfer/", "peer/", "relay/"]) {
    if (await exists(folder)) { for await (const path of walk(folder)) paths.push(path); }
  }
  return await Promise.all(paths.filter((path) => path.endsWith(".ts")).map(readSource));
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(new URL(path, ROOT));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** What a file imports: packages as they are named, files as paths from the top. */
function importsOf({ path, code }: Source): string[] {
  const pattern = /(?:\bfrom\s*|\bimport\s*\(?\s*)["']([^"']+)["']/g;
  return [...code.matchAll(pattern)].map(([, target]) =>
    target!.startsWith(".")
      ? new URL(target!, new URL(path, ROOT)).href.slice(ROOT.href.length)
      : target!
  );
}

const layerOf = (path: string) => path.includes("/") ? path.slice(0, path.indexOf("/")) : path;

function isPackage(target: string): boolean {
  return /^(node:|npm:|jsr:|https?:|@)/.test(target) || !/[/.]/.test(target);
}

Deno.test("imports point one way: main to peer to transfer to protocol", async () => {
  const offences: string[] = [];
  let seen = 0;
  for (const source of await sources()) {
    const layer = layers[layerOf(source.path)];
    assert(layer, `${source.path}: in no layer that is known`);
    for (const target of importsOf(source)) {
      seen++;
      const allowed = isPackage(target)
        ? layer.packages.includes(target)
        : layer.from.includes(layerOf(target));
      if (!allowed) offences.push(`${source.path} imports ${target}: ${layer.because}`);
    }
  }
  assertEquals(offences, []);
  assert(seen > 200, "the imports were not found");
});

Deno.test("the imports of the test above are found in every form", () => {
  const code = `import a from "../peer/a.ts"; import { b } from './b.ts';\nexport * from "node:fs";
    import "./c.ts"; const d = await import("./d.ts"); import type { E } from "../main.ts";`;
  assertEquals(importsOf({ path: "protocol/x.ts", text: code, code }), [
    "peer/a.ts",
    "protocol/b.ts",
    "node:fs",
    "protocol/c.ts",
    "protocol/d.ts",
    "main.ts",
  ]);
});

Deno.test("only main.ts, peer/ and the files that touch the disk name Deno, or its file system in Node's way", async () => {
  const naming = (await sources()).filter(({ path, code }) =>
    layerOf(path) !== "peer" && path !== "main.ts" && /\bDeno\b|"node:fs"/.test(code)
  );
  assertEquals(naming.map(({ path }) => path).sort(), diskFiles);
});

Deno.test("only tests use assertions and property tests", async () => {
  const using = (await sources()).filter((source) =>
    importsOf(source).some((target) => /@std\/assert|fast-check|^tests\//.test(target))
  );
  assertEquals(using.map(({ path }) => path), []);
});

Deno.test("no file of the project points outside of it", async () => {
  // Put together here, so that this file does not offend itself.
  const outside = ["../sha" + "red", "/wo" + "rk/", ".lib" + "rary"];
  const offences: string[] = [];
  for await (const path of walk("")) {
    if (/^(\.git|node_modules|dist)\//.test(path) || path === "deno.lock") continue;
    const text = await Deno.readTextFile(new URL(path, ROOT)).catch(() => "");
    for (const word of outside) if (text.includes(word)) offences.push(`${path}: ${word}`);
  }
  assertEquals(offences, []);
});
