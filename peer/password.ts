import { FileError, UsageError } from "../protocol/errors.ts";
import { diskState } from "../transfer/files.ts";

/**
 * The password of a relay: the first line of a file, without the spaces around it, else what the
 * environment has; undefined if there is none. A variable that is set to nothing counts as one that
 * is not set.
 * @throws {FileError} if the file cannot be read
 * @throws {UsageError} if there is nothing on its first line
 */
export async function readPassword(
  file: string | undefined,
  variable: (name: string) => string | undefined,
): Promise<string | undefined> {
  if (file !== undefined) return await readFirstLine(file);
  return variable("P2P_RELAY_PASSWORD") || undefined;
}

async function readFirstLine(path: string): Promise<string> {
  const password = (await readText(path)).split("\n", 1)[0]!.trim();
  if (password !== "") return password;
  throw new UsageError(`Password not usable: the first line of ${path} is empty`, {
    hint: "Write the relay's password there, on the first line.",
  });
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new FileError(`Password not read: ${path}: ${diskState(cause)}`, {
      hint: "--password-file names a file that you can read.",
      cause,
    });
  }
}
