/** A top-level file on its way into the target folder. */
import { RESUME_BLOCK_BYTES } from "../protocol/limits.ts";
import type { Entry } from "../protocol/offer.ts";
import type { ItemPlan } from "./conflict.ts";
import { statLink } from "./files.ts";
import type { Item } from "./item.ts";
import { isSameFile, openOwn, type Part } from "./part.ts";
import {
  meddled,
  openStaged,
  publish,
  sealFile,
  sizeAtHand,
  STAGED_FILE_MODE,
  type StagedFile,
} from "./staging.ts";
import type { SyncBatch } from "./sync_batch.ts";

export class FileItem implements Item {
  readonly plan: ItemPlan;
  readonly #entry: Entry;
  readonly #part: Part;
  readonly #batch: SyncBatch;
  #file: StagedFile | undefined;

  constructor(plan: ItemPlan, entry: Entry, part: Part, batch: SyncBatch) {
    this.plan = plan;
    this.#entry = entry;
    this.#part = part;
    this.#batch = batch;
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

  async commit(onNamed: (path: string) => void): Promise<void> {
    const path = this.#part.path;
    const file = this.#file!;
    sealFile(file, path, this.#entry, this.#part.resumable);
    const sealed = file.statSync();
    this.#file = undefined;
    const whenSynced = () => onNamed(this.#publish(sealed));
    await this.#batch.add({ file, path, bytes: this.#entry.size!, whenSynced });
  }

  #publish(sealed: ReturnType<StagedFile["statSync"]>): string {
    const path = this.#part.path;
    const info = statLink(path);
    if (!info || !isSameFile(info, sealed)) throw meddled(path);
    const final = publish(path, this.plan.target, this.plan.action === "replace");
    this.#part.forget();
    return final;
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  discard(): void {
    this.#part.discard();
  }
}
