/**
 * One top-level file or directory on its way into the target folder: staged as a part, then given
 * its name.
 */
import { dirname, join } from "node:path";
import { FileError } from "../protocol/errors.ts";
import { RESUME_BLOCK_BYTES, SYNC_LANES } from "../protocol/limits.ts";
import { type Entry, EntryKind } from "../protocol/offer.ts";
import { entryAction, type ItemPlan, otherName } from "./conflict.ts";
import {
  fileMask,
  finishDirectory,
  kindAt,
  makeDirectory,
  makeLink,
  onDisk,
  publishDirectory,
  publishFile,
  removeAll,
  replaceFile,
  statLink,
  syncDirectory,
  syncFile,
} from "./files.ts";
import { Lanes } from "./lanes.ts";
import { isSameFile, openOwn, type Part } from "./part.ts";

/** Free names that are tried: "film (1).mkv" and so on. */
const MAX_NAMES = 10_000;
/** Directories belong to us alone until they are complete. */
const STAGED_MODE = 0o700;
const STAGED_FILE_MODE = 0o600;
/**
 * Files that are held open to be synced together; must leave descriptors for the rest of the
 * program.
 */
const SYNC_BATCH = 64;

/** The file that an entry's bytes are written to. */
export type StagedFile = Deno.FsFile;

/** What a receive does with one item of an offer, file by file and then as a whole. */
export interface Item {
  readonly plan: ItemPlan;
  /** Bytes that an earlier try left of an entry. */
  atHand(index: number): number;
  /** Where an entry's bytes are until the item is complete. */
  stagedPath(index: number): string;
  /** The bytes at hand, to be read. The caller closes it. */
  openAtHand(index: number): StagedFile;
  /** Makes the place ready for the first body. */
  open(): void;
  /**
   * The staged file of an entry, cut to `offset` and standing there. The caller closes it, or gives
   * it to `endFile`.
   */
  openFile(index: number, offset: number): StagedFile;
  /** Takes over an entry's file, all of whose bytes were written. */
  endFile(index: number, file: StagedFile): Promise<void>;
  /** Gives the item its name. @returns the final path */
  commit(): Promise<string>;
  /** Waits for what is under way and closes what is open; what was staged stays. Idempotent. */
  close(): Promise<void>;
  /** Removes all that was staged. */
  discard(): void;
}

/** Makes the item that a plan asks for; `part` is the place that was claimed for it. */
export function createItem(plan: ItemPlan, entries: readonly Entry[], part: Part): Item {
  return entries[plan.first]!.kind === EntryKind.directory
    ? new TreeItem(plan, entries, part)
    : new FileItem(plan, entries[plan.first]!, part);
}

class FileItem implements Item {
  readonly plan: ItemPlan;
  readonly #entry: Entry;
  readonly #part: Part;
  #file: StagedFile | undefined;

  constructor(plan: ItemPlan, entry: Entry, part: Part) {
    this.plan = plan;
    this.#entry = entry;
    this.#part = part;
  }

  atHand(): number {
    return this.#part.resumable ? sizeAtHand(this.#part.path, this.#entry) : 0;
  }

  stagedPath(): string {
    return this.#part.path;
  }

