/**
 * Which paths of an offer are safe on every system (README.md of protocol, section 7, "Names").
 * Pure.
 */
import { encodeText } from "../protocol/bytes.ts";
import { MAX_PART_BYTES, MAX_PATH_BYTES, MAX_PATH_PARTS } from "../protocol/limits.ts";
import { type Entry, EntryKind } from "../protocol/offer.ts";

/** Endings of our own files in a target folder. */
export const PART_SUFFIX = ".p2p-part";
export const STATE_SUFFIX = ".p2p-state";

const FORBIDDEN = new Map([
  ["\\", "has a backslash"],
  [":", "has a colon"],
  ...Array.from('<>"|?*', (sign) => [sign, `has the sign ${sign}`] as const),
]);
const CONTROL = /\p{Cc}/u;
/** Most names: what has none but these needs no look at its signs. Ten thousand names are common. */
const PLAIN = /^[\w .-]*$/;
const ASCII = /^[\x00-\x7f]*$/;
const RESERVED = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])$/i;

/** What is wrong with an entry. */
export interface NameProblem {
  path: string;
  /** A clause: "has a colon". */
  problem: string;
}

/** What is wrong with one part of a path, or undefined if it is safe on every system. */
export function partProblem(part: string): string | undefined {
  if (part === "") return "has an empty part";
  if (part === "." || part === "..") return `has the part ${part}`;
  const problem = PLAIN.test(part) ? undefined : signProblem(part);
  if (problem) return problem;
  if (part.endsWith(".") || part.endsWith(" ")) return "ends in a dot or space";
  if (RESERVED.test(part.split(".", 1)[0]!.trimEnd())) return "is reserved on Windows";
  const folded = foldPath(part);
  if (folded.endsWith(PART_SUFFIX) || folded.endsWith(STATE_SUFFIX)) {
    return "has the ending of an unfinished transfer";
  }
  if (isLonger(part, MAX_PART_BYTES)) return "has a part that is too long";
  return undefined;
}

function signProblem(part: string): string | undefined {
  if (!part.isWellFormed()) return "is not Unicode";
  if (CONTROL.test(part)) return "has a control character";
  for (const [sign, problem] of FORBIDDEN) if (part.includes(sign)) return problem;
  return undefined;
}

/** Whether a text takes more bytes in UTF-8, where each of its units takes three at most. */
function isLonger(text: string, bytes: number): boolean {
  return text.length * 3 > bytes && encodeText(text).length > bytes;
}

/** What is wrong with a path taken by itself, or undefined. */
export function pathProblem(path: string): string | undefined {
  return shapeProblem(path) ?? firstProblem(path.split("/"));
}

function shapeProblem(path: string): string | undefined {
  if (path.startsWith("/")) return "is absolute";
  if (path.split("/").length > MAX_PATH_PARTS) return "has too many parts";
  if (isLonger(path, MAX_PATH_BYTES)) return "is too long";
  return undefined;
}

function firstProblem(parts: readonly string[]): string | undefined {
  for (const part of parts) {
    const problem = partProblem(part);
    if (problem) return problem;
  }
  return undefined;
}

/**
 * What is wrong with a link's target, or undefined. Only leading '..' are allowed: behind a name,
 * which may be a link itself, '..' could lead anywhere.
 */
export function targetProblem(path: string, target: string): string | undefined {
  if (target.startsWith("/")) return "is a link to an absolute path";
  const parts = target.split("/").filter((part) => part !== ".");
  const up = parts.findIndex((part) => part !== "..");
  const climbs = up < 0 ? parts.length : up;
  if (climbs > path.split("/").length - 2) return "is a link that leads outside";
  for (const part of parts.slice(climbs)) {
    if (part === "..") return "is a link whose target has '..' behind a name";
    const problem = partProblem(part);
    if (problem) return `is a link whose target ${problem}`;
  }
  return undefined;
}

/** A form that is equal for paths that some system takes for the same. */
export function foldPath(path: string): string {
  if (ASCII.test(path)) return path.toLowerCase();
  return path.normalize("NFC").toUpperCase().toLowerCase().normalize("NFC");
}

/** The first entry that is not safe, or undefined if all are. */
export function entriesProblem(entries: readonly Entry[]): NameProblem | undefined {
  return new NameCheck().add(entries);
}

/** Checks the entries of an offer as they come, in their order. */
export class NameCheck {
  readonly #seen = new Map<string, string>();
  readonly #directories = new Set<string>();
  #top = "";

  /** The first of the next entries that is not safe, or undefined. After one there is no next. */
  add(entries: readonly Entry[]): NameProblem | undefined {
    for (const { kind, path, target } of entries) {
      const problem = this.#pathProblem(path) ??
        (kind === EntryKind.link ? targetProblem(path, target) : undefined) ??
        this.#parentProblem(path) ??
        this.#twinProblem(path);
      if (problem) return { path, problem };
      if (kind === EntryKind.directory) this.#directories.add(path);
      if (!path.includes("/")) this.#top = path;
    }
    return undefined;
  }

  /** What was checked as a directory's path is not checked again for all that is in it. */
  #pathProblem(path: string): string | undefined {
    const slash = path.lastIndexOf("/");
    if (!this.#directories.has(path.slice(0, Math.max(0, slash)))) return pathProblem(path);
    return shapeProblem(path) ?? partProblem(path.slice(slash + 1));
  }

  #parentProblem(path: string): string | undefined {
    const slash = path.lastIndexOf("/");
    if (slash < 0) return undefined;
    if (!this.#directories.has(path.slice(0, slash))) {
      return "is in a directory that was not offered";
    }
    return path.startsWith(`${this.#top}/`) ? undefined : "does not stand with its directory";
  }

  #twinProblem(path: string): string | undefined {
    const folded = foldPath(path);
    const twin = this.#seen.get(folded);
    if (twin !== undefined) return twin === path ? "stands twice" : `is the same name as ${twin}`;
    this.#seen.set(folded, path);
    return undefined;
  }
}
