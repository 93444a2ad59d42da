/**
 * Somebody in the demo, at a machine of their own: a folder with their files, and one with their
 * key.
 */
import { join } from "node:path";
import { RUN_FLAGS } from "../fakes/run_flags.ts";
import { Run, type Show } from "./run.ts";

const PROGRAM = join(import.meta.dirname!, "..", "..", "main.ts");
const COLUMNS = 6;

export class Person {
  /** Where their files are, and where they run the program. */
  readonly folder: string;
  readonly #name: string;
  readonly #configuration: string;
  readonly #show: Show;
  readonly #signal: AbortSignal;

  /** Makes the person's folders under `machines`. */
  constructor(name: string, machines: string, signal: AbortSignal) {
    this.#name = name;
    this.#signal = signal;
    this.folder = join(machines, name);
    this.#configuration = join(machines, `${name}-configuration`);
    this.#show = (mark, text) => console.log(`  ${name.padEnd(COLUMNS)}${mark} ${text}`);
    Deno.mkdirSync(this.folder);
  }

  /** Runs `p2p WORDS --name NAME`. */
  run(...words: string[]): Run {
    return this.runs(...words, "--name", this.#name);
  }

  /** Runs `p2p WORDS`. */
  runs(...args: string[]): Run {
    this.#show("$", `p2p ${args.join(" ")}`);
    return new Run({
      command: [Deno.execPath(), "run", "--no-prompt", ...RUN_FLAGS, PROGRAM, ...args],
      folder: this.folder,
      env: { XDG_CONFIG_HOME: this.#configuration, XDG_DATA_HOME: this.#configuration },
      show: this.#show,
      signal: this.#signal,
    });
  }
}
