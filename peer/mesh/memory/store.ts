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
import { equalBytes } from "../../../protocol/bytes.ts";
import { FileError } from "../../../protocol/errors.ts";
import { MAX_REMEMBERED_MEMBERS, SETTLED_AFTER_MS } from "../../../protocol/limits.ts";
import type { RememberedMember } from "../../../protocol/memberships.ts";
import {
  adopt,
  createPrivately,
  type DatabaseKind,
  isLockedError,
  Statements,
  transaction,
} from "../../database.ts";
import { withFileLock } from "../../file_lock.ts";
import { MAX_MESH_FILES, meshError, meshLockPath, meshPaths } from "./files.ts";
import { LINES_SCHEMA, MeshLines } from "./lines.ts";
import type { MeshBatch, Remembered } from "./memory.ts";

/** Bytes that SQLite's log beside the file has, but while more is written at once. */
const MAX_LOG_FILE_BYTES = 4_194_304;

const SCHEMA = `
  CREATE TABLE owner (key BLOB NOT NULL);
  ${LINES_SCHEMA}
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

/** As `Memberships.remembered` has them: those who stayed a moment only come last. */
const REMEMBERED_ORDER = `last_seen - member_since < ${SETTLED_AFTER_MS}, last_seen DESC`;

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

export class MeshStore implements Disposable {
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #options: MeshStoreOptions;
  readonly #statements: Statements;
  readonly #lines: MeshLines;

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
    this.#statements = new Statements(database);
    this.#options = options;
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA secure_delete = ON");
    adopt(database, MESH_KIND);
    // What was written is there after the program was killed; after a power failure, most of it.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    database.exec(`PRAGMA journal_size_limit = ${MAX_LOG_FILE_BYTES}`);
    transaction(database, () => this.#begin());
    const members = this.#prepare("SELECT key FROM members").all();
    this.#lines = new MeshLines(
      this.#statements,
      options.key,
      members.map(({ key }) => key as Uint8Array),
    );
    this.sweep();
  }

  /**
   * What is left of the time before.
   * @throws {FileError} if it cannot be read
   */
  restore(): Remembered {
    return this.#try(() => ({
      lines: this.#lines.lines(),
      positions: this.#lines.positions(),
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
        for (const member of members) this.#putMember(member);
        if (keepLines) {
          const now = this.#now();
          this.#lines.add(lines, now);
          for (const position of positions) this.#lines.advance(position, now);
          this.#lines.trim(now);
        }
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
        const now = this.#now();
        this.#prepare("UPDATE members SET last_seen = ? WHERE state = 'present'").run(
          now,
        );
        this.#lines.expire(now);
        this.#expireMembers(now);
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

  #prepare(sql: string): StatementSync {
    return this.#statements.prepare(sql);
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
    const owner = this.#prepare("SELECT key FROM owner").get()?.key;
    const another = !(owner instanceof Uint8Array && equalBytes(owner, key));
    if (another) {
      this.#database.exec("DELETE FROM owner; DELETE FROM members");
      this.#prepare("INSERT INTO owner (key) VALUES (?)").run(key);
    }
    if (another || !keepLines) this.#database.exec("DELETE FROM lines; DELETE FROM logs");
    this.#database.exec("UPDATE members SET state = 'lost' WHERE state = 'present'");
  }

  #expireMembers(now: number): void {
    this.#prepare("UPDATE members SET last_seen = ?1 WHERE last_seen > ?1").run(now);
    this.#prepare(
      `DELETE FROM members WHERE state <> 'present' AND key NOT IN (
         SELECT key FROM members ORDER BY ${REMEMBERED_ORDER} LIMIT ${MAX_REMEMBERED_MEMBERS})`,
    ).run();
  }

  #putMember(member: RememberedMember): void {
    this.#lines.met(member.key);
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

  #readMembers(): RememberedMember[] {
    return this.#prepare(`SELECT * FROM members ORDER BY ${REMEMBERED_ORDER}`).all().map((row) => ({
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
