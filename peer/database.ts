/**
 * What the program's SQLite files have in common: they are their owner's alone, told from those of
 * others, and what is wrong with one is said in words.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { diskState } from "../transfer/files.ts";

/** What a database is for. */
export interface DatabaseKind {
  /** Tells it from those of other programs. */
  readonly applicationId: number;
  readonly version: number;
  /** The statements that make it. */
  readonly schema: string;
}

/** What SQLite says, and what is said to people instead. It has no codes for JavaScript. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/database is locked|database table is locked/, "another program holds it"],
  [/disk is full/, "the disk is full"],
  [/not a database|malformed/, "it is damaged, or not p2p's"],
  [/readonly|unable to open/, "it cannot be written"],
  [/disk I\/O error/, "the disk fails"],
];

/**
 * Makes sure that the file is there, and its owner's alone. Nobody in this process may have it open
 * then: closing it would take SQLite's locks away.
 * @throws {Error} if there is something else by that name, or it cannot be made
 */
export async function createPrivately(path: string): Promise<void> {
  await Deno.mkdir(path.replace(/[\\/][^\\/]*$/, ""), { recursive: true, mode: 0o700 });
  const found = await Deno.stat(path).catch(ignoreNotFound);
  if (found && !found.isFile) {
    throw new Error(found.isDirectory ? "it is a folder" : "it is no file");
  }
  if (found && Deno.build.os !== "windows" && ((found.mode ?? 0) & 0o077) !== 0) {
    await Deno.chmod(path, 0o600);
  } else if (!found) {
    (await Deno.open(path, { write: true, create: true, mode: 0o600 })).close();
  }
}

/**
 * Makes sure that the database is of this kind; makes it so if it is new.
 * @throws {Error} if it is something else
 */
export function adopt(database: DatabaseSync, kind: DatabaseKind): void {
  if (isOf(database, kind)) return;
  transaction(database, () => {
    // Another program may have made it meanwhile.
    if (isOf(database, kind)) return;
    database.exec(kind.schema);
    database.exec(
      `PRAGMA application_id = ${kind.applicationId}; PRAGMA user_version = ${kind.version}`,
    );
  });
}

/** Does the work, all of it or nothing. @throws whatever the work throws */
export function transaction<Result>(database: DatabaseSync, work: () => Result): Result {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    // SQLite has rolled some failures back itself.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/** The statements of a database, each compiled once. */
export class Statements {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, statement = this.#database.prepare(sql));
    return statement;
  }
}

/** What is wrong with a database, to stand behind its path. */
export function databaseState(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : "";
  return WORDS.find(([said]) => said.test(message))?.[1] ?? diskState(cause);
}

/** Whether it was only that another program has the database locked. */
export function isLockedError(cause: unknown): boolean {
  return cause instanceof Error && WORDS[0]![0].test(cause.message);
}

function isOf(database: DatabaseSync, { applicationId, version }: DatabaseKind): boolean {
  const { application_id } = database.prepare("PRAGMA application_id").get()!;
  const { user_version } = database.prepare("PRAGMA user_version").get()!;
  const { tables } = database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()!;
  if (application_id === 0 && user_version === 0 && tables === 0) return false;
  if (application_id === applicationId && user_version === version) return true;
  throw new Error(
    application_id === applicationId
      ? "it was made by a later version of p2p"
      : "it is another program's database",
  );
}

function ignoreNotFound(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
