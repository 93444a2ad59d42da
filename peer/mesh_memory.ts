/** What a mesh remembers over a restart of the program, as those who use it see it. */
import type { LogPosition, StoredLine } from "../protocol/line.ts";
import type { KeyedMember } from "../protocol/member.ts";

/** Somebody who is, or was, in the mesh. */
export interface RememberedMember extends KeyedMember {
  /** Milliseconds since 1970 from which on lines are meant for it. */
  readonly since: number;
  /** Milliseconds since 1970: when it was here last. */
  readonly seenAt: number;
  /**
   * Whether it has a session with us; is lost, and a member yet; or has left, or was sent away, and
   * only its addresses are of use.
   */
  readonly state: "here" | "away" | "left";
}

/** What is remembered. */
export interface Remembered {
  /** Those of the last hour, in the order in which they came. */
  lines: StoredLine[];
  /** None is `direct`: there are no sessions yet. */
  positions: LogPosition[];
  /** Nobody is `here` any more; those seen last come first. */
  members: RememberedMember[];
}

/** What is to be remembered from now on: all of it, or nothing. */
export interface MeshBatch {
  /** Their numbers count as positions, too. */
  lines?: readonly StoredLine[];
  positions?: readonly LogPosition[];
  /** Each in place of what was known of the same key and instance. */
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
