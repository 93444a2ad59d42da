/** The history's file: where it is, and what is wrong with it in words. */
import { FileError } from "../../protocol/errors.ts";
import { databaseState, isLockedError } from "../database.ts";
import { dataFolder } from "../folders.ts";

/** The files that SQLite keeps beside a database while it is open, and after a crash. */
const BESIDE = ["-wal", "-shm", "-journal"];

/**
 * Where it is.
 * @throws {FileError} if the environment does not tell
 */
export function historyPath(): string {
  return `${dataFolder((variable) => Deno.env.get(variable))}/history.db`;
}

/** Whether there is anything by that name. @throws {FileError} if that cannot be told */
export async function historyExists(path: string): Promise<boolean> {
  try {
    return await Deno.lstat(path).catch(ignoreNotFound) !== undefined;
  } catch (cause) {
    throw historyError("History not read", path, cause);
  }
}

/** Removes the database, whatever it is. @throws {FileError} if it cannot be removed */
export async function removeDatabase(path: string): Promise<void> {
  for (const suffix of ["", ...BESIDE]) {
    try {
      await Deno.remove(path + suffix).catch(ignoreNotFound);
    } catch (cause) {
      throw historyError("History not deleted", path + suffix, cause);
    }
  }
}

/** Any failure on the history, in words. A FileError stays as it is. */
export function historyError(action: string, path: string, cause: unknown): FileError {
  if (cause instanceof FileError) return cause;
  return new FileError(`${action}: ${path}: ${databaseState(cause)}`, {
    cause,
    hint: "p2p history --clear deletes it; --no-history, or P2P_NO_HISTORY=1, does without it.",
  });
}

/** Whether it may go better in a moment: another program has it locked. */
export function isLocked(error: unknown): boolean {
  return error instanceof FileError && isLockedError(error.cause);
}

function ignoreNotFound(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
