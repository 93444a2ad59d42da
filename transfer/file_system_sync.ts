/**
 * Makes everything durable that was written to a file system, with one call: syncfs(2). Ten
 * thousand calls of fsync(2), one for each small file, cost as much as all the rest of a transfer;
 * syncfs writes the same with one commit of the journal. Deno does not have it, so `sync -f` is
 * run, for many files at a time.
 *
 * It must promise no less than fsync does, so it is asked only where it is known to:
 *
 * - Linux from 5.8 on. Before, syncfs told nobody that bytes could not be written.
 * - The sync of GNU coreutils. Those of busybox and of uutils drop what syncfs returns.
 * - ext2, ext3, ext4, XFS and btrfs, which flush the disk's own cache, too, and report what could
 *   not be written. FUSE does not pass syncfs on to most of its servers, and overlayfs not the
 *   errors of what lies below it.
 *
 * Everywhere else, and if it fails or is not done in time, the answer is false, and the files are
 * synced one by one, which also finds the one that could not be written. A failed write that the
 * system began by itself, before `sync` was started, is reported to the first who asks: if another
 * program calls syncfs between the two, only that one hears of it. That takes a disk that fails
 * within the seconds in which a batch is gathered (SYNC_BATCH_MS).
 */
import { statfsSync } from "node:fs";
import { SYNC_DEADLINE_MS } from "../protocol/limits.ts";

/** By its whole path: nothing that stands in PATH is run. The first line of main.ts names it, too. */
const PROGRAM = "/usr/bin/sync";
const GNU = /^sync \(GNU coreutils\)/;
/** The first Linux whose syncfs reports failed writes. */
const LEAST_LINUX = [5, 8] as const;
/** What statfs(2) calls ext2 to ext4, XFS and btrfs. */
const FILE_SYSTEMS: ReadonlySet<number> = new Set([0xef53, 0x58465342, 0x9123683e]);

/** Runs the program with these arguments. Resolves to what it said if it succeeded, else rejects. */
export type RunSync = (args: string[], signal: AbortSignal) => Promise<string>;

export interface FileSystemSyncOptions {
  run?: RunSync;
  /** Which file system a folder is on: its device, and its sort as statfs(2) names it. */
  look?: (folder: string) => { device: number; type: number };
  /** Milliseconds until it is given up. */
  deadlineMs?: number;
}

export class FileSystemSync {
  readonly #run: RunSync;
  readonly #look: (folder: string) => { device: number; type: number };
  readonly #deadlineMs: number;
  #program: Promise<boolean> | undefined;

  /** @param options for tests */
  constructor(options: FileSystemSyncOptions = {}) {
    this.#run = options.run ?? runSync;
    this.#look = options.look ?? lookAt;
    this.#deadlineMs = options.deadlineMs ?? SYNC_DEADLINE_MS;
  }

  /** Whether files in this folder can be synced so. */
  async serves(folder: string): Promise<boolean> {
    try {
      if (!FILE_SYSTEMS.has(this.#look(folder).type)) return false;
    } catch {
      return false;
    }
    return await (this.#program ??= this.#isKnown());
  }

  /**
   * Makes everything durable that was written to the file systems on which these folders are.
   * @returns false if that is not certain of all of them; never throws
   */
  async sync(folders: Iterable<string>): Promise<boolean> {
    try {
      const byDevice = new Map<number, string>();
      for (const folder of folders) byDevice.set(this.#look(folder).device, folder);
      for (const folder of byDevice.values()) {
        if (!await this.serves(folder)) return false;
        await this.#inTime(["-f", "--", folder]);
      }
      return true;
    } catch {
      return false;
    }
  }

  async #isKnown(): Promise<boolean> {
    try {
      return GNU.test(await this.#inTime(["--version"]));
    } catch {
      return false;
    }
  }

  async #inTime(args: string[]): Promise<string> {
    const late = new AbortController();
    const { promise: expired, reject } = Promise.withResolvers<never>();
    // A process that waits for the disk does not end before the disk answers: not waited for.
    const timer = setTimeout(() => {
      late.abort();
      reject(new Error("sync: not done in time"));
    }, this.#deadlineMs);
    try {
      return await Promise.race([this.#run(args, late.signal), expired]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function lookAt(folder: string): { device: number; type: number } {
  return { device: Deno.statSync(folder).dev, type: statfsSync(folder).type };
}

async function runSync(args: string[], signal: AbortSignal): Promise<string> {
  if (!await mayRun()) throw new Error("sync: not to be had here");
  // Its environment is none of its business: ours may hold a relay's password.
  const child = new Deno.Command(PROGRAM, {
    args,
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
    signal,
  }).spawn();
  child.unref();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("sync: failed");
  return new TextDecoder().decode(stdout);
}

/** Asks before, for Deno would ask the user for a permission that was not given. */
async function mayRun(): Promise<boolean> {
  if (Deno.build.os !== "linux" || !isLinuxFrom(Deno.osRelease(), LEAST_LINUX)) return false;
  const { state } = await Deno.permissions.query({ name: "run", command: PROGRAM });
  return state === "granted";
}

/** Whether a release of Linux, "6.1.0-18-amd64", is this version or a later one. */
export function isLinuxFrom(release: string, [major, minor]: readonly [number, number]): boolean {
  const [a = 0, b = 0] = release.split(".").map((part) => Number.parseInt(part));
  return a > major || (a === major && b >= minor);
}
