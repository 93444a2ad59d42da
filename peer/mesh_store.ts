/**
 * The database of a mesh, `mesh.db`: what the program must know to be the same member after it was
 * started again, killed or not. One program has it alone; the next of the same user takes
 * `mesh-2.db`, and so on. All of it is synchronous, and each call one transaction.
 *
 *     owner    whose it is: what another identity left is dropped
 *     logs     an author's lines, to all or to one, and how far they are known
 *     lines    those of the last hour
 *     members  who is, or was, in the mesh, and where they listen
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { decodeText, encodeText, equalBytes } from "../protocol/bytes.ts";
import { FileError } from "../protocol/errors.ts";
import type { LogId, LogPosition, StoredLine } from "../protocol/line.ts";
import {
  LINE_LIFE_MS,
  MAX_AUTHOR_BYTES,
  MAX_LINES,
  MAX_LINES_BYTES,
  MAX_LOGS,
  MAX_REMEMBERED_MEMBERS,
  POSITION_LIFE_MS,
} from "../protocol/limits.ts";
import type { RememberedMember } from "../protocol/memberships.ts";
import {
  adopt,
  createPrivately,
  type DatabaseKind,
  isLockedError,
  transaction,
} from "./database.ts";
import { withFileLock } from "./file_lock.ts";
import { MAX_MESH_FILES, meshError, meshLockPath, meshPaths } from "./mesh_files.ts";
import type { MeshBatch, Remembered } from "./mesh_memory.ts";

/** Bytes, about, that a file may have. */
const MAX_FILE_BYTES = 67_108_864;
/** Bytes of text of a line that is kept: a restart does without a longer one. */
const MAX_TEXT_BYTES = 1_048_576;
/** What a line costs besides its text, about. */
const LINE_COST = 200;
/** Lines that are dropped at a time where there are too many. */
const DROPPED_AT_ONCE = 64;
/** The recipient of what is to all. */
const NOBODY = new Uint8Array();

const SCHEMA = `
  CREATE TABLE owner (key BLOB NOT NULL);
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
  CREATE TABLE members (
    key BLOB PRIMARY KEY,
    signing_key BLOB NOT NULL,
    name TEXT NOT NULL,
    addresses TEXT NOT NULL,
    relay TEXT,
    member_since INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    state TEXT NOT NULL
  );
`;

/** "p2pm" */
export const MESH_KIND: DatabaseKind = { applicationId: 0x7032706d, version: 1, schema: SCHEMA };

export interface MeshStoreOptions {
  /** The public key of whoever keeps it. */
  key: Uint8Array;
  /** Whether lines and positions are kept, or members only. */
  keepLines: boolean;
  /** Milliseconds since 1970. Default: the time. */
  now?: () => number;
}

/** What there is of an author. */
interface Share {
  lines: number;
  bytes: number;
}

export class MeshStore implements Disposable {
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #options: MeshStoreOptions;
  readonly #statements = new Map<string, StatementSync>();
  /** The ids of logs, by what they are. */
  readonly #logs = new Map<string, number>();
  /** By the author's key. */
  readonly #shares = new Map<string, Share>();
  readonly #total: Share = { lines: 0, bytes: 0 };

  /**
   * Opens the first file that no other program has; makes it, readable by its owner alone, if it is
   * not there.
   * @throws {FileError} if it cannot be used, or all are taken
   */
  static async open(folder: string, options: MeshStoreOptions): Promise<MeshStore> {
    try {
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
      // Two that opened a new file at once would each keep the other from making it.
      return await withFileLock(meshLockPath(folder), () => openFirst(folder, options));
    } catch (cause) {
      throw meshError(folder, cause);
    }
  }

