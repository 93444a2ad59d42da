/**
 * The database of the history: what stands in `history.db`, and how it is kept small. Several
 * programs may have it open at once; each call is one transaction. All of it is synchronous, as
 * SQLite is: a call takes microseconds, or `timeoutMs` where another program holds the lock.
 *
 *     peers    a key, and how much of the history is its (`cost`)
 *     entries  a line or file
 *     parties  which entries are whose, and what they went by then
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { decodeText, encodeText } from "../../protocol/bytes.ts";
import type { HistoryEntry, Party } from "./entry.ts";
import { adopt, createPrivately, type DatabaseKind, Statements, transaction } from "../database.ts";
import { historyError } from "./file.ts";

/** What an entry costs besides its text, about: rows, indexes. */
const ENTRY_COST = 200;
/** What may be written before it is looked at whether there is too much. */
const CHECK_EVERY = 262_144;
/** Entries that are dropped at a time. */
const DROPPED_AT_ONCE = 256;

const SCHEMA = `
  CREATE TABLE peers (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, cost INTEGER NOT NULL);
  CREATE INDEX peers_by_cost ON peers (cost);
  CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    private INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    file_bytes INTEGER,
    speaker TEXT NOT NULL,
    text TEXT NOT NULL
  );
  CREATE TABLE parties (
    peer INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (peer, entry)
  ) WITHOUT ROWID;
  CREATE INDEX parties_by_entry ON parties (entry);
`;

/** "p2ph" */
const KIND: DatabaseKind = { applicationId: 0x70327068, version: 1, schema: SCHEMA };

export interface StoreOptions {
  /** Milliseconds that a call waits for another program. */
  timeoutMs: number;
  /** Bytes, about, that the database may have; see `append`. */
  maxBytes: number;
}

/** Which entries. */
export interface HistoryQuery {
  /** Those of people with one of these keys; undefined: all. */
  keys?: readonly Uint8Array[] | undefined;
  /** Milliseconds since 1970. */
  since?: number | undefined;
  /** The last ones only. */
  last?: number | undefined;
}

/** A peer, and what its new entries cost. */
interface Share {
  readonly id: number;
  cost: number;
}

export class HistoryStore implements Disposable {
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #maxBytes: number;
  readonly #statements: Statements;
  #unchecked = CHECK_EVERY;

  /**
   * Opens the database; makes it, readable by its owner alone, if it is not there.
   * @throws {FileError} if it cannot be used; its `cause` tells whether it is only locked
   */
  static async open(path: string, options: StoreOptions): Promise<HistoryStore> {
    // Loaded here, for only who chats needs it.
    const { DatabaseSync } = await import("node:sqlite");
    let database: DatabaseSync | undefined;
    try {
      await createPrivately(path);
      database = new DatabaseSync(path, { timeout: options.timeoutMs });
      return new HistoryStore(path, database, options);
    } catch (cause) {
      database?.close();
      throw historyError("History not opened", path, cause);
    }
  }

  private constructor(path: string, database: DatabaseSync, options: StoreOptions) {
    this.path = path;
    this.#database = database;
    this.#statements = new Statements(database);
    this.#maxBytes = options.maxBytes;
    // Deleted text is not to be found in the file any more.
    database.exec("PRAGMA secure_delete = ON");
    adopt(database, KIND);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  }

  /** How long each call waits for another program from now on. */
  set timeoutMs(ms: number) {
    this.#database.exec(`PRAGMA busy_timeout = ${ms}`);
  }

