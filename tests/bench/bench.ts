/**
 * Measures p2p beside the tools that people use instead, in the same run on the same machine, and
 * prints Markdown tables for the README. Needs Linux, GNU time, nc, OpenSSH with its server, tar.
 * Runs with -A: Deno allows what is under /proc to nothing less.
 */
import { parseArgs } from "node:util";
import { InterruptedError } from "../../protocol/errors.ts";
import { bulk } from "./bulk.ts";
import { Harness, note, type Options, requirePrograms } from "./harness.ts";
import { machine } from "./machine.ts";
import { mesh } from "./mesh.ts";
import { messages } from "./messages.ts";
import { punched } from "./punched.ts";
import { relay } from "./relay.ts";
import { single } from "./single.ts";
import { smallFiles } from "./small_files.ts";
import { startup } from "./startup.ts";
import { allHeld, markdownTable, type Section } from "./table.ts";

const SECTIONS: Record<string, (harness: Harness, options: Options) => Promise<Section>> = {
  bulk,
  "small-files": smallFiles,
  single,
  messages,
  mesh,
  startup,
  relay,
  punched,
};

const USAGE = `Usage: deno task bench [OPTIONS]

  --only NAME      one section: ${Object.keys(SECTIONS).join(", ")}; may be repeated
  --quick          fewer rounds and smaller files: to see that all is well, not to quote
  --json           the raw samples as JSON
  --program PATH   measure another main.ts, for example of another checkout
  --help           this text

The exit code is 1 if a target is missed or something could not be measured.

Example: deno task bench --only single --only startup`;

if (import.meta.main) Deno.exit(await main(Deno.args));

async function main(words: string[]): Promise<number> {
  const options = parseWords(words);
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  const names = options.only ?? Object.keys(SECTIONS);
  const wrong = names.find((name) => !Object.hasOwn(SECTIONS, name));
  if (wrong !== undefined) usageError(`${wrong}: not a section`);
  try {
    return await measure(names, options, options.json);
  } catch (error) {
    note(error instanceof Error ? error.message : String(error));
    return error instanceof InterruptedError ? 130 : 1;
  }
}

function parseWords(words: string[]) {
  try {
    const { values } = parseArgs({
      args: words,
      options: {
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
        only: { type: "string", multiple: true },
        program: { type: "string" },
      },
    });
    return values;
  } catch (error) {
    return usageError((error as Error).message);
  }
}

async function measure(names: string[], options: Options, json: boolean): Promise<number> {
  await requirePrograms(["time", "sync"], "time coreutils");
  const line = await machine() + (options.quick ? ", quick: not to quote" : "");
  const sections: Section[] = [];
  for (const name of names) {
    await using harness = await Harness.create();
    const section = await SECTIONS[name]!(harness, options);
    sections.push(section);
    if (!json) console.log(`${markdownTable(section)}\n`);
  }
  console.log(json ? JSON.stringify({ machine: line, sections }, null, 2) : line);
  return sections.every(allHeld) ? 0 : 1;
}

function usageError(message: string): never {
  note(`${message}\n\n${USAGE}`);
  Deno.exit(2);
}
