/**
 * A program that has a mesh's memory: `mesh_writer.ts FOLDER [LINES]`. It says which file it has,
 * then the number of each line when its write has returned, and warnings as they are said. It goes
 * on until it is killed, or has written so many lines.
 */
import { basename } from "node:path";
import type { StoredLine } from "../../protocol/line.ts";
import { MeshStore } from "../../peer/mesh/memory/store.ts";
import { openMeshMemory } from "../../peer/mesh/memory/open.ts";

/** Whose memory it is. */
export const WRITER_KEY: Uint8Array = new Uint8Array(32).fill(1);
/** UTF-16 units of each line's text. */
const LENGTH = 300;

/** A line of the author's. */
export function writtenLine(number: number): StoredLine {
  const now = Date.now();
  return {
    author: WRITER_KEY,
    instance: new Uint8Array(8),
    channel: 0,
    number,
    time: now,
    receivedAt: now,
    name: "writer",
    text: `${number} `.padEnd(LENGTH, "x"),
    signature: new Uint8Array(64),
  };
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** With the warnings that a chat would show. */
async function writeSome(folder: string, lines: number): Promise<void> {
  const output = { warn: (...warning: string[]) => warning.forEach(say) };
  const memory = await openMeshMemory({ key: WRITER_KEY, noHistory: false, output, folder });
  for (let number = 1; number <= lines; number++) memory.write({ lines: [writtenLine(number)] });
  memory.close();
  say("end");
}

async function writeForEver(folder: string): Promise<void> {
  const store = await MeshStore.open(folder, { key: WRITER_KEY, keepLines: true });
  say(basename(store.path));
  for (let number = store.restore().lines.length + 1;; number++) {
    store.write({ lines: [writtenLine(number)] });
    say(String(number));
  }
}

if (import.meta.main) {
  const [folder, lines] = Deno.args;
  if (lines === undefined) await writeForEver(folder!);
  else await writeSome(folder!, Number(lines));
}