  /**
   * Adds entries, all or none. If there is too much then, the oldest of whoever has most go: so
   * that a peer who floods loses what is its own.
   * @throws {FileError} if it cannot be written
   */
  append(entries: readonly HistoryEntry[]): void {
    this.#transaction("History not written", () => {
      const costs = new Map<string, Share>();
      for (const entry of entries) this.#add(entry, costs);
      for (const { id, cost } of costs.values()) {
        this.#prepare("UPDATE peers SET cost = cost + ? WHERE id = ?").run(cost, id);
        this.#unchecked += cost;
      }
      if (this.#unchecked >= CHECK_EVERY) this.#trim();
    });
  }

  /**
   * The entries that are asked for, oldest first, as they are taken.
   * @throws {FileError} if it cannot be read
   */
  *read({ keys, since = 0, last }: HistoryQuery): Generator<HistoryEntry> {
    try {
      const theirs = keys === undefined ? "" : `AND id IN (
        SELECT entry FROM parties WHERE peer IN (
          SELECT id FROM peers WHERE hex(key) IN (SELECT value FROM json_each(?))))`;
      const rows = this.#prepare(
        `SELECT id FROM entries WHERE time >= ? ${theirs} ORDER BY id DESC LIMIT ?`,
      ).all(since, ...(keys ? [namesOf(keys)] : []), last ?? -1);
      for (const { id } of rows.reverse()) {
        const entry = this.#entry(id as number);
        if (entry) yield entry;
      }
    } catch (cause) {
      throw historyError("History not read", this.path, cause);
    }
  }

  /**
   * The keys of all who ever went by this name.
   * @throws {FileError} if it cannot be read
   */
  keysOf(name: string): Uint8Array[] {
    return this.#keys(
      "SELECT key FROM peers WHERE id IN (SELECT peer FROM parties WHERE name = ?)",
      name,
    );
  }

  /** Everybody's keys. @throws {FileError} if it cannot be read */
  allKeys(): Uint8Array[] {
    return this.#keys("SELECT key FROM peers");
  }

  /**
   * Deletes what is of people with one of these keys, or all. What was said to several is there for
   * the others yet.
   * @returns how many entries are gone
   * @throws {FileError} if it cannot be written
   */
  clear(keys?: readonly Uint8Array[]): number {
    const cleared = this.#transaction("History not deleted", () => {
      const before = this.#count();
      for (const key of keys ?? this.allKeys()) this.#forget(key);
      return before - this.#count();
    });
    this.#shrink();
    return cleared;
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #transaction<Result>(action: string, work: () => Result): Result {
    try {
      return transaction(this.#database, work);
    } catch (cause) {
      throw historyError(action, this.path, cause);
    }
  }

  /** @param costs what the entries of one transaction cost, by key: written at its end */
  #add(entry: HistoryEntry, costs: Map<string, Share>): void {
    const { time, sent, private: only, from, with: parties, text, fileBytes } = entry;
    const bytes = encodeText(text);
    const cost = ENTRY_COST + bytes.length;
    // node:sqlite reads a string to its first NUL only.
    const kept = text.includes("\0") ? bytes : text;
    const { lastInsertRowid: id } = this.#prepare(
      `INSERT INTO entries (time, sent, private, cost, file_bytes, speaker, text)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    ).run(time, Number(sent), Number(only), cost, fileBytes ?? null, from, kept);
    for (const { key, name } of distinct(parties)) {
      const share = this.#shareOf(key, costs);
      share.cost += cost;
      this.#prepare("INSERT OR IGNORE INTO parties (peer, entry, name) VALUES (?, ?, ?)")
        .run(share.id, id, name);
    }
  }

  #shareOf(key: Uint8Array, costs: Map<string, Share>): Share {
    const name = key.toHex();
    let share = costs.get(name);
    if (share) return share;
    const { id } = this.#prepare(
      `INSERT INTO peers (key, cost) VALUES (?, 0)
       ON CONFLICT (key) DO UPDATE SET cost = cost RETURNING id`,
    ).get(key)!;
    share = { id: id as number, cost: 0 };
    costs.set(name, share);
    return share;
  }

  /** Drops what is too much, and a little more, so that it need not be done at once again. */
  #trim(): void {
    this.#unchecked = 0;
    let { total } = this.#prepare("SELECT total(cost) AS total FROM peers").get() as {
      total: number;
    };
    if (total <= this.#maxBytes) return;
    const goal = this.#maxBytes - this.#maxBytes / 64;
    while (total > goal) {
      const biggest = this.#prepare("SELECT id FROM peers ORDER BY cost DESC LIMIT 1").get();
      const dropped = biggest ? this.#drop(biggest.id as number, total - goal) : 0;
      if (dropped === 0) return;
      total -= dropped;
    }
  }

  /**
   * Drops some of a peer's oldest entries, no more than are needed for `enough`.
   * @returns what they cost
   */
  #drop(peer: number, enough = Infinity): number {
    const rows = this.#prepare(
      `SELECT entry, cost FROM parties JOIN entries ON id = entry
       WHERE peer = ? ORDER BY entry LIMIT ${DROPPED_AT_ONCE}`,
    ).all(peer) as { entry: number; cost: number }[];
    let cost = 0;
    for (const row of rows) {
      if (cost >= enough) break;
      cost += row.cost;
      const { entry } = row;
      this.#prepare("DELETE FROM parties WHERE peer = ? AND entry = ?").run(peer, entry);
      this.#prepare(
        "DELETE FROM entries WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM parties WHERE entry = ?1)",
      ).run(entry);
    }
    this.#prepare("UPDATE peers SET cost = cost - ? WHERE id = ?").run(cost, peer);
    this.#prepare("DELETE FROM peers WHERE id = ? AND cost <= 0").run(peer);
    return cost;
  }

  #forget(key: Uint8Array): void {
    const peer = this.#prepare("SELECT id FROM peers WHERE key = ?").get(key);
    while (peer && this.#drop(peer.id as number) > 0);
  }

  #count(): number {
    return this.#prepare("SELECT count(*) AS entries FROM entries").get()!.entries as number;
  }

  /** The file gives its room back, unless another program is at it. */
  #shrink(): void {
    try {
      this.#database.exec("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // What was deleted is overwritten in any case; the room is used again.
    }
  }

  #keys(sql: string, ...values: string[]): Uint8Array[] {
    try {
      return this.#prepare(sql).all(...values).map(({ key }) => key as Uint8Array);
    } catch (cause) {
      throw historyError("History not read", this.path, cause);
    }
  }

  /** Undefined if it has been deleted meanwhile. */
  #entry(id: number): HistoryEntry | undefined {
    const row = this.#prepare("SELECT * FROM entries WHERE id = ?").get(id);
    if (!row) return undefined;
    const parties = this.#prepare(
      "SELECT key, name FROM parties JOIN peers ON id = peer WHERE entry = ? ORDER BY name",
    ).all(id) as unknown as Party[];
    return {
      time: row.time as number,
      sent: row.sent === 1,
      private: row.private === 1,
      from: row.speaker as string,
      with: parties.map(({ key, name }) => ({ key, name })),
      text: row.text instanceof Uint8Array ? decodeText(row.text) : row.text as string,
      fileBytes: row.file_bytes as number | null ?? undefined,
    };
  }

  #prepare(sql: string): StatementSync {
    return this.#statements.prepare(sql);
  }
}

/** Each key once. */
function distinct(parties: readonly Party[]): Iterable<Party> {
  return new Map(parties.map((party) => [party.key.toHex(), party])).values();
}

/** Keys as SQLite's `hex` writes them, in a list of JSON. */
function namesOf(keys: readonly Uint8Array[]): string {
  return JSON.stringify(keys.map((key) => key.toHex().toUpperCase()));
}
