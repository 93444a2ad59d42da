/**
 * The command line: what each command takes, declared once. `parseCommandLine` turns words into
 * values or into a UsageError that names the nearest right word. Nothing heavy is imported here:
 * `--help` passes through.
 */
import { parseArgs } from "node:util";
import { UsageError } from "../protocol/errors.ts";

/**
 * What a flag takes: nothing, a text, texts (may be repeated), a port from 0 to 65535, a whole
 * number from 1 up, a number of bytes that may end in K, M or G, or one of `choices`. `alsoCalled`
 * is another word for the same flag.
 */
export type FlagSpec =
  | { readonly kind: "boolean" }
  | { readonly kind: "string"; readonly alsoCalled?: string }
  | { readonly kind: "strings" }
  | { readonly kind: "port" }
  | { readonly kind: "number" }
  | { readonly kind: "bytes" }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

/** What a command takes. */
export interface CommandSpec {
  readonly flags: Readonly<Record<string, FlagSpec>>;
  /** The words that are not flags: what they are, as in the usage line, and how many. */
  readonly operands: { readonly name: string; readonly min: number; readonly max: number };
}

const CONFLICT = { kind: "choice", choices: ["ask", "skip", "rename", "overwrite"] } as const;
const SWITCH = { kind: "boolean" } as const;
const TEXT = { kind: "string" } as const;
const NAME = { kind: "string", alsoCalled: "uname" } as const;
const NUMBER = { kind: "number" } as const;
const NO_OPERANDS = { name: "", min: 0, max: 0 } as const;

/** Every command with its flags; `--help` and `--version` go without saying. */
export const COMMANDS = {
  listen: {
    flags: {
      port: { kind: "port" },
      host: TEXT,
      peer: { kind: "strings" },
      rejoin: SWITCH,
      name: NAME,
      dir: TEXT,
      yes: SWITCH,
      once: SWITCH,
      announce: SWITCH,
      plain: SWITCH,
      conflict: CONFLICT,
      stdout: SWITCH,
      relay: TEXT,
      "relay-only": SWITCH,
      "password-file": TEXT,
      "no-history": SWITCH,
      json: SWITCH,
      quiet: SWITCH,
    },
    operands: NO_OPERANDS,
  },
  connect: {
    flags: {
      port: { kind: "port" },
      host: TEXT,
      "no-listen": SWITCH,
      name: NAME,
      dir: TEXT,
      yes: SWITCH,
      conflict: CONFLICT,
      plain: SWITCH,
      relay: TEXT,
      "relay-only": SWITCH,
      "password-file": TEXT,
      "no-history": SWITCH,
      json: SWITCH,
      quiet: SWITCH,
    },
    operands: { name: "ADDRESS", min: 0, max: 1 },
  },
  send: {
    flags: {
      address: TEXT,
      to: TEXT,
      relay: TEXT,
      "relay-only": SWITCH,
      "password-file": TEXT,
      file: { kind: "strings" },
      name: NAME,
      json: SWITCH,
      quiet: SWITCH,
    },
    operands: { name: "PATH", min: 0, max: Infinity },
  },
  punch: {
    flags: {
      relay: TEXT,
      name: NAME,
      to: TEXT,
      port: { kind: "port" },
      dir: TEXT,
      yes: SWITCH,
      once: SWITCH,
      announce: SWITCH,
      conflict: CONFLICT,
      stdout: SWITCH,
      plain: SWITCH,
      "password-file": TEXT,
      "no-history": SWITCH,
      json: SWITCH,
      quiet: SWITCH,
    },
    operands: NO_OPERANDS,
  },
  relay: {
    flags: {
      port: { kind: "port" },
      "stun-port": { kind: "port" },
      host: TEXT,
      "password-file": TEXT,
      "max-connections": NUMBER,
      "max-registrations": NUMBER,
      "max-circuits": NUMBER,
      "connections-per-address": NUMBER,
      "registrations-per-address": NUMBER,
      rate: NUMBER,
      "circuit-rate": { kind: "bytes" },
      "max-message": NUMBER,
      idle: NUMBER,
      drain: NUMBER,
      json: SWITCH,
      quiet: SWITCH,
    },
    operands: NO_OPERANDS,
  },
  doctor: {
    flags: {
      relay: TEXT,
      stun: { kind: "strings" },
      "password-file": TEXT,
      json: SWITCH,
      quiet: SWITCH,
    },
    operands: NO_OPERANDS,
  },
  history: {
    flags: {
      with: TEXT,
      since: TEXT,
      last: NUMBER,
      clear: SWITCH,
      yes: SWITCH,
      json: SWITCH,
      quiet: SWITCH,
    },
    operands: NO_OPERANDS,
  },
  peers: {
    flags: { wait: NUMBER, json: SWITCH, quiet: SWITCH },
    operands: NO_OPERANDS,
  },
  forget: {
    flags: { json: SWITCH, quiet: SWITCH },
    operands: { name: "NAME", min: 1, max: 1 },
  },
} as const satisfies Record<string, CommandSpec>;

export type CommandName = keyof typeof COMMANDS;

