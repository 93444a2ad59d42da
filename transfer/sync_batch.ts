/**
 * Makes complete files durable before they get their names. Few files, and large ones, are synced
 * one by one, some beside each other. As soon as many small ones come they are closed and gathered,
 * and the whole file system is synced once for all of them, where that is to be had
 * (file_system_sync.ts). Either way a file's `whenSynced`, which gives it its name, is called only
 * when its bytes are on the disk: all parts written, one sync, all renamed.
 *
 * A batch is bounded in files, bytes and time. In time, since the system begins to write by itself
 * after some seconds, and so that a program that is killed has given all but the last of them their
 * names. It is synced while the next one is gathered, one at a time.
 */
import { dirname } from "node:path";
import {
  SYNC_BATCH_BYTES,
  SYNC_BATCH_FILES,
  SYNC_BATCH_MS,
  SYNC_LANES,
  SYNC_TOGETHER_FILES,
} from "../protocol/limits.ts";
import { breathe, ENTRIES_IN_ONE_GO } from "./breathe.ts";
import type { FileSystemSync } from "./file_system_sync.ts";
import { reopenAndSync, syncDirectory, syncFile } from "./files.ts";
import { Lanes } from "./lanes.ts";
import type { StagedFile } from "./staging.ts";

/** A file all of whose bytes were written. */
export interface CompleteFile {
  file: StagedFile;
  path: string;
  bytes: number;
  /** Called when it is on the disk. What it throws fails the batch. */
  whenSynced?: () => void;
}

export class SyncBatch {
  readonly #all: FileSystemSync | undefined;
  readonly #after: (ms: number, action: () => void) => () => void;
  readonly #lanes = new Lanes(SYNC_LANES);
  /** Still open, to be synced one by one unless more come. */
  #open: CompleteFile[] = [];
  /** Small ones, closed, to be synced together. */
  #closed: CompleteFile[] = [];
  #closedBytes = 0;
  /** Calls off the time at which what there is gets synced. */
  #cancel: (() => void) | undefined;
  /** Whether small files are gathered. */
  #together = false;
  /** Whether that failed in this transfer: a disk that is slow or fails is not asked again. */
  #failed = false;
  /** Ends when all files that were open have a lane, and when all batches are synced. */
  #opening: Promise<void> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();
  #failure: { error: unknown } | undefined;

  /**
   * @param all what syncs a whole file system; undefined: every file is synced by itself
   * @param after calls something later, unless it is called off: as `Clock.after`
   */
  constructor(
    all: FileSystemSync | undefined,
    after: (ms: number, action: () => void) => () => void = later,
  ) {
    this.#all = all;
    this.#after = after;
  }

