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
import { type Author, LineLog, type Share, type Sum } from "./line_log.ts";

/** Bounds, each as in limits.ts unless it is given. */
export interface LogLimits {
  /** Lines that are kept. */
  lines: number;
  /** Bytes of lines that are kept. */
  bytes: number;
  /** Bytes of lines that are kept in one share. */
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

/** What logs are to be told of, and have to be told. */
export interface LogsUser {
  /** Who answers for an author; both are static keys in hexadecimal. Empty if nobody does. */
  shareOf(author: string): string;
  /** A log is given up, position and all. */
  forgotten(log: LineLog): void;
}

/**
 * All logs, and how much they may hold: lines for an hour, and in each share and of all only so
 * many, so that who floods, be it with authors that it made up, pushes out nothing but its own
 * lines. Of a share the author that has most gives way.
 */
export class LineLogs {
  readonly #limits: LogLimits;
  readonly #user: LogsUser;
  readonly #logs = new Map<string, LineLog>();
  readonly #authors = new Map<string, Author>();
  readonly #shares = new Map<string, Share>();
  readonly #total: Sum = { lines: 0, bytes: 0 };

  constructor(limits: Partial<LogLimits>, user: LogsUser) {
    this.#limits = { ...LIMITS, ...limits };
    this.#user = user;
  }

  /** Lines kept, and the bytes that they take. */
  get kept(): Sum {
    return { ...this.#total };
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
    owner.share.logs++;
    this.#logs.set(key, log);
    return log;
  }

  /** Appends a line to a log, and drops what there is no more room for; never the line itself. */
  append(log: LineLog, line: StoredLine, genuine?: boolean): void {
    const textBytes = encodeText(line.text).length + line.name.length;
    this.#add(log.owner, 1, log.append(line, textBytes, genuine));
    this.#dropSurplus(log);
  }

  /** Somebody else may answer for an author, given in hexadecimal, from now on. */
  moveShare(author: string): void {
    const found = this.#authors.get(author);
    if (!found || found.share.id === this.#user.shareOf(author)) return;
    this.#leave(found);
    found.share = this.#share(this.#user.shareOf(author));
    found.share.authors.add(found);
    found.share.logs += found.logs.size;
    found.share.lines += found.lines;
    found.share.bytes += found.bytes;
  }

  /** Drops all lines and positions of an author, given in hexadecimal. */
  clear(author: string): void {
    for (const log of this.#authors.get(author)?.logs ?? []) {
      while (log.size > 0) this.#drop(log);
      log.reset();
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
      const share = this.#share(this.#user.shareOf(id));
      author = { id, share, logs: new Set(), lines: 0, bytes: 0 };
      this.#authors.set(id, author);
      share.authors.add(author);
    }
    return author;
  }

  #share(id: string): Share {
    let share = this.#shares.get(id);
    if (!share) {
      share = { id, authors: new Set(), logs: 0, lines: 0, bytes: 0 };
      this.#shares.set(id, share);
    }
    return share;
  }

  /** An author does not count with its share any more. */
  #leave(author: Author): void {
    const { share, logs, lines, bytes } = author;
    share.authors.delete(author);
    share.logs -= logs.size;
    share.lines -= lines;
    share.bytes -= bytes;
    if (share.authors.size === 0) this.#shares.delete(share.id);
  }

  #add(author: Author, lines: number, bytes: number): void {
    for (const sum of [author, author.share, this.#total]) {
      sum.lines += lines;
      sum.bytes += bytes;
    }
  }

  #dropSurplus(fresh: LineLog): void {
    const { lines, bytes, authorBytes } = this.#limits;
    const { share } = fresh.owner;
    const total = this.#total;
    while (share.bytes > authorBytes && this.#dropOf([share], "bytes", fresh));
    while (total.lines > lines && this.#dropOf(this.#shares.values(), "lines", fresh));
    while (total.bytes > bytes && this.#dropOf(this.#shares.values(), "bytes", fresh));
  }

  /**
   * Drops the oldest line of the author that has most in the share that has most.
   * @returns whether there was one beside the newest of `spared`
   */
  #dropOf(shares: Iterable<Share>, what: keyof Sum, spared: LineLog): boolean {
    const { owner, newest } = spared;
    const less = what === "lines" ? 1 : newest!.bytes;
    const share = most(shares, (each) => each[what] - (each === owner.share ? less : 0));
    const author = share &&
      most(share.authors, (each) => each[what] - (each === owner ? less : 0));
    const oldest = author && oldestOf(author, spared);
    if (oldest) this.#drop(oldest);
    return oldest !== undefined;
  }

  #drop(log: LineLog): void {
    const { bytes } = log.shift();
    this.#add(log.owner, -1, -bytes);
  }

  /** Gives up the log that was idle longest of whoever has most, but none in use. */
  #giveUpOne(): void {
    let victim: LineLog | undefined;
    for (const log of this.#logs.values()) {
      if (log.sessions === 0 && (!victim || isRatherGivenUp(log, victim))) victim = log;
    }
    if (victim) this.#giveUp(victim);
  }

  #giveUp(log: LineLog): void {
    const { owner } = log;
    while (log.size > 0) this.#drop(log);
    this.#logs.delete(log.id);
    owner.logs.delete(log);
    owner.share.logs--;
    if (owner.logs.size === 0) {
      this.#leave(owner);
      this.#authors.delete(owner.id);
    }
    this.#user.forgotten(log);
  }
}

/** The one of which there is most, unless there is nothing of any. */
function most<T>(all: Iterable<T>, amountOf: (one: T) => number): T | undefined {
  let found: T | undefined;
  let amount = 0;
  for (const each of all) {
    const its = amountOf(each);
    if (its > amount) [found, amount] = [each, its];
  }
  return found;
}

/** The log with an author's oldest line, the newest of `spared` aside. */
function oldestOf(author: Author, spared: LineLog): LineLog | undefined {
  let oldest: LineLog | undefined;
  for (const log of author.logs) {
    if (log.size <= (log === spared ? 1 : 0)) continue;
    if (!oldest || log.oldest!.receivedAt < oldest.oldest!.receivedAt) oldest = log;
  }
  return oldest;
}

function isRatherGivenUp(log: LineLog, than: LineLog): boolean {
  const [a, b] = [log.owner, than.owner];
  const more = a.share.logs - b.share.logs || a.logs.size - b.logs.size;
  return more > 0 || (more === 0 && log.touchedAt < than.touchedAt);
}