type FlagValue<F extends FlagSpec> = F extends { kind: "boolean" } ? boolean
  : F extends { kind: "strings" } ? string[]
  : F extends { kind: "port" | "number" | "bytes" } ? number | undefined
  : F extends { kind: "choice"; choices: readonly (infer C)[] } ? C | undefined
  : string | undefined;

/**
 * The values of a command's flags. A flag that was not given is false, undefined or an empty list.
 */
export type Flags<S extends CommandSpec> = {
  -readonly [K in keyof S["flags"]]: FlagValue<S["flags"][K]>;
};

/** What was read of the words behind a command. */
export interface ParsedFlags<S extends CommandSpec> {
  flags: Flags<S>;
  operands: string[];
}

/** What the command line asks for. "ask" is the bare program: it asks for an address. */
export type Invocation =
  | { command: "ask" }
  | { command: "version" }
  | { command: "help"; topic?: CommandName }
  | { [K in CommandName]: { command: K } & ParsedFlags<typeof COMMANDS[K]> }[CommandName];

/**
 * Reads the program's arguments. Flags without a command are those of `listen`.
 * @throws {UsageError} that names what is wrong and the nearest right thing
 */
export function parseCommandLine(argv: readonly string[]): Invocation {
  const [word, ...rest] = argv;
  if (word === undefined) return { command: "ask" };
  if (word === "--version" || word === "-V") return { command: "version" };
  if (word === "help" || isHelp(word)) return help(rest);
  if (word.startsWith("-")) return parseListening(argv);
  if (!isCommand(word)) throw unknownCommand(word);
  return parseCommand(word, rest);
}

function parseCommand(command: CommandName, words: readonly string[]): Invocation {
  const flagWords = words.slice(0, words.includes("--") ? words.indexOf("--") : words.length);
  if (flagWords.some(isHelp)) return { command: "help", topic: command };
  if (flagWords.includes("--version")) return { command: "version" };
  return { command, ...parseFlags(words, COMMANDS[command], command) } as Invocation;
}

/** @throws {UsageError} also if the first flag has nothing to do with listening */
function parseListening(words: readonly string[]): Invocation {
  const [first] = words as [string];
  const name = first.replace(/^-+|=.*$/gs, "");
  const known = flagNames(COMMANDS.listen);
  if (name === "" || !(known.includes(name) || nearest(name, known))) {
    throw flagWithoutCommand(first);
  }
  return parseCommand("listen", words);
}

/**
 * Reads what follows a command.
 * @param command its name, for hints
 * @throws {UsageError} as `parseCommandLine`
 */
export function parseFlags<const S extends CommandSpec>(
  argv: readonly string[],
  spec: S,
  command: string,
): ParsedFlags<S> {
  const values: Record<string, unknown> = {};
  const operands: string[] = [];
  for (const token of tokenize(argv, spec)) {
    if (token.kind === "positional") operands.push(token.value);
    else if (token.kind === "option") readFlag(values, token, spec, command);
  }
  checkOperands(operands, spec, command);
  for (const [name, flag] of Object.entries(spec.flags)) {
    values[name] ??= defaultOf(flag);
  }
  return { flags: values as Flags<S>, operands };
}

interface OptionToken {
  rawName: string;
  name: string;
  value?: string | undefined;
  inlineValue?: boolean | undefined;
}

function tokenize(argv: readonly string[], spec: CommandSpec) {
  const options: Record<string, { type: "boolean" | "string" }> = {};
  for (const [name, flag] of Object.entries(spec.flags)) {
    for (const word of wordsFor(name, spec)) {
      options[word] = { type: flag.kind === "boolean" ? "boolean" : "string" };
    }
  }
  const config = { args: [...argv], options, strict: false, allowPositionals: true, tokens: true };
  return parseArgs(config as typeof config & { tokens: true }).tokens;
}

function readFlag(
  values: Record<string, unknown>,
  token: OptionToken,
  spec: CommandSpec,
  command: string,
): void {
  const { rawName } = token;
  const name = Object.keys(spec.flags).find((each) => wordsFor(each, spec).includes(token.name));
  const flag = name === undefined ? undefined : spec.flags[name];
  if (name === undefined || !flag || !rawName.startsWith("--")) {
    throw unknownFlag(rawName, spec, command);
  }
  if (flag.kind === "strings") {
    values[name] = [...(values[name] as string[] ?? []), textOf(token, command)];
    return;
  }
  if (name in values) {
    const other = token.name === name ? "" : `--${token.name} is another word for --${name}. `;
    throw new UsageError(`Flag given twice: ${rawName}`, { hint: `${other}Give it once.` });
  }
  values[name] = valueOf(token, flag, command);
}

function valueOf(token: OptionToken, flag: FlagSpec, command: string): unknown {
  if (flag.kind === "boolean") return switchOf(token);
  const text = textOf(token, command);
  if (flag.kind === "port") return portOf(token.rawName, text);
  if (flag.kind === "number") return numberOf(token.rawName, text);
  if (flag.kind === "bytes") return bytesOf(token.rawName, text);
  if (flag.kind === "choice") return choiceOf(token.rawName, text, flag.choices);
  return text;
}

