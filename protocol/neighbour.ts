import { MAX_LOGS } from "./limits.ts";
import type { LogId, LogPosition } from "./line.ts";
import type { LineLog } from "./line_log.ts";
import { logKey } from "./line_logs.ts";

/** Whom a session is with. */
export interface NeighbourInfo {
  /** Its static key, 32 bytes. */
  readonly key: Uint8Array;
  /** Its instance, 8 bytes. */
  readonly instance: Uint8Array;
  /** Milliseconds since 1970: what we took in from then on is meant for it. */
  readonly since: number;
  /** Whether it was a member before this session: else it hears only of those that are present. */
  readonly returning: boolean;
}

/** Where somebody stands with one log, as far as we know. */
export interface Track {
  /** The last line that it has, or that was sent to it. */
  position: number;
  /** Whether it has the lines from their author. */
  direct: boolean;
  /** When we first had no line but one behind a gap for it, milliseconds since 1970. */
  gapSince?: number;
  /** Whether it said that it is there after it was sent what we have behind that. */
  again?: boolean;
}

/**
 * What is known of a member at the other end of a session, and what is due to it: HAVEs and logs,
 * never lines, so that nothing grows here while it does not read.
 */
export class Neighbour implements NeighbourInfo {
  readonly key: Uint8Array;
  readonly instance: Uint8Array;
  readonly since: number;
  readonly returning: boolean;
  /** Its key in hexadecimal, and the name of its log to all. */
  readonly keyHex: string;
  readonly logKey: string;
  /** The last line of our own log that is not meant for it. */
  readonly start: number;
  /** Whether its session has a connection. */
  here = true;
  /** Whether our HAVE of all logs was sent, and whether its own came. */
  greeted = false;
  greets = false;
  /** Whether it has met nobody before us, as it says: it takes what comes first. */
  isNew = false;
  /** When its HAVE of all logs came, milliseconds since 1970. */
  greetedAt = 0;
  /** Whether it is the first that we have met, and nothing of a time before is known. */
  isFirst = false;
  /** The logs that may have a line for it, in the order in which they take turns. */
  readonly ready = new Set<LineLog>();
  /** The logs whose next line for it is behind a gap. */
  readonly held = new Set<LineLog>();
  #tracks = new Map<string, Track>();
  /** Logs of which it is to hear how far we have got. */
  readonly #due = new Map<string, LogId>();
  /**
   * Logs of which it heard that, because a line did not fit, and the last number that did not; until
   * one fits.
   */
  readonly #asked = new Map<string, number>();
  /** Authors of whom it handed on a line with a wrong signature, in hexadecimal. */
  readonly #distrusted = new Set<string>();

  constructor(info: NeighbourInfo, start: number) {
    this.key = info.key;
    this.instance = info.instance;
    this.since = info.since;
    this.returning = info.returning;
    this.start = start;
    this.keyHex = info.key.toHex();
    this.logKey = logKey({ author: info.key, instance: info.instance, channel: 0 });
  }

  /** Whether the log of that name is its own. */
  isAuthorOf(log: string): boolean {
    return log.startsWith(this.logKey);
  }

  /** All that it told of its positions is void: a HAVE of all logs comes. */
  forgetTracks(): void {
    this.#tracks.clear();
    this.ready.clear();
    this.held.clear();
  }

  /** It says how far it is; of logs that nobody has heard of, so many are remembered. */
  told(key: string, log: LineLog | undefined, { direct, number }: LogPosition): void {
    const before = this.#tracks.get(key);
    if (!log && !before && this.#tracks.size >= 2 * MAX_LOGS) return;
    if (before?.position === number) before.direct = direct;
    else {
      const again = before !== undefined && before.position > number;
      this.#tracks.set(key, { direct, position: number, again });
    }
    if (log) this.held.delete(log);
  }

  /** Where it stands with a log. */
  track(log: LineLog, ours: boolean): Track {
    let track = this.#tracks.get(log.id);
    if (!track) {
      track = { direct: false, position: ours ? this.start : 0 };
      this.#tracks.set(log.id, track);
    }
    return track;
  }

  /** A log is given up. */
  forget(log: LineLog): void {
    this.ready.delete(log);
    this.held.delete(log);
    this.#tracks.delete(log.id);
  }

  /** It is to hear of this log. */
  tell(key: string, log: LogId): void {
    if (this.greeted && this.#due.size < MAX_LOGS) this.#due.set(key, log);
  }

  /**
   * A line of it does not fit: it is to hear where we are; again only if it has gone back, and still
   * does not fit.
   */
  ask(key: string, log: LogId, number: number): void {
    const asked = this.#asked.get(key);
    if (asked === undefined && this.#asked.size >= MAX_LOGS) return;
    this.#asked.set(key, number);
    if (asked === undefined || number <= asked) this.tell(key, log);
  }

  /** A line of it fits, or is behind us. */
  fits(key: string): void {
    if (this.#asked.size > 0) this.#asked.delete(key);
  }

  /** The logs of which it is to hear, from then on no more. */
  takeDue(): Map<string, LogId> | undefined {
    if (this.#due.size === 0) return undefined;
    const due = new Map(this.#due);
    this.#due.clear();
    return due;
  }

  /** It handed on a line of this author that the author did not sign, as far as we know. */
  distrust(author: Uint8Array): void {
    this.#distrusted.add(author.toHex());
  }

  /** What the author, in hexadecimal, signs with was not known until now. */
  trustAgain(author: string): void {
    this.#distrusted.delete(author);
  }

  /** Whether it is believed what this author said. */
  trusts(author: Uint8Array): boolean {
    return this.#distrusted.size === 0 || !this.#distrusted.has(author.toHex());
  }
}
