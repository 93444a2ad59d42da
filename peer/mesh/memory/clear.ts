/** Deletes what a mesh remembers, with the history of the same people. */
import { statLink } from "../../../transfer/files.ts";
import { removeDatabase } from "../../history/file.ts";
import { adopt, isLockedError, transaction } from "../../database.ts";
import { withFileLock } from "../../file_lock.ts";
import { meshError, meshLockPath, meshPaths } from "./files.ts";
import { MESH_KIND } from "./store.ts";

/**
 * Deletes what is of people with one of these keys, or all: but for what a program has that runs.
 * @returns whether there is one that does
 * @throws {FileError} if a file can neither be read nor removed
 */
export async function clearMesh(folder: string, keys?: readonly Uint8Array[]): Promise<boolean> {
  const paths = meshPaths(folder).filter(exists);
  if (paths.length === 0) return false;
  try {
    return await withFileLock(meshLockPath(folder), async () => {
      let held = false;
      for (const path of paths) held = !await clearFile(path, keys) || held;
      return held;
    });
  } catch (cause) {
    throw meshError(folder, cause);
  }
}

function exists(path: string): boolean {
  return statLink(path) !== undefined;
}

/** @returns false if a program has it */
async function clearFile(path: string, keys?: readonly Uint8Array[]): Promise<boolean> {
  try {
    await forget(path, keys);
  } catch (cause) {
    if (isLockedError(cause)) return false;
    // What cannot be read can still be removed.
    if (keys) throw meshError(path, cause);
  }
  if (!keys) await removeDatabase(path);
  return true;
}

async function forget(path: string, keys: readonly Uint8Array[] = []): Promise<void> {
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA secure_delete = ON");
    adopt(database, MESH_KIND);
    const statements = [
      `DELETE FROM lines WHERE log IN (SELECT id FROM logs WHERE author = ?1 OR recipient = ?1)`,
      "DELETE FROM members WHERE key = ?1",
    ].map((sql) => database.prepare(sql));
    transaction(database, () => {
      for (const key of keys) for (const statement of statements) statement.run(key);
    });
  } finally {
    database.close();
  }
}
