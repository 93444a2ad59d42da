/**
 * The lines in the database of a mesh, and how far each log is known:
 *
 *     logs   an author's lines, to all or to one key
 *     lines  those of the last hour; the oldest of whoever has most go if there are too many
 *
 * Authors who never were members are told of by others, who can make them up: they have one share of
 * all this together.
 *
 * The file has 64 MiB at most: twice the lines' bytes, where a page has room for one line alone.
 * Where something throws, nothing of this object is to be used any more: it counts what the
 * database has.
 */
import { decodeText, encodeText } from "../../../protocol/bytes.ts";
import {
  LINE_LIFE_MS,
  MAX_AUTHOR_BYTES,
  MAX_LINES,
  MAX_LINES_BYTES,
  MAX_LOGS,
  POSITION_LIFE_MS,
} from "../../../protocol/limits.ts";
import type { Channel, LogId, LogPosition, StoredLine } from "../../../protocol/line.ts";
import type { StatementSync } from "node:sqlite";
import type { Statements } from "../../database.ts";

/** Bytes of text of a line that is kept: a restart does without a longer one. */
const MAX_TEXT_BYTES = 1_048_576;
/** What a line costs besides its text, about. */
const LINE_COST = 300;
/** Lines that are dropped at a time where there are too many. */
const DROPPED_AT_ONCE = 64;
/** Logs that are used before those of which nothing is left are dropped: anybody can begin many. */
const MAX_LOG_IDS = 8 * MAX_LOGS;
/** The recipient of what is to all. */
const NOBODY = new Uint8Array();

/** The statements that make the tables. */
export const LINES_SCHEMA = `
  CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    author BLOB NOT NULL,
    instance BLOB NOT NULL,
    channel INTEGER NOT NULL,
    recipient BLOB NOT NULL,
    position INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    UNIQUE (author, instance, channel, recipient)
  );
  CREATE TABLE lines (
    id INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    number INTEGER NOT NULL,
    time INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    name BLOB NOT NULL,
    signature BLOB NOT NULL,
    text BLOB NOT NULL,
    UNIQUE (log, number)
  );
  CREATE INDEX lines_by_age ON lines (received_at);
`;

/** What there is of an author. */
interface Share {
  lines: number;
  bytes: number;
}

/** Of channel 1 it is to us where nobody is named. */
type SomeLog = LogId & Pick<StoredLine, "to">;

export class MeshLines {
  readonly #statements: Statements;
  /** The public key of whoever keeps them. */
  readonly #key: Uint8Array;
  /** The ids of logs, by what they are. */
  readonly #logs = new Map<string, number>();
  /** The keys of those who are, or were, members, and our own. */
  readonly #met: Set<string>;
  /** By the author's key. */
  readonly #shares = new Map<string, Share>();
  /** What those have together whom we never met. */
  readonly #unmet: Share = { lines: 0, bytes: 0 };
  readonly #total: Share = { lines: 0, bytes: 0 };

  /**
   * @param key whose they are
   * @param members the keys of those who are members, or were
   */
  constructor(statements: Statements, key: Uint8Array, members: readonly Uint8Array[]) {
    this.#statements = statements;
    this.#key = key;
    this.#met = new Set([key, ...members].map((each) => each.toHex()));
    this.#count();
  }

