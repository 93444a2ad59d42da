/**
 * Where an unfinished file or directory stands: NAME.p2p-part, and beside it NAME.p2p-state, which
 * says whose it is:
 *
 *     {"version":1,"from":"abcd-…","name":"film.mkv"}
 *
 * Size and time of the source are not in it: whether what is there still fits is decided by the
 * digests of its blocks. The state file is locked while a process writes to the part. A single file
 * below RESUME_BLOCK_BYTES has no state file: it is not worth resuming.
 */
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { encodeText } from "../protocol/bytes.ts";
import { FileError, P2pError } from "../protocol/errors.ts";
import { MAX_PART_BYTES } from "../protocol/limits.ts";
import { RefuseCode } from "../protocol/offer.ts";
import type { ClaimOwner, Claims } from "./claims.ts";
import { otherName } from "./conflict.ts";
import { kindAt, onDisk, removeAll, statLink } from "./files.ts";
import { PART_SUFFIX, STATE_SUFFIX } from "./name.ts";
import { Stop } from "./refusal.ts";

const VERSION = 1;
/** Bytes of a state file that are looked at: a name and a fingerprint fit well. */
const MAX_STATE_BYTES = 4_096;
/** Places to try when others' unfinished files have the same name. */
const MAX_PLACES = 100;

export class Part implements Disposable {
  /** Absolute paths. */
  readonly path: string;
  readonly #statePath: string;
  readonly #name: string;
  readonly #owner: ClaimOwner;
  readonly #claims: Claims;
  #lock: Deno.FsFile | undefined;
  /** Whether what stands there is this sender's, from an earlier try. */
  readonly resumable: boolean;

  private constructor(
    place: { part: string; state: string },
    name: string,
    owner: ClaimOwner,
    claims: Claims,
    resumable: boolean,
  ) {
    this.path = place.part;
    this.#statePath = place.state;
    this.#name = name;
    this.#owner = owner;
    this.#claims = claims;
    this.resumable = resumable;
  }

  /**
   * Claims the place for an item: the one of an earlier try by the same sender, else the first that
   * is free.
   * @throws {Stop} (busy) if the same sender is sending the same already
   */
  static async claim(
    folder: string,
    name: string,
    owner: ClaimOwner,
    claims: Claims,
  ): Promise<Part> {
    for (let n = 0; n < MAX_PLACES; n++) {
      const place = placeOf(folder, name, n);
      const claimed = await claims.claim(place.part, owner);
      if (claimed === "busy") throw busy(name);
      if (claimed === "foreign") continue;
      try {
        const state = readState(place.state);
        const own = state?.from === owner.from && state.name === name;
        const locked = state !== undefined && isLocked(place.state);
        if (own && locked) throw busy(name);
        const resumable = own && kindAt(place.part) !== "none";
        const free = !state || own || (!locked && kindAt(place.part) === "none");
        if (free) return new Part(place, name, owner, claims, resumable);
      } catch (error) {
        claims.release(place.part);
        throw error;
      }
      claims.release(place.part);
    }
    throw new FileError(`Cannot receive ${name}: too many unfinished files of that name`, {
      hint: `Remove files that end in ${PART_SUFFIX} from ${folder}`,
    });
  }

