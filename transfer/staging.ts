/** What staged files and directories have in common: opening, sealing, checking, and giving names. */
import { join } from "node:path";
import { FileError } from "../protocol/errors.ts";
import { type Entry, EntryKind } from "../protocol/offer.ts";
import { otherName } from "./conflict.ts";
import {
  fileMask,
  kindAt,
  makeLink,
  onDisk,
  publishFile,
  removeAll,
  replaceFile,
  statLink,
} from "./files.ts";
import { isSameFile, openOwn } from "./part.ts";

/** Free names that are tried: "film (1).mkv" and so on. */
export const MAX_NAMES = 10_000;
export const STAGED_FILE_MODE = 0o600;

/** The file that an entry's bytes are written to. */
export type StagedFile = Deno.FsFile;

/** Bytes of a staged file that may be resumed. */
export function sizeAtHand(path: string, entry: Entry): number {
  const info = statLink(path);
  if (!info?.isFile || (info.nlink ?? 1) > 1) return 0;
  return Math.min(info.size, entry.size ?? 0);
}

/**
 * The staged file of an entry, standing at `offset` and cut there.
 * @param keep whether what an earlier try left may stay
 */
export function openStaged(path: string, entry: Entry, offset: number, keep: boolean): StagedFile {
  const file = openOwn(path, finalMode(entry) | STAGED_FILE_MODE, keep && offset > 0);
  if (offset === 0) return file;
  try {
    onDisk("Cannot write", path, () => {
      file.truncateSync(offset);
      file.seekSync(offset, Deno.SeekMode.Start);
    });
  } catch (error) {
    file.close();
    throw error;
  }
  return file;
}

function finalMode(entry: Entry): number {
  return (entry.mode || 0o666) & ~fileMask();
}

/**
 * Gives a complete file its modification time and mode. `kept`: it may have been made by an earlier
 * try.
 */
export function sealFile(file: StagedFile, path: string, entry: Entry, kept: boolean): void {
  try {
    file.utimeSync(entry.mtime / 1000, entry.mtime / 1000);
  } catch {
    // A time that the file system cannot hold is not worth a failed transfer.
  }
  // A new file got its mode when it was made; one that its owner may not write, or of an earlier
  // try, has still to get it.
  if (!kept && (finalMode(entry) & STAGED_FILE_MODE) === STAGED_FILE_MODE) return;
  const mode = file.statSync().mode;
  if (mode === null || (mode & 0o777) === finalMode(entry)) return;
  const info = statLink(path);
  if (!info || !isSameFile(info, file.statSync())) throw meddled(path);
  onDisk("Cannot set the mode of", path, () => Deno.chmodSync(path, finalMode(entry)));
}

/**
 * Whether every directory from `root` down to the one that holds `rest` is a directory, and no
 * link.
 */
export function isSafeBelow(root: string, rest: string): boolean {
  if (kindAt(root) !== "directory") return false;
  for (let slash = rest.indexOf("/"); slash >= 0; slash = rest.indexOf("/", slash + 1)) {
    if (kindAt(join(root, rest.slice(0, slash))) !== "directory") return false;
  }
  return true;
}

/**
 * Removes what is in a staged directory and not among the paths, or not of their kind. Links are
 * made anew.
 */
export function prune(folder: string, kinds: ReadonlyMap<string, EntryKind>): void {
  const children = onDisk("Cannot read", folder, () => [...Deno.readDirSync(folder)]);
  for (const child of children) {
    const path = join(folder, child.name);
    const kind = kinds.get(path);
    if (child.isDirectory && kind === EntryKind.directory) prune(path, kinds);
    else if (!child.isFile || kind !== EntryKind.file) removeAll(path);
  }
}

/** Gives a staged file its name, or the first other one that is free. @returns the path it got */
export function publish(from: string, to: string, replace: boolean): string {
  if (replace) {
    replaceFile(from, to);
    return to;
  }
  for (let n = 0; n < MAX_NAMES; n++) {
    const path = otherName(to, n, false);
    if (publishFile(from, path)) return path;
  }
  throw noName(to);
}

/** Makes a link under its name, or the first other one that is free. */
export function publishLink(target: string, to: string, mtime: number, replace: boolean): void {
  if (replace && kindAt(to) !== "directory") removeAll(to);
  for (let n = 0; n < MAX_NAMES; n++) {
    const path = otherName(to, n, false);
    if (kindAt(path) !== "none") continue;
    makeLink(target, path, mtime);
    return;
  }
  throw noName(to);
}

/** What to throw where every name is taken. */
export function noName(path: string): FileError {
  return new FileError(`Cannot create ${path}: this name and ${MAX_NAMES} others are taken`, {
    hint: "Choose another folder",
  });
}

/** What to throw where something else stands in the place of what was staged. */
export function meddled(path: string): FileError {
  return new FileError(`Cannot go on with ${path}: something else was put in its place`, {
    hint: "Choose a folder that only you can write to",
  });
}
