import { assert, assertEquals, assertMatch } from "@std/assert";
import { type CommandName, COMMANDS, type CommandSpec, parseCommandLine } from "../../peer/args.ts";
import { usage } from "../../peer/usage.ts";
import { EXIT_CODES } from "../../peer/words.ts";

const COMMAND_NAMES = Object.keys(COMMANDS) as CommandName[];
const TEXTS: [string, string][] = [
  ["p2p", usage()],
  ...COMMAND_NAMES.map((name): [string, string] => [name, usage(name)]),
];

/** The flags that a text explains: a line of its own for each. */
function explainedFlags(text: string): string[] {
  return [...text.matchAll(/^ {2}--([a-z-]+)/gm)].map(([, name]) => name!).sort();
}

for (const name of COMMAND_NAMES) {
  const spec: CommandSpec = COMMANDS[name];

  Deno.test(`usage() of ${name} explains exactly its flags`, () => {
    assertEquals(explainedFlags(usage(name)), [...Object.keys(spec.flags), "help"].sort());
  });

  Deno.test(`usage() of ${name} shows values for exactly the flags that take one, and the choices`, () => {
    for (const [flag, { kind, ...rest }] of Object.entries(spec.flags)) {
      const takesValue = new RegExp(`^ {2}--${flag} [A-Z]+( {2}|$)`, "m").test(usage(name));
      assertEquals(takesValue, kind !== "boolean", flag);
      const { choices = [] } = rest as { choices?: string[] };
      for (const choice of choices) assert(usage(name).includes(choice), choice);
    }
  });

  Deno.test(`usage() of ${name} names every other word for a flag`, () => {
    for (const flag of Object.values(spec.flags)) {
      const other = flag.kind === "string" ? flag.alsoCalled : undefined;
      if (other !== undefined) assertMatch(usage(name), new RegExp(`also:\\s+--${other}\\s+NAME`));
    }
  });

  Deno.test(`usage() of ${name} names its operands`, () => {
    assertMatch(usage(name), new RegExp(`^Usage: p2p ${name}\\b.*${spec.operands.name}`, "m"));
  });
}

for (const [name, text] of TEXTS) {
  Deno.test(`usage() of ${name} fits 80 columns and ends in examples that parse`, () => {
    for (const line of text.split("\n")) assert(line.length <= 80, line);
    assert(text.endsWith("\n") && !text.endsWith("\n\n"));
    const examples = text.split("\nExamples:\n")[1]!.trimEnd().split("\n");
    const commands = examples.filter((line) => line.startsWith("    "));
    assert(commands.length >= 2);
    for (const line of commands) {
      const words = /p2p ([^|]*)/.exec(line)![1]!.trim().split(" ");
      parseCommandLine(words);
    }
    assert(/^ {4}\S/.test(examples.at(-1)!));
  });
}

Deno.test("usage() of the program names every command, exit code and variable", () => {
  for (const name of COMMAND_NAMES) assert(usage().includes(`p2p ${name}`), name);
  const codes = new Set([0, ...Object.values(EXIT_CODES)]);
  const listed = [...usage().matchAll(/^ {2}(\d+) {2,}/gm)].map(([, code]) => Number(code));
  assertEquals(listed, [...codes].sort((a, b) => a - b));
  for (
    const name of [
      "P2P_NAME",
      "P2P_RELAY",
      "P2P_RELAY_PASSWORD",
      "XDG_CONFIG_HOME",
      "XDG_DATA_HOME",
      "P2P_NO_HISTORY",
      "NO_COLOR",
    ]
  ) assert(usage().includes(name));
});

Deno.test("usage() loads nothing but itself", async () => {
  const source = await Deno.readTextFile(new URL("../../peer/usage.ts", import.meta.url));
  assertEquals(source.match(/^import .*/gm), ['import type { CommandName } from "./args.ts";']);
});
