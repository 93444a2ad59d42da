import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { loadIdentity } from "../../peer/identity.ts";
import { FileError } from "../../protocol/errors.ts";

const posix = Deno.build.os !== "windows";
const encoded = "XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os=";
const publicKey = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";

/** Runs the test in a folder of its own, which is removed afterwards. */
async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function store(folder: string, text: string, mode = 0o600): Promise<string> {
  await Deno.writeTextFile(`${folder}/identity`, text);
  if (posix) await Deno.chmod(`${folder}/identity`, mode);
  return `${folder}/identity`;
}

Deno.test("loadIdentity() makes an identity on first use and finds it again", () =>
  inFolder(async (parent) => {
    const folder = `${parent}/config/p2p`;
    const made = await loadIdentity(folder);
    assertEquals([made.publicKey.length, made.privateKey.length], [32, 32]);
    assertEquals(await loadIdentity(folder), made);
    const text = await Deno.readTextFile(`${folder}/identity`);
    assertEquals(text, `p2p-identity-1 ${made.privateKey.toBase64()}\n`);
    assertNotEquals(await loadIdentity(`${parent}/other`), made);
  }));

Deno.test("loadIdentity() lets nobody else read the file or the folder", {
  ignore: !posix,
}, () =>
  inFolder(async (parent) => {
    const folder = `${parent}/p2p`;
    await loadIdentity(folder);
    assertEquals((await Deno.stat(folder)).mode! & 0o777, 0o700);
    assertEquals((await Deno.stat(`${folder}/identity`)).mode! & 0o777, 0o600);
  }));

Deno.test("loadIdentity() reads the published file format", () =>
  inFolder(async (folder) => {
    for (const end of ["\n", "\r\n", ""]) {
      await store(folder, `p2p-identity-1 ${encoded}${end}`);
      assertEquals((await loadIdentity(folder)).publicKey.toHex(), publicKey);
    }
  }));

Deno.test(
  "loadIdentity() refuses a file that others can read or write",
  { ignore: !posix },
  () =>
    inFolder(async (folder) => {
      for (const mode of [0o640, 0o604, 0o620, 0o602, 0o644, 0o610]) {
        const path = await store(folder, `p2p-identity-1 ${encoded}\n`, mode);
        const error = await assertRejects(() => loadIdentity(folder), FileError, "others can read");
        assertEquals(error.hint, `chmod 600 ${path}`);
      }
      await Deno.chmod(`${folder}/identity`, 0o400);
      assertEquals((await loadIdentity(folder)).publicKey.toHex(), publicKey);
    }),
);

const damaged = {
  "empty": "",
  "cut short": `p2p-identity-1 ${encoded.slice(0, 40)}`,
  "of 31 bytes": `p2p-identity-1 ${new Uint8Array(31).toBase64()}`,
  "of 33 bytes": `p2p-identity-1 ${new Uint8Array(33).toBase64()}`,
  "not base64": `p2p-identity-1 ${"!".repeat(44)}`,
  "in loose base64": `p2p-identity-1 ${encoded.slice(0, -2)}t=`,
  "of another version": `p2p-identity-2 ${encoded}`,
  "with something behind it": `p2p-identity-1 ${encoded} x`,
  "twice": `p2p-identity-1 ${encoded}\np2p-identity-1 ${encoded}\n`,
  "far too long": `p2p-identity-1 ${encoded}${" ".repeat(2_000)}x`,
};

for (const [what, text] of Object.entries(damaged)) {
  Deno.test(`loadIdentity() refuses a file ${what}`, () =>
    inFolder(async (folder) => {
      const path = await store(folder, text);
      const error = await assertRejects(
        () => loadIdentity(folder),
        FileError,
        `${path} is damaged`,
      );
      assert(error.hint!.includes("remove it to get a new identity"));
      assertEquals(await Deno.readTextFile(path), text);
    }));
}

Deno.test("loadIdentity() says why a folder cannot be made or a file not read", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    await assertRejects(() => loadIdentity(`${folder}/file`), FileError, "Identity not");
    await Deno.mkdir(`${folder}/identity`, { mode: 0o700 });
    await assertRejects(() => loadIdentity(folder), FileError, "Identity not read");
  }));

Deno.test("loadIdentity() gives one identity to all that start at once", () =>
  inFolder(async (folder) => {
    const all = await Promise.all(Array.from({ length: 20 }, () => loadIdentity(folder)));
    assertEquals(new Set(all.map(({ privateKey }) => privateKey.toHex())).size, 1);
    assertEquals(await loadIdentity(folder), all[0]);
  }));

Deno.test("loadIdentity() gives one identity to several processes", () =>
  inFolder(async (folder) => {
    const module = new URL("../../peer/identity.ts", import.meta.url);
    const code = `import { loadIdentity } from ${JSON.stringify(module)};
      console.log((await loadIdentity(${JSON.stringify(folder)})).publicKey.toHex());`;
    const outputs = await Promise.all(
      Array.from(
        { length: 4 },
        () => new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output(),
      ),
    );
    const keys = outputs.map(({ stdout }) => new TextDecoder().decode(stdout).trim());
    assertEquals(keys, Array(4).fill((await loadIdentity(folder)).publicKey.toHex()));
  }));

Deno.test("loadIdentity() is not misled by what a crash left behind", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/identity.new`, "p2p-identity-1 half");
    await Deno.writeTextFile(`${folder}/identity.lock`, "");
    const made = await loadIdentity(folder);
    assertEquals(await loadIdentity(folder), made);
    if (posix) assertEquals((await Deno.stat(`${folder}/identity`)).mode! & 0o777, 0o600);
    const names = Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
    assertEquals(names, ["identity", "identity.lock"]);
  }));
