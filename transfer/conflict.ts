/** What happens where something of the same name stands already. */
import { basename, dirname, extname, join } from "node:path";
import { encodeText } from "../protocol/bytes.ts";
import { P2pError } from "../protocol/errors.ts";
import { MAX_PART_BYTES } from "../protocol/limits.ts";
import { type Entry, EntryKind, hasBody, RefuseCode } from "../protocol/offer.ts";
import { breathe, ENTRIES_IN_ONE_GO } from "./breathe.ts";
import { kindAt, type PathKind } from "./files.ts";
import { Stop } from "./refusal.ts";

/** What to do with one file whose name is taken. */
export type ConflictAnswer = "skip" | "rename" | "overwrite";
export type ConflictMode = ConflictAnswer | "ask";

/** Decides what happens to one local path that exists already. */
export type ConflictDecision = (path: string) => Promise<ConflictAnswer>;

/**
 * How one entry gets its name: `new` under a free one ("film (1).mkv" if need be), `replace`
 * whatever file has it, `skip` not at all.
 */
export type EntryAction = "new" | "replace" | "skip";

/** How one top-level file or directory of an offer is received. */
export interface ItemPlan {
  /** Its entries: from `first` up to `end`, which does not belong to it. */
  readonly first: number;
  readonly end: number;
  readonly name: string;
  /** The path that it should have. */
  readonly target: string;
  /** `merge`: the directory exists, `merged` tells what happens to each entry in it. */
  readonly action: EntryAction | "merge";
  readonly merged: ReadonlyMap<number, EntryAction>;
}

/** What happens to one entry of a plan. */
export function entryAction(plan: ItemPlan, index: number): EntryAction {
  if (plan.action === "merge") return plan.merged.get(index) ?? "new";
  return plan.action;
}

/** The entries of a plan whose bodies are to come. */
export function wantedBodies(plan: ItemPlan, entries: readonly Entry[]): number[] {
  return bodies(plan, entries).filter((index) => entryAction(plan, index) !== "skip");
}

/** The entries of a plan whose bodies are not wanted. */
export function skippedBodies(plan: ItemPlan, entries: readonly Entry[]): number[] {
  return bodies(plan, entries).filter((index) => entryAction(plan, index) === "skip");
}

function bodies(plan: ItemPlan, entries: readonly Entry[]): number[] {
  const indexes: number[] = [];
  for (let index = plan.first; index < plan.end; index++) {
    if (hasBody(entries[index]!)) indexes.push(index);
  }
  return indexes;
}

/**
 * Plans where everything goes. A directory that exists is merged with what is offered, file by
 * file, unless the decision for it is `rename`: then all of it goes to "photos (1)".
 * @throws {Stop} if a file would have to replace a directory, or a directory a file
 */
export async function planItems(
  entries: readonly Entry[],
  folder: string,
  mode: ConflictMode,
  ask: ConflictDecision,
): Promise<ItemPlan[]> {
  const decide: ConflictDecision = mode === "ask" ? ask : () => Promise.resolve(mode);
  const plans: ItemPlan[] = [];
  for (let first = 0; first < entries.length;) {
    const end = itemEnd(entries, first);
    const name = entries[first]!.path;
    const target = join(folder, name);
    const item = { first, end, name, target, merged: new Map<number, EntryAction>() };
    if (entries[first]!.kind !== EntryKind.directory) {
      plans.push({ ...item, action: await fileAction(target, name, decide) });
    } else {
      const action = await directoryAction(target, name, mode, decide);
      if (action === "merge") await new Merge(entries, item, decide).plan();
      plans.push({ ...item, action });
    }
    first = end;
    if (plans.length % ENTRIES_IN_ONE_GO === 0) await breathe();
  }
  return plans;
}

/**
 * The n-th other name for a path: "film (1).mkv", "archive (1).tar.gz", "photos (1)". Cut so that
 * it stays a valid name.
 */
