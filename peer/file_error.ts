import { FileError } from "../protocol/errors.ts";
import { diskState } from "../transfer/files.ts";

/** A failure on a file of the user's own settings, in words. A FileError stays as it is. */
export function fileError(action: string, path: string, cause: unknown): FileError {
  if (cause instanceof FileError) return cause;
  return new FileError(`${action}: ${path}: ${diskState(cause)}`, {
    cause,
    hint:
      "Make the file and its folder yours to read and write, or set XDG_CONFIG_HOME to a folder that is",
  });
}
