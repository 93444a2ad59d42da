/** The files of what a mesh remembers: where they are, and what is wrong with one in words. */
import { FileError, ProtocolError } from "../../../protocol/errors.ts";
import { databaseState } from "../../database.ts";

/** Programs of one user that have a file each. */
export const MAX_MESH_FILES = 8;

/** The next thing to try where something is wrong. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [/full|space|quota/, "Make space: with the next start it is kept again."],
  [
    /damaged|version|another program's/,
    "Move the file away: with the next start there is a new one.",
  ],
];
const OTHER_HINT =
  "Make the folder and the file yours to read and write, or set XDG_DATA_HOME to a folder that is.";

/** `mesh.db`, `mesh-2.db`, and so on: a program has the first that no other has. */
export function meshPaths(folder: string): string[] {
  return Array.from(
    { length: MAX_MESH_FILES },
    (_, i) => `${folder}/mesh${i === 0 ? "" : `-${i + 1}`}.db`,
  );
}

/** What is held while it is found out which of the files are free. */
export function meshLockPath(folder: string): string {
  return `${folder}/mesh.lock`;
}

/** Any failure on one of them, or the folder, in words. A FileError stays as it is. */
export function meshError(path: string, cause: unknown): FileError {
  if (cause instanceof FileError) return cause;
  // What it holds is not as it was written.
  const damaged = cause instanceof ProtocolError || cause instanceof SyntaxError;
  const state = damaged ? "it is damaged" : databaseState(cause);
  const hint = HINTS.find(([said]) => said.test(state))?.[1] ?? OTHER_HINT;
  return new FileError(`${path}: ${state}`, { cause, hint });
}
