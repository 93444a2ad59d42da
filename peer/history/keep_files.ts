import type { TransferItem } from "../../transfer/progress.ts";
import type { HistoryEntry, Party } from "./entry.ts";
import type { History } from "./history.ts";

/** Items of one transfer that have an entry each: of more there is one for all. */
const MAX_ITEMS = 20;

/** A transfer that is complete. */
export interface Transferred {
  sent: boolean;
  /** What whoever sent it goes by. */
  from: string;
  party: Party;
  items: readonly TransferItem[];
  /** What all of it is called. */
  name: string;
}

/** Keeps files that were sent or received. */
export function keepFiles(history: Pick<History, "add"> | undefined, done: Transferred): void {
  const { sent, from, party, items, name } = done;
  const entry = { sent, private: false, from, with: [party] } satisfies Partial<HistoryEntry>;
  if (items.length > MAX_ITEMS) {
    const fileBytes = items.reduce((sum, { bytes }) => sum + bytes, 0);
    history?.add({ ...entry, text: name, fileBytes });
  } else {
    for (const { path, bytes } of items) history?.add({ ...entry, text: path, fileBytes: bytes });
  }
}
