/** What a mesh remembers over a restart of the program, as those who use it see it. */
import type { LogPosition, StoredLine } from "../../../protocol/line.ts";
import type { RememberedMember } from "../../../protocol/memberships.ts";

/** What is remembered. */
export interface Remembered {
  /** Those of the last hour, in the order in which they came. */
  lines: StoredLine[];
  /** None is `direct`: there are no sessions yet. */
  positions: LogPosition[];
  /** Nobody is present any more; those seen last come first. */
  members: RememberedMember[];
}

/** What is to be remembered from now on: all of it, or nothing. */
export interface MeshBatch {
  /** Their numbers count as positions, too. */
  lines?: readonly StoredLine[];
  positions?: readonly LogPosition[];
  /** Each in place of what was known of the same key. */
  members?: readonly RememberedMember[];
}

/** Never fails: who is in a mesh goes on without a memory where there is none. */
export interface MeshMemory {
  /** What the program before this one left. */
  restore(): Remembered;
  /** When it returns, a program that is killed leaves this to the next one. */
  write(batch: MeshBatch): void;
  /** Nothing is written after it. Idempotent. */
  close(): void;
}

/** Remembers nothing. */
export const NO_MEMORY: MeshMemory = {
  restore: () => ({ lines: [], positions: [], members: [] }),
  write() {},
  close() {},
};
