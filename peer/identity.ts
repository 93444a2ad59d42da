import { FileError } from "../protocol/errors.ts";
import { generateKeyPair, type KeyPair, keyPairOf } from "../protocol/noise.ts";
import { decodeKey } from "../protocol/decode_key.ts";
import { fileError } from "./file_error.ts";
import { withFileLock } from "./file_lock.ts";
import { writePrivateFile } from "./private_file.ts";
import { shellWord } from "./shell_word.ts";

/** What a peer is recognised by: its static X25519 key. */
export type Identity = KeyPair;

const firstWord = "p2p-identity-1";
const goodLine = new RegExp(`^${firstWord} (\\S+)\\r?\\n?$`);
/** A good file has 60 bytes: of another, no more than this is read. */
const MAX_FILE_BYTES = 1_024;

/**
 * This user's identity, made on first use: the file `identity` in the folder, which is made too.
 * Processes that start at once end with the same one.
 * @param folder as `configFolder` tells it
 * @throws {FileError} if the file is damaged or others can read it, or it cannot be read or made
 */
export async function loadIdentity(folder: string): Promise<Identity> {
  const path = `${folder}/identity`;
  return await readIdentity(path) ?? await makeIdentity(folder, path);
}

async function makeIdentity(folder: string, path: string): Promise<Identity> {
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    // Under the lock another process may turn out to have been first.
    return await withFileLock(`${path}.lock`, async () => {
      const present = await readIdentity(path);
      if (present !== undefined) return present;
      const identity = generateKeyPair();
      await writePrivateFile(path, `${firstWord} ${identity.privateKey.toBase64()}\n`);
      return identity;
    });
  } catch (cause) {
    throw fileError("Identity not made", path, cause);
  }
}

/** What the file holds, or undefined if there is none. */
async function readIdentity(path: string): Promise<Identity | undefined> {
  try {
    using file = await Deno.open(path);
    checkPrivate(await file.stat(), path);
    return parseIdentity(await readText(file), path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw fileError("Identity not read", path, cause);
  }
}

function checkPrivate(info: Deno.FileInfo, path: string): void {
  // Windows keeps who may read a file elsewhere; the user's own folder is private there.
  if (Deno.build.os === "windows" || info.mode === null || (info.mode & 0o077) === 0) return;
  throw new FileError(`Identity not used: others can read ${path}`, {
    hint: `chmod 600 ${shellWord(path)}`,
  });
}

async function readText(file: Deno.FsFile): Promise<string> {
  const bytes = new Uint8Array(MAX_FILE_BYTES);
  let length = 0;
  for (let count: number | null = 1; count && length < bytes.length; length += count ?? 0) {
    count = await file.read(bytes.subarray(length));
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}

function parseIdentity(text: string, path: string): Identity {
  const privateKey = decodeKey(goodLine.exec(text)?.[1] ?? "");
  if (privateKey === undefined) {
    throw new FileError(`Identity not used: ${path} is damaged or of another version`, {
      hint:
        "Put a copy of it back, or remove it to get a new identity, which peers must then accept anew",
    });
  }
  return keyPairOf(privateKey);
}
