/**
 * One top-level file or directory on its way into the target folder: staged as a part, then given
 * its name.
 */
import { type Entry, EntryKind } from "../protocol/offer.ts";
import type { ItemPlan } from "./conflict.ts";
import { FileItem } from "./file_item.ts";
import type { Part } from "./part.ts";
import type { StagedFile } from "./staging.ts";
import type { SyncBatch } from "./sync_batch.ts";
import { TreeItem } from "./tree_item.ts";

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
  /**
   * Gives the item its name, maybe only when more are ready for it (SyncBatch).
   * @param onNamed is told the final path
   */
  commit(onNamed: (path: string) => void): Promise<void>;
  /** Closes what is open; what was staged stays. Idempotent. */
  close(): void;
  /** Removes all that was staged. */
  discard(): void;
}

/**
 * Makes the item that a plan asks for.
 * @param part the place that was claimed for it
 * @param batch makes its files durable
 */
export function createItem(
  plan: ItemPlan,
  entries: readonly Entry[],
  part: Part,
  batch: SyncBatch,
): Item {
  return entries[plan.first]!.kind === EntryKind.directory
    ? new TreeItem(plan, entries, part, batch)
    : new FileItem(plan, entries[plan.first]!, part, batch);
}
