/** A top-level directory, with all that is in it, on its way into the target folder. */
import { dirname, join } from "node:path";
import { type Entry, EntryKind } from "../protocol/offer.ts";
import { breathe, ENTRIES_IN_ONE_GO } from "./breathe.ts";
import { entryAction, type ItemPlan, otherName } from "./conflict.ts";
import {
  fileMask,
  finishDirectory,
  kindAt,
  makeDirectory,
  makeLink,
  publishDirectory,
  removeAll,
  statLink,
} from "./files.ts";
import type { Item } from "./item.ts";
import { openOwn, type Part } from "./part.ts";
import {
  isSafeBelow,
  MAX_NAMES,
  meddled,
  noName,
  openStaged,
  prune,
  publish,
  publishLink,
  sealFile,
  sizeAtHand,
  STAGED_FILE_MODE,
  type StagedFile,
} from "./staging.ts";
import type { SyncBatch } from "./sync_batch.ts";

/** Directories belong to us alone until they are complete. */
const STAGED_MODE = 0o700;

export class TreeItem implements Item {
  readonly plan: ItemPlan;
  readonly #entries: readonly Entry[];
  readonly #part: Part;
  readonly #batch: SyncBatch;
  readonly #received = new Set<number>();

  constructor(plan: ItemPlan, entries: readonly Entry[], part: Part, batch: SyncBatch) {
    this.plan = plan;
    this.#entries = entries;
    this.#part = part;
    this.#batch = batch;
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
    const entry = this.#entries[index]!;
    try {
      sealFile(file, path, entry, this.#part.resumable);
    } catch (error) {
      file.close();
      throw error;
    }
    this.#received.add(index);
    await this.#batch.add({ file, path, bytes: entry.size! });
  }

  /** Nothing is open here: the batch has the complete files. */
  close(): void {}

  discard(): void {
    this.#part.discard();
  }

  async commit(onNamed: (path: string) => void): Promise<void> {
    await Promise.all([this.#batch.flush(), this.#checkFiles()]);
    this.#checkDirectories();
    const final = this.plan.action === "merge" ? await this.#merge() : await this.#publish();
    this.#part.forget();
    onNamed(final);
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
  async #checkFiles(): Promise<void> {
    let count = 0;
    for (const index of this.#received) {
      if (++count % ENTRIES_IN_ONE_GO === 0) await breathe();
      const path = this.stagedPath(index);
      const info = statLink(path);
      const size = this.#entries[index]!.size;
      if (!info?.isFile || info.size !== size || (info.nlink ?? 1) > 1) throw meddled(path);
    }
  }

  #checkDirectories(): void {
    for (const index of this.#wanted(EntryKind.directory)) {
      const path = this.stagedPath(index);
      if (kindAt(path) !== "directory") throw meddled(path);
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
    await this.#batch.folders([...touched]);
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
    await this.#batch.folders(indexes.map(pathOf));
  }
}