  /**
   * Makes the place known as this sender's, for the next try, and locks it against other processes.
   * @throws {Stop} (busy) if another process has it
   */
  open(): void {
    const lock = openOwn(this.#statePath, 0o600, true);
    if (!lockOrClose(lock, this.#statePath)) throw busy(this.#name);
    this.#lock = lock;
    const state = { version: VERSION, from: this.#owner.from, name: this.#name };
    onDisk("Cannot write", this.#statePath, () => {
      lock.truncateSync(0);
      lock.writeSync(encodeText(`${JSON.stringify(state)}\n`));
    });
  }

  /** Removes the state file: the item has its name, or nothing of it is to be kept. */
  forget(): void {
    removeAll(this.#statePath);
  }

  /** Removes all that was received. */
  discard(): void {
    removeAll(this.path);
    removeAll(this.#statePath);
  }

  /** Lets go of the place; what is there stays. */
  [Symbol.dispose](): void {
    if (this.#lock) unlock(this.#lock);
    this.#lock = undefined;
    this.#claims.release(this.path);
  }
}

/**
 * Opens a file of ours for reading and writing; makes it if it is missing, or anew unless it is to
 * be kept. Never goes through a link, and never touches a file that has another name as well.
 * @throws {FileError} also if something else appears there at the same time
 */
export function openOwn(path: string, mode: number, keep: boolean): Deno.FsFile {
  // For a new file, no look before: among ten thousand small ones it would cost as much as the
  // rest.
  const made = keep ? undefined : tryCreate(path, mode);
  if (made) return made;
  const info = statLink(path);
  if (!info || !keep || !info.isFile || (info.nlink ?? 1) > 1) {
    if (info) removeAll(path);
    return onDisk("Cannot create", path, () => create(path, mode));
  }
  const file = onDisk("Cannot open", path, () => Deno.openSync(path, { read: true, write: true }));
  if (isSameFile(file.statSync(), info)) return file;
  file.close();
  throw new FileError(`Cannot open ${path}: something else was put in its place`, {
    hint: "Choose a folder that only you can write to",
  });
}

function create(path: string, mode: number): Deno.FsFile {
  return Deno.openSync(path, { read: true, write: true, createNew: true, mode });
}

/** The new file, or undefined if something has its name. */
function tryCreate(path: string, mode: number): Deno.FsFile | undefined {
  return onDisk("Cannot create", path, () => {
    try {
      return create(path, mode);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return undefined;
      throw error;
    }
  });
}

/** Whether both describe the same file of the disk. */
export function isSameFile(a: Deno.FileInfo, b: Deno.FileInfo): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.isFile && b.isFile;
}

/** Names that would be too long with our endings are cut and told apart by a digest. */
function placeOf(folder: string, name: string, n: number): { part: string; state: string } {
  const path = otherName(join(folder, name), n, true);
  let base = basename(path);
  if (encodeText(base + STATE_SUFFIX).length > MAX_PART_BYTES) {
    const digest = createHash("sha256").update(base).digest("hex").slice(0, 16);
    base = `${base.slice(0, 48).toWellFormed()}~${digest}`;
  }
  return { part: join(folder, base + PART_SUFFIX), state: join(folder, base + STATE_SUFFIX) };
}

function readState(path: string): { from: string; name: string } | undefined {
  if (kindAt(path) !== "file") return undefined;
  try {
    using file = Deno.openSync(path);
    const bytes = new Uint8Array(MAX_STATE_BYTES);
    const length = file.readSync(bytes) ?? 0;
    const state = JSON.parse(new TextDecoder().decode(bytes.subarray(0, length)));
    const { version, from, name } = state ?? {};
    const known = version === VERSION && typeof from === "string" && typeof name === "string";
    return known ? { from, name } : undefined;
  } catch {
    // Not a state file that we wrote to its end: the part is nobody's.
    return undefined;
  }
}

function isLocked(path: string): boolean {
  const file = onDisk("Cannot open", path, () => Deno.openSync(path, { read: true, write: true }));
  if (!lockOrClose(file, path)) return true;
  unlock(file);
  return false;
}

/** Whether a file could be locked; if not, it is closed. */
function lockOrClose(file: Deno.FsFile, path: string): boolean {
  let locked = false;
  try {
    locked = onDisk("Cannot lock", path, () => file.tryLockSync(true));
  } finally {
    if (!locked) file.close();
  }
  return locked;
}

/**
 * Unlocks a file and closes it. Closing alone is not enough: a process that is just being started
 * has the file open, too, for a moment, and keeps the lock for so long.
 */
function unlock(file: Deno.FsFile): void {
  try {
    file.unlockSync();
  } finally {
    file.close();
  }
}

function busy(name: string): Stop {
  const error = new P2pError(`Cannot receive ${name}: it is being received already`, {
    hint: "Wait until the other transfer has ended",
  });
  return new Stop(RefuseCode.busy, error, name);
}