  /**
   * Takes over a complete file, and closes it; resolves when the next may come.
   * @throws what an earlier one failed with
   */
  async add(complete: CompleteFile): Promise<void> {
    const small = isSmall(complete);
    if (this.#together && small) this.#gather(complete);
    else this.#open.push(complete);
    if (!small) await this.#syncOpen();
    else if (this.#open.length >= SYNC_TOGETHER_FILES) await this.#decide(complete.path);
    else if (this.#isFull()) await this.#syncClosed();
    if (this.#failure) throw this.#failure.error;
    this.#cancel ??= this.#after(SYNC_BATCH_MS, () => this.#begin());
  }

  /**
   * Waits until all that was added is on the disk and its `whenSynced` were called.
   * @throws what the first failed with
   */
  async flush(): Promise<void> {
    this.#cancel?.();
    this.#cancel = undefined;
    await this.#syncOpen();
    await this.#syncClosed();
    await this.#syncing;
    await this.#lanes.idle();
    if (this.#failure) throw this.#failure.error;
  }

  /**
   * After an error: closes all that is open. As `flush`, whatever comes of it, but only for files
   * that get a name of their own; the others are not worth the wait.
   */
  async close(): Promise<void> {
    for (const { file, whenSynced } of this.#open) if (!whenSynced) file.close();
    this.#open = this.#open.filter(({ whenSynced }) => whenSynced);
    this.#closed = this.#closed.filter(({ whenSynced }) => whenSynced);
    await this.flush().catch(() => {});
    await this.#syncing;
    await this.#lanes.settled();
  }

  /** Waits until the names in these folders are on the disk. */
  async folders(paths: readonly string[]): Promise<void> {
    const many = paths.length >= SYNC_TOGETHER_FILES && !this.#failed;
    if (many && await this.#all?.sync(paths)) return;
    const lanes = new Lanes(SYNC_LANES);
    for (const path of paths) await lanes.run(() => syncDirectory(path));
    await lanes.idle();
  }

  /** Many are open: from now on they are gathered, if that is of use here. */
  async #decide(path: string): Promise<void> {
    this.#together = !this.#failed && await this.#all?.serves(dirname(path)) === true;
    for (const complete of this.#together ? this.#open.splice(0) : []) {
      if (isSmall(complete)) this.#gather(complete);
      else this.#open.push(complete);
    }
    await this.#syncOpen();
  }

  /** It is time to sync what there is, even if no more should come. */
  #begin(): void {
    this.#cancel = undefined;
    this.#syncOpen();
    this.#syncClosed();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
  }

  #gather(complete: CompleteFile): void {
    complete.file.close();
    this.#closed.push(complete);
    this.#closedBytes += complete.bytes;
  }

  #isFull(): boolean {
    return this.#closed.length >= SYNC_BATCH_FILES || this.#closedBytes >= SYNC_BATCH_BYTES;
  }

  /** Syncs one by one, many at once: the disk then does together what it can. */
  #syncOpen(): Promise<void> {
    const files = this.#open.splice(0);
    return this.#opening = this.#opening.then(async () => {
      for (const complete of files) await this.#syncAlone(complete);
    });
  }

  /** Begins as soon as there is a lane. What fails is told with the next `add` or `flush`. */
  async #syncAlone(complete: CompleteFile): Promise<void> {
    const { file, path, whenSynced } = complete;
    try {
      await this.#lanes.run(async () => {
        using synced = file;
        await syncFile(synced, path);
        whenSynced?.();
      });
    } catch (error) {
      file.close();
      this.#fail(error);
    }
  }

  /** Begins to sync what was gathered; resolves when the batch before is done. */
  #syncClosed(): Promise<void> {
    const batch = this.#closed;
    const before = this.#syncing;
    this.#closed = [];
    this.#closedBytes = 0;
    this.#syncing = before.then(() => this.#sync(batch)).catch((error) => this.#fail(error));
    return before;
  }

  async #sync(batch: readonly CompleteFile[]): Promise<void> {
    if (this.#failure) return;
    if (!await this.#syncTogether(batch)) {
      const lanes = new Lanes(SYNC_LANES);
      for (const { path } of batch) await lanes.run(() => reopenAndSync(path));
      await lanes.idle();
    }
    for (const [number, { whenSynced }] of batch.entries()) {
      whenSynced?.();
      if (whenSynced && (number + 1) % ENTRIES_IN_ONE_GO === 0) await breathe();
    }
  }

  /** @returns false if they are too few for it, or it failed */
  async #syncTogether(batch: readonly CompleteFile[]): Promise<boolean> {
    if (batch.length < SYNC_TOGETHER_FILES || this.#failed) return false;
    const done = await this.#all!.sync(new Set(batch.map(({ path }) => dirname(path))));
    if (!done) {
      this.#failed = true;
      this.#together = false;
    }
    return done;
  }
}

function later(ms: number, action: () => void): () => void {
  const timer = setTimeout(action, ms);
  return () => clearTimeout(timer);
}

/** Whether a file is one of those of which many make a batch. */
function isSmall({ bytes }: CompleteFile): boolean {
  return bytes < SYNC_BATCH_BYTES / SYNC_TOGETHER_FILES;
}
