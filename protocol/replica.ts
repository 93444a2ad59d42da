/** The logs of a member: what it has of everybody's lines, and what it owes to its neighbours. */
import type { ChatMessage } from "./chat.ts";
import type { Line, LogPosition, StoredLine } from "./line.ts";

/** Bounds, each as in limits.ts unless it is given. */
export interface ReplicaLimits {
  /** Lines that are kept. */
  lines: number;
  /** Bytes of lines that are kept. */
  bytes: number;
  /** Bytes of lines that are kept of one author. */
  authorBytes: number;
  /** Milliseconds that lines are kept. */
  lifeMs: number;
  /** Milliseconds that a gap is left open for others to fill. */
  gapWaitMs: number;
}

export interface ReplicaOptions {
  /** Our static key, 32 bytes. */
  key: Uint8Array;
  /** Our instance, 8 bytes. */
  instance: Uint8Array;
  /** Our Ed25519 key, 32 bytes. */
  signingKey: Uint8Array;
  /** Ed25519 with that key. */
  sign(bytes: Uint8Array): Uint8Array;
  /** Whether a signature is that of `signingKey`. */
  verify(bytes: Uint8Array, signature: Uint8Array, signingKey: Uint8Array): boolean;
  /** Milliseconds since 1970. */
  now(): number;
  limits?: Partial<ReplicaLimits>;
}

/** Whom a session is with. */
export interface NeighbourInfo {
  key: Uint8Array;
  instance: Uint8Array;
  /** Milliseconds since 1970: what we took in from then on is meant for it. */
  since: number;
  /** Whether it was a member before this session: else it hears of those only that are present. */
  returning: boolean;
}

/** What changed since it was last asked for: to be written before it is shown. */
export interface ReplicaChanges {
  lines: StoredLine[];
  positions: LogPosition[];
}

export declare class Replica {
  constructor(options: ReplicaOptions);
  /** What was kept on disk; before anything else. */
  restore(lines: Iterable<StoredLine>, positions: Iterable<LogPosition>): void;
  /** The signing key that a member told us in person (MEMBER), or that we kept of it. */
  know(key: Uint8Array, signingKey: Uint8Array): void;
  /** Says a line to all, or to the key `to` alone. */
  say(text: string, name: string, to?: Uint8Array): Line;
  /** A session begins; `id` names it. What is due to it, its HAVE first, comes from `next`. */
  join(id: string, who: NeighbourInfo): void;
  /** The session is over. */
  leave(id: string): void;
  /** The session has lost its connection: nothing is sent, others hand on its lines. */
  away(id: string): void;
  /** It has a connection again. */
  back(id: string): void;
  /** Its HAVE came. */
  heard(id: string, have: ChatMessage & { type: "have" }): void;
  /** A LINE came. Gives it, if it is new. */
  take(id: string, line: Line, previous: number): Line | undefined;
  /** The next message to send on this session, if any is due: HAVE or LINE. */
  next(id: string): (ChatMessage & { type: "have" | "line" }) | undefined;
  /** The lines that `next` still has for this session. */
  pending(id: string): { lines: number; bytes: number };
  /** What changed since the last call. */
  changes(): ReplicaChanges;
  /** To be called every few seconds: drops what is too old; `next` of anybody may have more then. */
  expire(): void;
}
