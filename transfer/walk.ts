/** Finds what is to be sent: walks files and directories into the entries of an offer. */
import { basename, join } from "node:path";
import { FileError, UsageError } from "../protocol/errors.ts";
import { MAX_ENTRIES } from "../protocol/limits.ts";
import { type Entry, EntryKind } from "../protocol/offer.ts";
import { checkReadable, fileError, onDisk } from "./files.ts";
import { entriesProblem, foldPath } from "./name.ts";

/** One argument: a file, or a directory with all that is in it. */
export interface SourceRoot {
  /** The path as it was given. */
  path: string;
  /** The name it is offered under. */
  name: string;
  /** Its entries: from `first` up to `end`, which does not belong to it. */
  first: number;
  end: number;
}

/** What is to be sent. */
export interface Sources {
  roots: SourceRoot[];
  entries: Entry[];
  /** The local path of each entry, "-" for standard input. */
  paths: string[];
  /** Bytes of all files, undefined for standard input. */
  total: number | undefined;
}

export interface CollectOptions {
  signal?: AbortSignal;
}

/** The name that standard input is offered under. */
const STDIN_NAME = "stdin";

/**
 * Looks at files and directories, in the order given; within a directory by name. An argument that
 * is a link is followed; a link inside a directory is sent as a link. "-" alone means standard
 * input.
 * @throws {UsageError} if two arguments have the same name, or "-" is not alone
 * @throws {FileError} naming what cannot be read, is no file, directory or link that stays inside,
 *   or has a name that a receiver would refuse
 */
export async function collectSources(
  paths: readonly string[],
  options: CollectOptions = {},
): Promise<Sources> {
  if (paths.includes("-")) return standardInput(paths);
  const walker = new Walker(options.signal);
  for (const path of paths) await walker.addArgument(path);
  return walker.finish();
}

function standardInput(paths: readonly string[]): Sources {
  if (paths.length > 1) {
    throw new UsageError("Standard input cannot be sent together with files", {
      hint: "Give - alone",
    });
  }
  const entry: Entry = {
    kind: EntryKind.stdin,
    mode: 0,
    mtime: 0,
    size: undefined,
    path: STDIN_NAME,
    target: "",
  };
  const root = { path: "-", name: STDIN_NAME, first: 0, end: 1 };
  return { roots: [root], entries: [entry], paths: ["-"], total: undefined };
}

class Walker {
  readonly #signal: AbortSignal | undefined;
  readonly #sources: Sources & { total: number } = { roots: [], entries: [], paths: [], total: 0 };
  readonly #names = new Map<string, string>();

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  async addArgument(path: string): Promise<void> {
    const action = "Cannot send";
    const info = await Deno.stat(path).catch((cause) => {
      throw fileError(action, path, cause);
    });
    const name = onDisk(action, path, () => argumentName(path));
    this.#checkName(path, name);
    const first = this.#sources.entries.length;
    this.#add(path, name, info);
    if (info.isDirectory) await this.#walk(path, name);
    this.#sources.roots.push({ path, name, first, end: this.#sources.entries.length });
  }

  finish(): Sources {
    const problem = entriesProblem(this.#sources.entries);
    if (problem) {
      const index = this.#sources.entries.findIndex(({ path }) => path === problem.path);
      throw new FileError(`Cannot send ${this.#sources.paths[index]}: it ${problem.problem}`, {
        hint: "Names must be valid on every system: rename it, or leave it out",
      });
    }
    return this.#sources;
  }

  #checkName(path: string, name: string): void {
    if (name === "") {
      throw new UsageError(`Cannot send ${path}: it has no name`, { hint: "Send what is in it" });
    }
    const twin = this.#names.get(foldPath(name));
    if (twin !== undefined) {
      throw new UsageError(`Cannot send ${twin} and ${path} together: both are named ${name}`, {
        hint: "Send them one after the other",
      });
    }
    this.#names.set(foldPath(name), path);
  }

  async #walk(path: string, name: string): Promise<void> {
    const children = onDisk("Cannot read the folder", path, () => [...Deno.readDirSync(path)]);
    children.sort((a, b) => a.name < b.name ? -1 : 1);
    this.#signal?.throwIfAborted();
    for (const child of children) {
      const childPath = join(path, child.name);
      const info = onDisk("Cannot send", childPath, () => Deno.lstatSync(childPath));
      this.#add(childPath, `${name}/${child.name}`, info);
      if (info.isDirectory) await this.#walk(childPath, `${name}/${child.name}`);
    }
  }

  #add(path: string, name: string, info: Deno.FileInfo): void {
    if (this.#sources.entries.length === MAX_ENTRIES) {
      throw new FileError(`Cannot send ${path}: more than ${MAX_ENTRIES} files and folders`, {
        hint: "Send them in several parts, or as an archive",
      });
    }
    const kind = entryKind(path, info);
    if (kind === EntryKind.file) {
      onDisk("Cannot read", path, () => checkReadable(path, info));
      this.#sources.total += info.size;
    }
    this.#sources.paths.push(path);
    this.#sources.entries.push({
      kind,
      mode: info.mode === null ? 0 : info.mode & 0o777,
      mtime: mtimeOf(info),
      size: kind === EntryKind.file ? info.size : 0,
      path: name,
      target: kind === EntryKind.link ? linkTarget(path) : "",
    });
  }
}

/** A file's modification time in whole milliseconds. */
export function mtimeOf(info: Deno.FileInfo): number {
  return Math.floor(info.mtime?.getTime() ?? 0);
}

function argumentName(path: string): string {
  const name = basename(path);
  return name === "." || name === ".." || name === "" ? basename(Deno.realPathSync(path)) : name;
}

function entryKind(path: string, info: Deno.FileInfo): EntryKind {
  if (info.isSymlink) return EntryKind.link;
  if (info.isDirectory) return EntryKind.directory;
  if (info.isFile) return EntryKind.file;
  throw new FileError(`Cannot send ${path}: it is a ${specialName(info)}`, {
    hint: "Leave it out",
  });
}

function specialName(info: Deno.FileInfo): string {
  if (info.isFifo) return "pipe";
  if (info.isSocket) return "socket";
  return info.isBlockDevice || info.isCharDevice ? "device" : "special file";
}

/** Where a link leads, without the '/' at its end and doubled ones, which mean nothing. */
function linkTarget(path: string): string {
  const target = onDisk("Cannot read the link", path, () => Deno.readLinkSync(path));
  return target.replaceAll(/\/{2,}/g, "/").replace(/(?<=.)\/$/, "");
}
