import { encodeText } from "./bytes.ts";
import {
  LINE_LIFE_MS,
  MAX_AUTHOR_BYTES,
  MAX_LINES,
  MAX_LINES_BYTES,
  MAX_LOGS,
  POSITION_LIFE_MS,
} from "./limits.ts";
import type { LogId, StoredLine } from "./line.ts";
import { type Author, LineLog } from "./line_log.ts";

/** Bounds, each as in limits.ts unless it is given. */
export interface LogLimits {
  /** Lines that are kept. */
  lines: number;
  /** Bytes of lines that are kept. */
  bytes: number;
  /** Bytes of lines that are kept of one author. */
  authorBytes: number;
  /** Logs, with lines or without. */
  logs: number;
  /** Milliseconds that lines are kept. */
  lifeMs: number;
}

const LIMITS: LogLimits = {
  lines: MAX_LINES,
  bytes: MAX_LINES_BYTES,
  authorBytes: MAX_AUTHOR_BYTES,
  logs: MAX_LOGS,
  lifeMs: LINE_LIFE_MS,
};

/** A log's name among all: of channel 1, with whom it is to. */
export function logKey({ author, instance, channel, to }: LogId & { to?: Uint8Array }): string {
  const key = `${author.toHex()}${instance.toHex()}`;
  return channel === 0 ? key : `${key}${to?.toHex()}`;
}

/**
 * All logs, and how much they may hold: lines for an hour, and of each author and of all only so
 * many, so that who floods pushes out nothing but its own lines.
 */
export class LineLogs {
  readonly #limits: LogLimits;
  readonly #forgotten: (log: LineLog) => void;
  readonly #logs = new Map<string, LineLog>();
  readonly #authors = new Map<string, Author>();
  #lines = 0;
  #bytes = 0;

  /** @param forgotten is called with each log that is given up, position and all */
  constructor(limits: Partial<LogLimits>, forgotten: (log: LineLog) => void) {
    this.#limits = { ...LIMITS, ...limits };
    this.#forgotten = forgotten;
  }

  /** Lines kept, and the bytes that they take. */
  get kept(): { lines: number; bytes: number } {
    return { lines: this.#lines, bytes: this.#bytes };
  }

  values(): Iterable<LineLog> {
    return this.#logs.values();
  }

  get(key: string): LineLog | undefined {
    return this.#logs.get(key);
  }

  /** The log of that name, made if there is none. */
  ensure(id: LogId & { to?: Uint8Array }, now: number, key = logKey(id)): LineLog {
    const known = this.#logs.get(key);
    if (known) return known;
    if (this.#logs.size >= this.#limits.logs) this.#giveUpOne();
    const owner = this.#author(id.author.toHex());
    const log = new LineLog(key, owner, id, now);
    owner.logs.add(log);
    this.#logs.set(key, log);
    return log;
  }

  /** Appends a line to a log, and drops what there is no more room for; never the line itself. */
  append(log: LineLog, line: StoredLine, genuine?: boolean): void {
    const textBytes = encodeText(line.text).length + line.name.length;
    const bytes = log.append(line, textBytes, genuine);
    log.owner.lines++;
    log.owner.bytes += bytes;
    this.#lines++;
    this.#bytes += bytes;
    this.#dropSurplus(log);
  }

  /** Drops all lines and positions of an author, given in hexadecimal. */
  clear(author: string): void {
    for (const log of this.#authors.get(author)?.logs ?? []) {
      while (log.size > 0) this.#drop(log);
      log.position = undefined;
      log.forged = false;
    }
  }

  /** Drops lines that are too old, and logs in which nothing happened for twice that time. */
  expire(now: number): void {
    for (const log of this.#logs.values()) {
      const oldest = now - this.#limits.lifeMs;
      while (log.oldest && log.oldest.receivedAt < oldest) this.#drop(log);
      const idle = now - log.touchedAt > (POSITION_LIFE_MS / LINE_LIFE_MS) * this.#limits.lifeMs;
      if (idle && log.size === 0 && log.sessions === 0) this.#giveUp(log);
    }
  }

  #author(id: string): Author {
    let author = this.#authors.get(id);
    if (!author) {
      author = { id, logs: new Set(), lines: 0, bytes: 0 };
      this.#authors.set(id, author);
    }
    return author;
  }

  #dropSurplus(fresh: LineLog): void {
    const { lines, bytes, authorBytes } = this.#limits;
    while (fresh.owner.bytes > authorBytes && this.#dropOldest(fresh.owner, fresh));
    while (this.#lines > lines && this.#dropOldest(this.#mostOf("lines"), fresh));
    while (this.#bytes > bytes && this.#dropOldest(this.#mostOf("bytes"), fresh));
  }

  #mostOf(what: "lines" | "bytes"): Author {
    let most: Author | undefined;
    for (const author of this.#authors.values()) {
      if (!most || author[what] > most[what]) most = author;
    }
    return most!;
  }

  /** Drops an author's oldest line, if it has one that is not the newest of `spared`. */
  #dropOldest(author: Author, spared: LineLog): boolean {
    let oldest: LineLog | undefined;
    for (const log of author.logs) {
      if (log.size <= (log === spared ? 1 : 0)) continue;
      if (!oldest || log.oldest!.receivedAt < oldest.oldest!.receivedAt) oldest = log;
    }
    if (oldest) this.#drop(oldest);
    return oldest !== undefined;
  }

  #drop(log: LineLog): void {
    const { bytes } = log.shift();
    log.owner.lines--;
    log.owner.bytes -= bytes;
    this.#lines--;
    this.#bytes -= bytes;
  }

  /** Gives up the log that was idle longest of the author that has most, but none in use. */
  #giveUpOne(): void {
    let victim: LineLog | undefined;
    for (const log of this.#logs.values()) {
      if (log.sessions > 0) continue;
      const more = log.owner.logs.size - (victim?.owner.logs.size ?? 0);
      if (more > 0 || (more === 0 && log.touchedAt < victim!.touchedAt)) victim = log;
    }
    if (victim) this.#giveUp(victim);
  }

  #giveUp(log: LineLog): void {
    while (log.size > 0) this.#drop(log);
    this.#logs.delete(log.id);
    log.owner.logs.delete(log);
    if (log.owner.logs.size === 0) this.#authors.delete(log.owner.id);
    this.#forgotten(log);
  }
}
