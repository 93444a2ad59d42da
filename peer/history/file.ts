/** The history's file: where it is, who may read it, and what is wrong with it in words. */
import { FileError } from "../../protocol/errors.ts";
import { diskState } from "../../transfer/files.ts";
import { dataFolder } from "../folders.ts";

/** The files that SQLite keeps beside a database while it is open, and after a crash. */
const BESIDE = ["-wal", "-shm", "-journal"];

/** What SQLite says, and what is said to people instead. It has no codes for JavaScript. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/database is locked|database table is locked/, "another program holds it"],
  [/disk is full/, "the disk is full"],
  [/not a database|malformed/, "it is damaged, or no history"],
  [/readonly|unable to open/, "it cannot be written"],
  [/disk I\/O error/, "the disk fails"],
];

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

/**
 * Makes sure that the file is there, and its owner's alone. Nobody in this process may have it open
 * then: closing it would take SQLite's locks away.
 * @throws {FileError} if there is something else by that name
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
  return new FileError(`${action}: ${path}: ${stateOf(cause)}`, {
    cause,
    hint: "p2p history --clear deletes it; --no-history, or P2P_NO_HISTORY=1, does without it.",
  });
}

/** Whether it may go better in a moment: another program has it locked. */
export function isLocked(error: unknown): boolean {
  return error instanceof FileError && error.cause instanceof Error &&
    WORDS[0]![0].test(error.cause.message);
}

function stateOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : "";
  return WORDS.find(([said]) => said.test(message))?.[1] ?? diskState(cause);
}

function ignoreNotFound(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
