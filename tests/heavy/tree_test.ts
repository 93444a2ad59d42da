import { assertEquals, assertStringIncludes } from "@std/assert";
import { randomFolder } from "../bench/fixtures.ts";
import { lacksDisk } from "./disk.ts";
import { Rig } from "./rig.ts";
import { readTree } from "./tree.ts";

const FILES = 10_000;
const FILE_BYTES = 1_024;
/** In several scripts, and one in each normal form: names arrive as they are, none is turned into the other form. */
const NAMES = [
  "Ελληνικά.txt",
  "Фильм о весне.mkv",
  "电影/第一章.txt",
  "العربية/ملف.txt",
  "हिन्दी.txt",
  "👩‍👩‍👧 family 🎬.txt",
  "\u00c5ngstro\u0308m.txt",
  "Cafe\u0301 au lait.txt",
  "-rf",
  ".hidden",
  "a name with 'quotes' & $signs; #1.txt",
  `${"long".repeat(60)}.txt`,
];
const ignore = lacksDisk() || Deno.build.os === "windows";

Deno.test("A folder of 10,000 files arrives with all that is in it", { ignore }, async () => {
  using rig = new Rig();
  const photos = rig.path("photos");
  await randomFolder(photos, FILES, FILE_BYTES);
  addOddities(photos);
  const { listener, port } = await rig.listen();
  await using _ = listener;
  await using sender = rig.send(`127.0.0.1:${port}`, photos);

  assertEquals((await sender.finished()).code, 0);

  const sent = readTree(photos);
  assertEquals(Object.keys(sent).length, FILES + FILES / 100 + 1 + 23);
  assertEquals(readTree(rig.received("photos")), sent);
});

Deno.test(
  "Names that differ only in their normal form are not sent together",
  { ignore },
  async () => {
    using rig = new Rig();
    const twins = rig.path("twins");
    Deno.mkdirSync(twins);
    for (const form of ["NFC", "NFD"]) {
      Deno.writeTextFileSync(
        `${twins}/${"é".normalize(form)}`,
        "",
      );
    }
    const { listener, port } = await rig.listen();
    await using _ = listener;
    await using sender = rig.send(`127.0.0.1:${port}`, twins);

    const { code, stderr } = await sender.finished();

    assertEquals(code, 6);
    assertStringIncludes(stderr, "é");
    assertEquals([...Deno.readDirSync(rig.incoming)], []);
  },
);

/** What folders have beside files of one size: 23 entries. */
function addOddities(folder: string): void {
  for (const name of NAMES) {
    Deno.mkdirSync(`${folder}/${name}`.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(`${folder}/${name}`, name);
  }
  Deno.mkdirSync(`${folder}/empty/emptier/emptiest`, { recursive: true });
  Deno.writeTextFileSync(`${folder}/nothing`, "");
  Deno.writeTextFileSync(`${folder}/run.sh`, "#!/bin/sh\n");
  Deno.chmodSync(`${folder}/run.sh`, 0o755);
  Deno.writeTextFileSync(`${folder}/read-only`, "Do not change");
  Deno.chmodSync(`${folder}/read-only`, 0o444);
  Deno.symlinkSync("run.sh", `${folder}/start`);
  Deno.symlinkSync("../nothing", `${folder}/empty/up`);
  Deno.mkdirSync(`${folder}/private`);
  Deno.chmodSync(`${folder}/private`, 0o700);
  for (const [name, time] of [["nothing", 1], ["run.sh", 987_654_321.5], ["empty", 86_400]]) {
    Deno.utimeSync(`${folder}/${name}`, time as number, time as number);
  }
}