export function otherName(path: string, n: number, directory: boolean): string {
  if (n === 0) return path;
  const name = basename(path);
  const extension = directory ? "" : /\.tar\.[^.]+$/.exec(name)?.[0] ?? extname(name);
  const ending = ` (${n})${extension}`;
  let stem = name.slice(0, name.length - extension.length);
  while (encodeText(stem + ending).length > MAX_PART_BYTES && stem.length > 1) {
    stem = stem.slice(0, -1).toWellFormed();
  }
  return join(dirname(path), stem + ending);
}

function itemEnd(entries: readonly Entry[], first: number): number {
  let end = first + 1;
  while (end < entries.length && entries[end]!.path.includes("/")) end++;
  return end;
}

async function fileAction(
  target: string,
  name: string,
  decide: ConflictDecision,
): Promise<EntryAction> {
  const kind = kindAt(target);
  if (kind === "none") return "new";
  const answer = await decide(target);
  if (answer !== "overwrite") return answer === "skip" ? "skip" : "new";
  if (kind !== "file" && kind !== "link") throw inTheWay(target, name, kind);
  return "replace";
}

async function directoryAction(
  target: string,
  name: string,
  mode: ConflictMode,
  decide: ConflictDecision,
): Promise<EntryAction | "merge"> {
  const kind = kindAt(target);
  if (kind === "none" || mode === "rename") return "new";
  if (kind === "directory") return "merge";
  const answer = await decide(target);
  if (answer === "overwrite") throw inTheWay(target, name, kind);
  return answer === "skip" ? "skip" : "new";
}

function inTheWay(target: string, name: string, kind: PathKind): Stop {
  const what = kind === "directory" ? "a folder" : "something that is no folder";
  const error = new P2pError(`Cannot receive ${target}: ${what} stands there`, {
    hint: "Move it away, or use --conflict rename",
  });
  return new Stop(RefuseCode.exists, error, name);
}

/** Plans the entries of a directory that exists on both sides. */
class Merge {
  readonly #entries: readonly Entry[];
  readonly #item: Omit<ItemPlan, "action"> & { merged: Map<number, EntryAction> };
  readonly #decide: ConflictDecision;
  /**
   * Paths, in the offer, of directories of which nothing is wanted, and of those that do not exist
   * here.
   */
  readonly #skipped = new Set<string>();
  readonly #missing = new Set<string>();

  constructor(
    entries: readonly Entry[],
    item: Omit<ItemPlan, "action"> & { merged: Map<number, EntryAction> },
    decide: ConflictDecision,
  ) {
    this.#entries = entries;
    this.#item = item;
    this.#decide = decide;
  }

  async plan(): Promise<void> {
    const { first, end, merged } = this.#item;
    for (let index = first + 1; index < end; index++) {
      merged.set(index, await this.#action(this.#entries[index]!));
      if (merged.size % ENTRIES_IN_ONE_GO === 0) await breathe();
    }
  }

  async #action(entry: Entry): Promise<EntryAction> {
    const parent = entry.path.slice(0, entry.path.lastIndexOf("/"));
    const directory = entry.kind === EntryKind.directory;
    if (this.#skipped.has(parent)) {
      if (directory) this.#skipped.add(entry.path);
      return "skip";
    }
    const target = join(dirname(this.#item.target), entry.path);
    if (this.#missing.has(parent) || kindAt(target) === "none") {
      if (directory) this.#missing.add(entry.path);
      return "new";
    }
    if (!directory) return await fileAction(target, entry.path, this.#decide);
    return await this.#directory(entry, target);
  }

  async #directory(entry: Entry, target: string): Promise<EntryAction> {
    const kind = kindAt(target);
    if (kind === "directory") return "new";
    // Within a directory that is merged there is no other place for a whole directory.
    if (await this.#decide(target) !== "skip") throw inTheWay(target, entry.path, kind);
    this.#skipped.add(entry.path);
    return "skip";
  }
}