  /** Somebody is a member from now on: what it says has a share of its own. */
  met(key: Uint8Array): void {
    const name = key.toHex();
    if (this.#met.has(name)) return;
    this.#met.add(name);
    const { lines, bytes } = this.#shares.get(name) ?? { lines: 0, bytes: 0 };
    this.#unmet.lines -= lines;
    this.#unmet.bytes -= bytes;
  }

  /** Adds lines, unless they are there; the numbers are positions, too. */
  add(lines: readonly StoredLine[], now: number): void {
    const positions = new Map<number, number>();
    for (const line of lines) {
      const log = this.#logId(line, now);
      positions.set(log, Math.max(positions.get(log) ?? 0, line.number));
      this.#insert(log, line);
    }
    // Once for each log: who says much says it in one.
    for (const [log, number] of positions) this.#setPosition(log, number, now);
  }

  /** Notes how far a log is known: never less than before. */
  advance(position: LogPosition, now: number): void {
    this.#setPosition(this.#logId(position, now), position.number, now);
  }

  #insert(log: number, line: StoredLine): void {
    // Bytes, for node:sqlite reads a string to its first NUL only.
    const text = encodeText(line.text);
    if (text.length > MAX_TEXT_BYTES) return;
    const { changes } = this.#prepare(
      `INSERT OR IGNORE INTO lines (log, number, time, received_at, name, signature, text)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    ).run(
      log,
      line.number,
      line.time,
      line.receivedAt,
      encodeText(line.name),
      line.signature,
      text,
    );
    if (changes > 0) this.#sum(line.author, 1, text.length + LINE_COST);
  }

  /** Drops what there is too much of. */
  trim(now: number): void {
    for (let whose = this.#tooMuch(); whose; whose = this.#tooMuch()) {
      if (!this.#dropOldest(Uint8Array.fromHex(whose))) break;
    }
    if (this.#logs.size > MAX_LOG_IDS) this.#dropIdle(now);
  }

  /** Drops what is too old. A time in the future is a clock's that was wrong. */
  expire(now: number): void {
    const { changes } = this.#prepare("DELETE FROM lines WHERE received_at NOT BETWEEN ? AND ?")
      .run(now - LINE_LIFE_MS, now + LINE_LIFE_MS);
    if (changes > 0) this.#count();
    this.#dropIdle(now);
  }

  /** Drops logs without lines, but for those in which something happened last, of each the same. */
  #dropIdle(now: number): void {
    this.#prepare(
      `DELETE FROM logs WHERE id NOT IN (SELECT log FROM lines) AND id NOT IN (
         SELECT id FROM (
           SELECT id, changed_at, row_number() OVER (
             PARTITION BY iif(lower(hex(author)) IN (SELECT value FROM json_each(?)), author, x'')
             ORDER BY changed_at DESC) AS rank
           FROM logs WHERE changed_at BETWEEN ? AND ?)
         ORDER BY rank, changed_at DESC LIMIT ${MAX_LOGS})`,
    ).run(JSON.stringify([...this.#met]), now - POSITION_LIFE_MS, now + POSITION_LIFE_MS);
    this.#logs.clear();
  }

  /** All lines, in the order in which they came. */
  lines(): StoredLine[] {
    return this.#prepare("SELECT * FROM lines JOIN logs ON logs.id = log ORDER BY lines.id").all()
      .map((row) => ({
        author: row.author as Uint8Array,
        instance: row.instance as Uint8Array,
        channel: row.channel as Channel,
        ...(row.channel === 1 && { to: row.recipient as Uint8Array }),
        number: row.number as number,
        time: row.time as number,
        receivedAt: row.received_at as number,
        name: decodeText(row.name as Uint8Array),
        text: decodeText(row.text as Uint8Array),
        signature: row.signature as Uint8Array,
      }));
  }

  /** The positions in the logs that others ask us about: to all, and to us. */
  positions(): LogPosition[] {
    return this.#prepare("SELECT * FROM logs WHERE channel = 0 OR recipient = ?").all(this.#key)
      .map((row) => ({
        author: row.author as Uint8Array,
        instance: row.instance as Uint8Array,
        channel: row.channel as Channel,
        direct: false,
        number: row.position as number,
      }));
  }

  #setPosition(log: number, number: number, now: number): void {
    this.#prepare("UPDATE logs SET position = max(position, ?), changed_at = ? WHERE id = ?")
      .run(number, now, log);
  }

  #logId(log: SomeLog, now: number): number {
    const { author, instance, channel, to = this.#key } = log;
    const recipient = channel === 0 ? NOBODY : to;
    const name = `${author.toHex()} ${instance.toHex()} ${channel} ${recipient.toHex()}`;
    let id = this.#logs.get(name);
    if (id !== undefined) return id;
    id = this.#prepare(
      `INSERT INTO logs (author, instance, channel, recipient, position, changed_at)
       VALUES (?, ?, ?, ?, 0, ?)
       ON CONFLICT DO UPDATE SET changed_at = excluded.changed_at RETURNING id`,
    ).get(author, instance, channel, recipient, now)!.id as number;
    this.#logs.set(name, id);
    return id;
  }

  /** Looks at how much there is of each author. */
  #count(): void {
    this.#shares.clear();
    for (const sum of [this.#unmet, this.#total]) Object.assign(sum, { lines: 0, bytes: 0 });
    const rows = this.#prepare(
      `SELECT author, count(*) AS lines, sum(length(text) + ${LINE_COST}) AS bytes
       FROM lines JOIN logs ON logs.id = log GROUP BY author`,
    ).all();
    for (const { author, lines, bytes } of rows) {
      this.#sum(author as Uint8Array, lines as number, bytes as number);
    }
  }

  #sum(author: Uint8Array, lines: number, bytes: number): void {
    const name = author.toHex();
    let share = this.#shares.get(name);
    if (!share) this.#shares.set(name, share = { lines: 0, bytes: 0 });
    const sums = [share, this.#total];
    if (!this.#met.has(name)) sums.push(this.#unmet);
    for (const each of sums) {
      each.lines += lines;
      each.bytes += bytes;
    }
  }

  /** Whose lines are to go, if there is too much. */
  #tooMuch(): string | undefined {
    const { lines, bytes } = this.#total;
    if (lines > MAX_LINES) return this.#most("lines").whose;
    const { whose, much } = this.#most("bytes");
    return bytes > MAX_LINES_BYTES || much > MAX_AUTHOR_BYTES ? whose : undefined;
  }

  /** Who has most, and how much; of those whom we never met, if they have more together. */
  #most(of: keyof Share): { whose: string | undefined; much: number } {
    const most = { met: 0, unmet: 0 };
    const whose: { met?: string; unmet?: string } = {};
    for (const [author, { [of]: much }] of this.#shares) {
      const kind = this.#met.has(author) ? "met" : "unmet";
      if (much > most[kind]) [whose[kind], most[kind]] = [author, much];
    }
    const together = this.#unmet[of];
    if (together > most.met) return { whose: whose.unmet, much: together };
    return { whose: whose.met, much: most.met };
  }

  /**
   * Lines are looked at as they came: whoever has most is soon met, and nothing is sorted.
   * @returns whether there was anything to drop
   */
  #dropOldest(author: Uint8Array): boolean {
    const rows = this.#prepare(
      `SELECT lines.id AS id, length(text) AS bytes FROM lines CROSS JOIN logs ON logs.id = log
       WHERE author = ? ORDER BY lines.id LIMIT ${DROPPED_AT_ONCE}`,
    ).all(author) as { id: number; bytes: number }[];
    for (const { id, bytes } of rows) {
      this.#prepare("DELETE FROM lines WHERE id = ?").run(id);
      this.#sum(author, -1, -bytes - LINE_COST);
    }
    return rows.length > 0;
  }

  #prepare(sql: string): StatementSync {
    return this.#statements.prepare(sql);
  }
}