  /** Opened by `open`. */
  constructor(path: string, database: DatabaseSync, options: MeshStoreOptions) {
    this.path = path;
    this.#database = database;
    this.#options = options;
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA secure_delete = ON");
    adopt(database, MESH_KIND);
    // What was written is there after the program was killed; after a power failure, most of it.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    database.exec(`PRAGMA journal_size_limit = ${MAX_FILE_BYTES / 16}`);
    transaction(database, () => this.#begin());
  }

  /**
   * What is left of the time before.
   * @throws {FileError} if it cannot be read
   */
  restore(): Remembered {
    return this.#try(() => ({
      lines: this.#readLines(),
      positions: this.#readPositions(),
      members: this.#readMembers(),
    }));
  }

  /**
   * Keeps what is new. If there are too many lines then, the oldest of whoever has most go: so that
   * an author who floods loses what is its own.
   * @throws {FileError} if it cannot be written: the store is of no use then, and to be closed
   */
  write({ lines = [], positions = [], members = [] }: MeshBatch): void {
    const { keepLines } = this.#options;
    if (!(keepLines && lines.length + positions.length > 0) && members.length === 0) return;
    this.#try(() =>
      transaction(this.#database, () => {
        if (keepLines) {
          for (const line of lines) this.#addLine(line);
          for (const position of positions) this.#advance(position);
          this.#trim();
        }
        for (const member of members) this.#putMember(member);
      })
    );
  }

  /**
   * Drops what is too old, and notes that who is present still is: to be called about once a minute.
   * @throws {FileError} as `write`
   */
  sweep(): void {
    this.#try(() =>
      transaction(this.#database, () => {
        this.#prepare("UPDATE members SET last_seen = ? WHERE state = 'present'").run(this.#now());
        this.#expire();
      })
    );
  }

  /** Idempotent. */
  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #now(): number {
    return Math.round((this.#options.now ?? Date.now)());
  }

  #try<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (cause) {
      throw meshError(this.path, cause);
    }
  }

  /** Makes the database that of this program. */
  #begin(): void {
    const { key, keepLines } = this.#options;
    const owner = this.#prepare("SELECT key FROM owner").get()?.key as Uint8Array | undefined;
    const another = owner === undefined || !equalBytes(owner, key);
    if (another) {
      this.#database.exec("DELETE FROM owner; DELETE FROM members");
      this.#prepare("INSERT INTO owner (key) VALUES (?)").run(key);
    }
    if (another || !keepLines) this.#database.exec("DELETE FROM lines; DELETE FROM logs");
    this.#database.exec("UPDATE members SET state = 'lost' WHERE state = 'present'");
    this.#expire();
    this.#count();
  }

  /** A time in the future is a clock's that was wrong. */
  #expire(): void {
    const now = this.#now();
    const { changes } = this.#prepare("DELETE FROM lines WHERE received_at NOT BETWEEN ? AND ?")
      .run(now - LINE_LIFE_MS, now + LINE_LIFE_MS);
    if (changes > 0) this.#count();
    this.#prepare(
      `DELETE FROM logs WHERE id NOT IN (SELECT log FROM lines) AND id NOT IN (
         SELECT id FROM logs WHERE changed_at BETWEEN ? AND ?
         ORDER BY changed_at DESC LIMIT ${MAX_LOGS})`,
    ).run(now - POSITION_LIFE_MS, now + POSITION_LIFE_MS);
    this.#logs.clear();
    this.#expireMembers(now);
  }

  #expireMembers(now: number): void {
    this.#prepare("UPDATE members SET last_seen = ?1 WHERE last_seen > ?1").run(now);
    this.#prepare(
      `DELETE FROM members WHERE state <> 'present' AND key NOT IN (
         SELECT key FROM members ORDER BY last_seen DESC LIMIT ${MAX_REMEMBERED_MEMBERS})`,
    ).run();
  }

  /** Looks at how much there is of each author. */
  #count(): void {
    this.#shares.clear();
    Object.assign(this.#total, { lines: 0, bytes: 0 });
    const rows = this.#prepare(
      `SELECT author, count(*) AS lines, sum(length(text) + ${LINE_COST}) AS bytes
       FROM lines JOIN logs ON logs.id = log GROUP BY author`,
    ).all();
    for (const { author, lines, bytes } of rows) {
      this.#add(author as Uint8Array, lines as number, bytes as number);
    }
  }

  #add(author: Uint8Array, lines: number, bytes: number): void {
    const name = author.toHex();
    let share = this.#shares.get(name);
    if (!share) this.#shares.set(name, share = { lines: 0, bytes: 0 });
    for (const each of [share, this.#total]) {
      each.lines += lines;
      each.bytes += bytes;
    }
  }

  #addLine(line: StoredLine): void {
    const log = this.#advance(line);
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
    if (changes > 0) this.#add(line.author, 1, text.length + LINE_COST);
  }

  /** @returns the log's id */
  #advance(log: LogId & Pick<StoredLine, "number" | "to">): number {
    const now = this.#now();
    const id = this.#logId(log, now);
    this.#prepare("UPDATE logs SET position = max(position, ?), changed_at = ? WHERE id = ?")
      .run(log.number, now, id);
    return id;
  }

  #logId(log: LogId & Pick<StoredLine, "to">, now: number): number {
    const { author, instance, channel } = log;
    const recipient = this.#recipientOf(log);
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

  /** Whom a log is to: on channel 1 others' are to us. */
  #recipientOf({ author, channel, to = NOBODY }: LogId & Pick<StoredLine, "to">): Uint8Array {
    if (channel === 0) return NOBODY;
    return equalBytes(author, this.#options.key) ? to : this.#options.key;
  }

  #trim(): void {
    for (let much = this.#tooMuch(); much; much = this.#tooMuch()) {
      this.#dropOldest(Uint8Array.fromHex(much));
    }
  }

  /** Whose lines are to go, if there is too much. */
  #tooMuch(): string | undefined {
    const { lines, bytes } = this.#total;
    if (lines > MAX_LINES) return this.#most("lines");
    const most = this.#most("bytes");
    const tooMuch = bytes > MAX_LINES_BYTES || this.#usedBytes() > MAX_FILE_BYTES ||
      (this.#shares.get(most ?? "")?.bytes ?? 0) > MAX_AUTHOR_BYTES;
    return tooMuch ? most : undefined;
  }

  /** Who has most. */
  #most(of: keyof Share): string | undefined {
    let found: string | undefined;
    let most = 0;
    for (const [author, { [of]: much }] of this.#shares) {
      if (much > most) [found, most] = [author, much];
    }
    return found;
  }

  /** Of the file, without what is free in it. */
  #usedBytes(): number {
    const [all, free, size] = ["page_count", "freelist_count", "page_size"]
      .map((name) => this.#prepare(`PRAGMA ${name}`).get()![name] as number);
    return (all! - free!) * size!;
  }

  #dropOldest(author: Uint8Array): void {
    const rows = this.#prepare(
      `SELECT lines.id AS id, length(text) AS bytes FROM lines JOIN logs ON logs.id = log
       WHERE author = ? ORDER BY lines.id LIMIT ${DROPPED_AT_ONCE}`,
    ).all(author) as { id: number; bytes: number }[];
    for (const { id, bytes } of rows) {
      this.#prepare("DELETE FROM lines WHERE id = ?").run(id);
      this.#add(author, -1, -bytes - LINE_COST);
    }
  }

  #putMember(member: RememberedMember): void {
    this.#prepare(
      `INSERT OR REPLACE INTO members
         (key, signing_key, name, addresses, relay, member_since, last_seen, state)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ).run(
      member.key,
      member.signingKey,
      member.name,
      JSON.stringify(member.addresses),
      member.relay ?? null,
      member.memberSince,
      member.lastSeen,
      member.state,
    );
  }

  #readLines(): StoredLine[] {
    return this.#prepare("SELECT * FROM lines JOIN logs ON logs.id = log ORDER BY lines.id").all()
      .map((row) => ({
        author: row.author as Uint8Array,
        instance: row.instance as Uint8Array,
        channel: row.channel as 0 | 1,
        ...(row.channel === 1 && { to: row.recipient as Uint8Array }),
        number: row.number as number,
        time: row.time as number,
        receivedAt: row.received_at as number,
        name: decodeText(row.name as Uint8Array),
        text: decodeText(row.text as Uint8Array),
        signature: row.signature as Uint8Array,
      }));
  }

  /** Of what we said to one alone others tell how far they have got. */
  #readPositions(): LogPosition[] {
    return this.#prepare("SELECT * FROM logs WHERE NOT (channel = 1 AND author = ?)")
      .all(this.#options.key).map((row) => ({
        author: row.author as Uint8Array,
        instance: row.instance as Uint8Array,
        channel: row.channel as 0 | 1,
        direct: false,
        number: row.position as number,
      }));
  }

  #readMembers(): RememberedMember[] {
    return this.#prepare("SELECT * FROM members ORDER BY last_seen DESC").all().map((row) => ({
      key: row.key as Uint8Array,
      name: row.name as string,
      signingKey: row.signing_key as Uint8Array,
      addresses: JSON.parse(row.addresses as string),
      relay: row.relay as string | null ?? undefined,
      memberSince: row.member_since as number,
      lastSeen: row.last_seen as number,
      state: row.state as RememberedMember["state"],
    }));
  }

  /** Each statement is compiled once. */
  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, statement = this.#database.prepare(sql));
    return statement;
  }
}

async function openFirst(folder: string, options: MeshStoreOptions): Promise<MeshStore> {
  for (const path of meshPaths(folder)) {
    try {
      return await openFile(path, options);
    } catch (cause) {
      if (!isLockedError(cause)) throw meshError(path, cause);
    }
  }
  throw new FileError(`${folder}: ${MAX_MESH_FILES} programs have a file there each already`, {
    hint: "End one of them, and start again.",
  });
}

async function openFile(path: string, options: MeshStoreOptions): Promise<MeshStore> {
  // Loaded here, for only who chats needs it.
  const { DatabaseSync } = await import("node:sqlite");
  await createPrivately(path);
  // Who has it keeps it: there is nothing to wait for.
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    return new MeshStore(path, database, options);
  } catch (error) {
    database.close();
    throw error;
  }
}