  openAtHand(): StagedFile {
    return openOwn(this.#part.path, STAGED_FILE_MODE, true);
  }

  open(): void {
    if (this.#entry.size! >= RESUME_BLOCK_BYTES) this.#part.open();
  }

  openFile(_index: number, offset: number): StagedFile {
    return openStaged(this.#part.path, this.#entry, offset, this.#part.resumable);
  }

  endFile(_index: number, file: StagedFile): Promise<void> {
    this.#file = file;
    return Promise.resolve();
  }

  async commit(): Promise<string> {
    const path = this.#part.path;
    using file = this.#file!;
    this.#file = undefined;
    sealFile(file, path, this.#entry, this.#part.resumable);
    await syncFile(file, path);
    const info = statLink(path);
    if (!info || !isSameFile(info, file.statSync())) throw meddled(path);
    const final = publish(path, this.plan.target, this.plan.action === "replace");
    this.#part.forget();
    return final;
  }

  close(): Promise<void> {
    this.#file?.close();
    this.#file = undefined;
    return Promise.resolve();
  }

  discard(): void {
    this.#part.discard();
  }
}

class TreeItem implements Item {
  readonly plan: ItemPlan;
  readonly #entries: readonly Entry[];
  readonly #part: Part;
  readonly #lanes = new Lanes(SYNC_LANES);
  /** Complete files that are still open, to be synced together. */
  #unsynced: { file: StagedFile; path: string }[] = [];
  readonly #received = new Set<number>();

  constructor(plan: ItemPlan, entries: readonly Entry[], part: Part) {
    this.plan = plan;
    this.#entries = entries;
    this.#part = part;
  }

  atHand(index: number): number {
    if (!this.#part.resumable || !this.#hasSafeParents(index)) return 0;
    return sizeAtHand(this.stagedPath(index), this.#entries[index]!);
  }

  stagedPath(index: number): string {
    const { path } = this.#entries[index]!;
    return this.#part.path + path.slice(this.plan.name.length);
  }

  openAtHand(index: number): StagedFile {
    return openOwn(this.stagedPath(index), STAGED_FILE_MODE, true);
  }

  /** Makes all directories, and removes what an earlier try left that is not in this offer. */
  open(): void {
    this.#part.open();
    if (!this.#part.resumable) removeAll(this.#part.path);
    const kinds = new Map<string, EntryKind>();
    for (const index of this.#indexes()) {
      if (entryAction(this.plan, index) === "skip") continue;
      const { kind } = this.#entries[index]!;
      kinds.set(this.stagedPath(index), kind);
      if (kind === EntryKind.directory) makeDirectory(this.stagedPath(index), STAGED_MODE);
    }
    if (this.#part.resumable) prune(this.#part.path, kinds);
  }

  openFile(index: number, offset: number): StagedFile {
    const path = this.stagedPath(index);
    if (!this.#hasSafeParents(index)) throw meddled(path);
    return openStaged(path, this.#entries[index]!, offset, this.#part.resumable);
  }

  async endFile(index: number, file: StagedFile): Promise<void> {
    const path = this.stagedPath(index);
    this.#unsynced.push({ file, path });
    sealFile(file, path, this.#entries[index]!, this.#part.resumable);
    this.#received.add(index);
    if (this.#unsynced.length >= SYNC_BATCH) await this.#syncBatch();
  }

  /**
   * Syncs the complete files, many at once: the disk then does together what it would else do for
   * each of them.
   */
  async #syncBatch(): Promise<void> {
    for (let next = this.#unsynced[0]; next; next = this.#unsynced[0]) {
      const { file, path } = next;
      await this.#lanes.run(async () => {
        using synced = file;
        await syncFile(synced, path);
      });
      // Only now: until its lane has it, `close` must find it.
      this.#unsynced.shift();
    }
  }

  async close(): Promise<void> {
    for (const { file } of this.#unsynced.splice(0)) file.close();
    await this.#lanes.settled();
  }

  discard(): void {
    this.#part.discard();
  }

  async commit(): Promise<string> {
    await this.#syncBatch();
    await this.#lanes.idle();
    this.#check();
    const final = this.plan.action === "merge" ? await this.#merge() : await this.#publish();
    this.#part.forget();
    return final;
  }

  *#indexes(): Generator<number> {
    for (let index = this.plan.first; index < this.plan.end; index++) yield index;
  }

  /** The entries of one kind that are wanted. */
  #wanted(kind: EntryKind): number[] {
    return [...this.#indexes()].filter((index) =>
      this.#entries[index]!.kind === kind && entryAction(this.plan, index) !== "skip"
    );
  }

  /** Whether every directory above a staged entry is a directory, and no link. */
  #hasSafeParents(index: number): boolean {
    const { path } = this.#entries[index]!;
    return isSafeBelow(this.#part.path, path.slice(this.plan.name.length + 1));
  }

  /**
   * Looks once more at all that was staged: what somebody put there meanwhile must not get our
   * names.
   */
  #check(): void {
    for (const index of this.#wanted(EntryKind.directory)) {
      const path = this.stagedPath(index);
      if (kindAt(path) !== "directory") throw meddled(path);
    }
    for (const index of this.#received) {
      const path = this.stagedPath(index);
      const info = statLink(path);
      const size = this.#entries[index]!.size;
      if (!info?.isFile || info.size !== size || (info.nlink ?? 1) > 1) throw meddled(path);
    }
  }

  async #publish(): Promise<string> {
    for (const index of this.#wanted(EntryKind.link)) {
      const { target, mtime } = this.#entries[index]!;
      makeLink(target, this.stagedPath(index), mtime);
    }
    const directories = this.#wanted(EntryKind.directory).reverse();
    await this.#finishDirectories(directories, (index) => this.stagedPath(index));
    for (let n = 0; n < MAX_NAMES; n++) {
      const path = otherName(this.plan.target, n, true);
      if (publishDirectory(this.#part.path, path)) return path;
    }
    throw noName(this.plan.target);
  }

  /** Moves what was staged into the directory that is there already, entry by entry. */
  async #merge(): Promise<string> {
    const made: number[] = [];
    const touched = new Set<string>([this.plan.target]);
    for (const index of this.#indexes()) {
      const action = entryAction(this.plan, index);
      if (action === "skip" || index === this.plan.first) continue;
      if (this.#mergeEntry(index, action === "replace")) made.push(index);
      touched.add(dirname(this.#finalPath(index)));
    }
    await this.#finishDirectories(made.reverse(), (index) => this.#finalPath(index));
    const lanes = new Lanes(SYNC_LANES);
    for (const path of touched) await lanes.run(() => syncDirectory(path));
    await lanes.idle();
    removeAll(this.#part.path);
    return this.plan.target;
  }

  /** @returns whether a directory was made */
  #mergeEntry(index: number, replace: boolean): boolean {
    const final = this.#finalPath(index);
    const { path, kind, target, mtime } = this.#entries[index]!;
    if (!isSafeBelow(this.plan.target, path.slice(this.plan.name.length + 1))) {
      throw meddled(final);
    }
    if (kind === EntryKind.link) publishLink(target, final, mtime, replace);
    else if (kind === EntryKind.file) publish(this.stagedPath(index), final, replace);
    else {
      const standing = kindAt(final);
      if (standing !== "none" && standing !== "directory") throw meddled(final);
      makeDirectory(final, STAGED_MODE);
      return standing === "none";
    }
    return false;
  }

  #finalPath(index: number): string {
    return join(dirname(this.plan.target), this.#entries[index]!.path);
  }

  /**
   * Sets modes and times, those of inner directories first, since work within changes the time of
   * the outer.
   */
  async #finishDirectories(indexes: number[], pathOf: (index: number) => string): Promise<void> {
    for (const index of indexes) {
      const { mode, mtime } = this.#entries[index]!;
      finishDirectory(pathOf(index), (mode || 0o777) & ~fileMask(), mtime);
    }
    const lanes = new Lanes(SYNC_LANES);
    for (const index of indexes) await lanes.run(() => syncDirectory(pathOf(index)));
    await lanes.idle();
  }
}

/** Bytes of a staged file that may be resumed. */
function sizeAtHand(path: string, entry: Entry): number {
  const info = statLink(path);
  if (!info?.isFile || (info.nlink ?? 1) > 1) return 0;
  return Math.min(info.size, entry.size ?? 0);
}

function openStaged(path: string, entry: Entry, offset: number, keep: boolean): StagedFile {
  const file = openOwn(path, finalMode(entry) | STAGED_FILE_MODE, keep && offset > 0);
  if (offset === 0) return file;
  try {
    onDisk("Cannot write", path, () => {
      file.truncateSync(offset);
      file.seekSync(offset, Deno.SeekMode.Start);
    });
  } catch (error) {
    file.close();
    throw error;
  }
  return file;
}

function finalMode(entry: Entry): number {
  return (entry.mode || 0o666) & ~fileMask();
}

/**
 * Gives a complete file its modification time and mode. `kept`: it may have been made by an earlier
 * try.
 */
function sealFile(file: StagedFile, path: string, entry: Entry, kept: boolean): void {
  try {
    file.utimeSync(entry.mtime / 1000, entry.mtime / 1000);
  } catch {
    // A time that the file system cannot hold is not worth a failed transfer.
  }
  // A new file got its mode when it was made; one that its owner may not write, or of an earlier
  // try, has still to get it.
  if (!kept && (finalMode(entry) & STAGED_FILE_MODE) === STAGED_FILE_MODE) return;
  const mode = file.statSync().mode;
  if (mode === null || (mode & 0o777) === finalMode(entry)) return;
  const info = statLink(path);
  if (!info || !isSameFile(info, file.statSync())) throw meddled(path);
  onDisk("Cannot set the mode of", path, () => Deno.chmodSync(path, finalMode(entry)));
}

/**
 * Whether every directory from `root` down to the one that holds `rest` is a directory, and no
 * link.
 */
function isSafeBelow(root: string, rest: string): boolean {
  if (kindAt(root) !== "directory") return false;
  for (let slash = rest.indexOf("/"); slash >= 0; slash = rest.indexOf("/", slash + 1)) {
    if (kindAt(join(root, rest.slice(0, slash))) !== "directory") return false;
  }
  return true;
}

/**
 * Removes what is in a staged directory and not among the paths, or not of their kind. Links are
 * made anew.
 */
function prune(folder: string, kinds: ReadonlyMap<string, EntryKind>): void {
  const children = onDisk("Cannot read", folder, () => [...Deno.readDirSync(folder)]);
  for (const child of children) {
    const path = join(folder, child.name);
    const kind = kinds.get(path);
    if (child.isDirectory && kind === EntryKind.directory) prune(path, kinds);
    else if (!child.isFile || kind !== EntryKind.file) removeAll(path);
  }
}

/** Gives a staged file its name, or the first other one that is free. @returns the path it got */
function publish(from: string, to: string, replace: boolean): string {
  if (replace) {
    replaceFile(from, to);
    return to;
  }
  for (let n = 0; n < MAX_NAMES; n++) {
    const path = otherName(to, n, false);
    if (publishFile(from, path)) return path;
  }
  throw noName(to);
}

function publishLink(target: string, to: string, mtime: number, replace: boolean): void {
  if (replace && kindAt(to) !== "directory") removeAll(to);
  for (let n = 0; n < MAX_NAMES; n++) {
    const path = otherName(to, n, false);
    if (kindAt(path) !== "none") continue;
    makeLink(target, path, mtime);
    return;
  }
  throw noName(to);
}

function noName(path: string): FileError {
  return new FileError(`Cannot create ${path}: this name and ${MAX_NAMES} others are taken`, {
    hint: "Choose another folder",
  });
}

function meddled(path: string): FileError {
  return new FileError(`Cannot go on with ${path}: something else was put in its place`, {
    hint: "Choose a folder that only you can write to",
  });
}
