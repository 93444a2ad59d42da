/**
 * The disk: what the rest of `transfer` needs of it, errors in words included. Beside this file
 * only those name Deno that tests/imports_test.ts lists. Calls that
 * take microseconds are synchronous: for ten thousand small files that is several times cheaper
 * than a round through the thread pool for each.
 */
import { accessSync, constants, lutimesSync, statfsSync } from "node:fs";
import { FileError } from "../protocol/errors.ts";
import { PART_SUFFIX } from "./name.ts";

/** What stands at a path, links not followed. */
export type PathKind = "none" | "file" | "directory" | "link" | "other";

const STATES: Record<string, [state: string, hint: string]> = {
  ENOSPC: ["no space left on the disk", "Make space and try again: what has arrived is kept"],
  EDQUOT: ["the disk quota is used up", "Make space and try again: what has arrived is kept"],
  EFBIG: ["the file is too large for this file system", "Choose a folder on another disk"],
  EACCES: ["permission denied", "Check the permissions, or choose another folder"],
  EPERM: ["not permitted", "Check the permissions, or choose another folder"],
  EROFS: ["the file system is read-only", "Choose another folder"],
  ENOENT: ["no such file or folder", "Check the spelling of the path"],
  ENOTDIR: ["not a folder", "Check the spelling of the path"],
  EISDIR: ["it is a folder", "Check the spelling of the path"],
  ENAMETOOLONG: ["the name is too long", "Choose a shorter name"],
  ELOOP: ["a symbolic link stands in the way", "Remove the link and try again"],
  EMFILE: ["too many open files", "Close other programs, or raise the limit with ulimit -n"],
  EIO: ["the disk reports an error", "Check the disk"],
};

/** Deno gives this error no code. */
const FILE_TOO_LARGE = /File too large/i;

/** The system's name of an error: "ENOSPC". */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (typeof code === "string") return code;
  if (error instanceof Deno.errors.NotADirectory) return "ENOTDIR";
  return error instanceof Error && FILE_TOO_LARGE.test(error.message) ? "EFBIG" : undefined;
}

/** One clear FileError for what the system said: "Cannot read /a/b: permission denied". */
export function fileError(action: string, path: string, cause: unknown): FileError {
  if (cause instanceof FileError) return cause;
  if (cause instanceof Deno.errors.NotCapable) {
    return new FileError(`${action} ${path}: the program was not given this permission`, {
      hint: "Start it with --allow-read and --allow-write for this path",
      cause,
    });
  }
  const [state, hint] = inWords(cause);
  return new FileError(`${action} ${path}: ${state}`, { hint, cause });
}

/** What the system said of a file or folder, to stand behind its path. */
export function diskState(cause: unknown): string {
  return inWords(cause)[0];
}

function inWords(cause: unknown): [state: string, hint: string] {
  return STATES[errorCode(cause) ?? ""] ??
    [cause instanceof Error ? cause.message : String(cause), "Try again"];
}

/** Runs a disk operation; what it throws becomes a FileError. */
export function onDisk<T>(action: string, path: string, operation: () => T): T {
  try {
    return operation();
  } catch (cause) {
    throw fileError(action, path, cause);
  }
}

/** As `onDisk`, for what takes time. */
export async function onDiskAsync<T>(
  action: string,
  path: string,
  operation: () => Promise<T>,
): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    throw fileError(action, path, cause);
  }
}

/** What `lstat` says, or undefined if nothing stands there. */
export function statLink(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (cause) {
    const code = errorCode(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw fileError("Cannot look at", path, cause);
  }
}

/** What stands at a path. */
export function kindAt(path: string): PathKind {
  const info = statLink(path);
  if (!info) return "none";
  if (info.isSymlink) return "link";
  if (info.isDirectory) return "directory";
  return info.isFile ? "file" : "other";
}

const OWNER_READS = 0o400;
let knownUser: number | null | undefined;

/**
 * Finds out early whether a file can be read: by opening it, unless it is the user's own and its
 * mode says so, as with nearly all that is sent.
 * @throws what the system says if not
 */
export function checkReadable(path: string, { uid, mode }: Deno.FileInfo): void {
  if (uid === null || uid !== currentUser() || !((mode ?? 0) & OWNER_READS)) {
    Deno.openSync(path).close();
  }
}

function currentUser(): number | null {
  if (knownUser !== undefined) return knownUser;
  try {
    knownUser = Deno.uid();
  } catch {
    knownUser = null;
  }
  return knownUser;
}

/**
 * The folder's path without links.
 * @throws {FileError} if it is missing, not a folder, or cannot be written
 */
export function writableFolder(folder: string): string {
  return onDisk("Cannot write into", folder, () => {
    const path = Deno.realPathSync(folder);
    if (!Deno.statSync(path).isDirectory) throw new Deno.errors.NotADirectory(folder);
    if (!isSurelyWritable(path)) {
      Deno.removeSync(Deno.makeTempFileSync({ dir: path, prefix: ".p2p-", suffix: PART_SUFFIX }));
    }
    return path;
  });
}

/** What Deno knows of it: the mode for owner and others, but neither groups nor access lists. */
function isSurelyWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Bytes that a user may still write, and the bytes that the disk gives out at a time; undefined if
 * unknown.
 */
export function freeSpace(folder: string): { free: number; unit: number } | undefined {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return { free: bavail * bsize, unit: bsize };
  } catch {
    return undefined;
  }
}