function switchOf(token: OptionToken): true {
  if (token.value === undefined) return true;
  throw new UsageError(`Flag takes no value: ${token.rawName}`, {
    hint: `Write ${token.rawName} alone, or leave it out.`,
  });
}

/**
 * A word that begins like a flag is not a value: `--file --quiet` is a forgotten path, not a
 * strange one.
 */
function textOf(token: OptionToken, command: string): string {
  const { rawName, value, inlineValue } = token;
  const flagLike = !inlineValue && value !== undefined && value.length > 1 && value.startsWith("-");
  if (value === undefined || value === "" || flagLike) {
    throw new UsageError(`Value missing after ${rawName}`, {
      hint: flagLike
        ? `If ${quote(value)} is meant, write ${rawName}=${value}`
        : `See: p2p ${command} --help`,
    });
  }
  return value;
}

function portOf(rawName: string, text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new UsageError(`Port not understood: ${rawName} ${quote(text)}`, {
    hint: "A port is a number from 0 to 65535; 0 picks a free one.",
  });
}

function numberOf(rawName: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError(`Number not understood: ${rawName} ${quote(text)}`, {
    hint: "It is a whole number from 1 up.",
  });
}

function bytesOf(rawName: string, text: string): number {
  const match = /^([1-9]\d{0,8})([KMG]?)$/i.exec(text);
  if (match) return Number(match[1]) * 1_000 ** " KMG".indexOf(match[2]!.toUpperCase() || " ");
  throw new UsageError(`Number of bytes not understood: ${rawName} ${quote(text)}`, {
    hint: "Write it as 500K, 10M or 1G.",
  });
}

function choiceOf(rawName: string, text: string, choices: readonly string[]): string {
  if (choices.includes(text)) return text;
  throw new UsageError(`Value not understood: ${rawName} ${quote(text)}`, {
    hint: `It is one of: ${choices.join(", ")}.`,
  });
}

function defaultOf(flag: FlagSpec): unknown {
  if (flag.kind === "boolean") return false;
  return flag.kind === "strings" ? [] : undefined;
}

function checkOperands(operands: string[], spec: CommandSpec, command: string): void {
  const { name, min, max } = spec.operands;
  if (operands.length < min) {
    throw new UsageError(`${name} missing`, { hint: `Write: p2p ${command} ${name}` });
  }
  if (operands.length > max) {
    throw new UsageError(`Word not understood: ${quote(operands[max]!)}`, {
      hint: `See: p2p ${command} --help`,
    });
  }
}

/** All words for a flag of this command, its own name first. */
function wordsFor(name: string, { flags }: CommandSpec): string[] {
  const flag = flags[name]!;
  return flag.kind === "string" && flag.alsoCalled !== undefined ? [name, flag.alsoCalled] : [name];
}

/** All words for all flags of a command. */
function flagNames(spec: CommandSpec): string[] {
  return Object.keys(spec.flags).flatMap((name) => wordsFor(name, spec));
}

function help([topic]: string[]): Invocation {
  if (topic === undefined || topic.startsWith("-")) return { command: "help" };
  if (!isCommand(topic)) throw unknownCommand(topic);
  return { command: "help", topic };
}

function flagWithoutCommand(word: string): UsageError {
  const commands = Object.keys(COMMANDS).join(", ");
  return new UsageError(`Command missing before ${word}`, {
    hint: `Begin with one of: ${commands}. See: p2p --help`,
  });
}

function unknownCommand(word: string): UsageError {
  const near = nearest(word, Object.keys(COMMANDS));
  const address = /^\S+:\d{1,5}$/.test(word);
  return new UsageError(`Command not known: ${quote(word)}`, {
    hint: near
      ? `Did you mean p2p ${near}?`
      : address
      ? `To reach a peer there: p2p connect ${word}`
      : "See: p2p --help",
  });
}

function unknownFlag(rawName: string, spec: CommandSpec, command: string): UsageError {
  const near = nearest(rawName.replace(/^-+/, ""), [...flagNames(spec), "help", "version"]);
  return new UsageError(`Flag not known: ${rawName}`, {
    hint: near ? `Did you mean --${near}?` : `See: p2p ${command} --help`,
  });
}

/**
 * The candidate that differs from the word by the fewest slips, if those are few for its length.
 */
function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let fewest = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const slips = candidate.startsWith(word) ? 1 : countSlips(word.toLowerCase(), candidate);
    if (slips < fewest) [best, fewest] = [candidate, slips];
  }
  return best;
}

/**
 * Optimal string alignment distance: letters added, left out, changed, or two neighbours swapped.
 */
function countSlips(from: string, to: string): number {
  const rows = [Array.from({ length: to.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = from[i - 1] === to[j - 1] ? 0 : 1;
      let least = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + change);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      }
      row.push(least);
    }
    rows.push(row);
  }
  return rows[from.length]![to.length]!;
}

function isHelp(word: string): boolean {
  return word === "-h" || word === "--help";
}

function isCommand(word: string): word is CommandName {
  return Object.hasOwn(COMMANDS, word);
}

function quote(text: string): string {
  return JSON.stringify(text);
}
