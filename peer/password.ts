/** The password of a relay, from where no other user of the machine sees it. */
import { FileError } from "../protocol/errors.ts";

/** The variable that holds it where no file is named. */
const VARIABLE = "P2P_RELAY_PASSWORD";

/**
 * The first line of the file, or else what the environment has; undefined if that is nothing.
 * @param file as given with --password-file
 * @throws {FileError} if the file cannot be read, or has no password
 */
export async function readPassword(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return Deno.env.get(VARIABLE)?.trim() || undefined;
  const password = (await readFile(file)).split("\n", 1)[0]!.trim();
  if (password !== "") return password;
  throw new FileError(`Password not read: the first line of ${file} is empty`, {
    hint: "Write the password there, or leave --password-file out.",
  });
}

async function readFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    const state = cause instanceof Error ? cause.message : String(cause);
    throw new FileError(`Password not read: ${state}`, {
      hint: "Check the path behind --password-file, and that you may read the file.",
      cause,
    });
  }
}