/** Makes a directory that is certainly one: whatever else stands there is removed. */
export function makeDirectory(path: string, mode: number): void {
  onDisk("Cannot create the folder", path, () => {
    const kind = kindAt(path);
    if (kind === "directory") return;
    if (kind !== "none") Deno.removeSync(path);
    Deno.mkdirSync(path, { mode });
  });
}

/**
 * Gives a complete file the name `to`, which must be free: never replaces anything.
 * @returns whether the name was free
 */
export function publishFile(from: string, to: string): boolean {
  try {
    Deno.linkSync(from, to);
  } catch (cause) {
    if (errorCode(cause) === "EEXIST") return false;
    return publishWithoutLink(from, to);
  }
  onDisk("Cannot remove", from, () => Deno.removeSync(from));
  return true;
}

/**
 * For file systems that have no hard links: between the look and the rename nothing guards the
 * name.
 */
function publishWithoutLink(from: string, to: string): boolean {
  if (kindAt(to) !== "none") return false;
  onDisk("Cannot create", to, () => Deno.renameSync(from, to));
  return true;
}

/**
 * As `publishFile`, for a directory. The system replaces an empty directory only, which loses
 * nothing.
 */
export function publishDirectory(from: string, to: string): boolean {
  if (kindAt(to) !== "none") return false;
  try {
    Deno.renameSync(from, to);
    return true;
  } catch (cause) {
    if (["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(errorCode(cause) ?? "")) return false;
    throw fileError("Cannot create", to, cause);
  }
}

/** Gives a complete file the name `to`, whatever file or link has it now. */
export function replaceFile(from: string, to: string): void {
  onDisk("Cannot replace", to, () => Deno.renameSync(from, to));
}

/** Removes what stands there, directories with what is in them; nothing there is fine. */
export function removeAll(path: string): void {
  if (kindAt(path) === "none") return;
  onDisk("Cannot remove", path, () => Deno.removeSync(path, { recursive: true }));
}

/** Makes a symbolic link; `to` must be free. */
export function makeLink(target: string, to: string, mtime: number): void {
  onDisk("Cannot create the link", to, () => Deno.symlinkSync(target, to));
  try {
    lutimesSync(to, mtime / 1000, mtime / 1000);
  } catch {
    // A time that the file system cannot hold is not worth a failed transfer.
  }
}

/** Sets a directory's mode (undefined: as it is) and modification time in milliseconds. */
export function finishDirectory(path: string, mode: number | undefined, mtime: number): void {
  if (mode !== undefined && Deno.build.os !== "windows") {
    onDisk("Cannot set the mode of", path, () => Deno.chmodSync(path, mode));
  }
  try {
    Deno.utimeSync(path, mtime / 1000, mtime / 1000);
  } catch {
    // As in makeLink.
  }
}

/** Waits until a file's bytes are on the disk. */
export async function syncFile(file: Deno.FsFile, path: string): Promise<void> {
  await onDiskAsync("Cannot write", path, () => file.sync());
}

/** As `syncFile`, for one that was closed. */
export async function reopenAndSync(path: string): Promise<void> {
  await onDiskAsync("Cannot write", path, async () => {
    using file = await Deno.open(path, { read: true, write: Deno.build.os === "windows" });
    await file.sync();
  });
}

/** Waits until the names in a folder are on the disk. */
export async function syncDirectory(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  await onDiskAsync("Cannot write", path, async () => {
    using folder = await Deno.open(path);
    await folder.sync();
  });
}

let knownMask: number | undefined;

/** The permission bits that the user does not give to new files. */
export function fileMask(): number {
  if (knownMask !== undefined) return knownMask;
  try {
    knownMask = Deno.umask();
  } catch {
    knownMask = 0o022;
  }
  return knownMask;
}
