/**
 * Writes the bodies of files, one after the other. Small files are written at once; of large ones
 * the pieces are gathered into slabs that the thread pool writes, so that the disk works while the
 * next bytes are decrypted.
 */
import { DISK_BYTES } from "../protocol/limits.ts";
import { fileError, onDisk } from "./files.ts";

/** Slabs that may be filled or wait for the disk. */
const MAX_DISK_SLABS = 4;
/**
 * Bytes after which the disk is asked to begin with what it holds back, so that the final wait is
 * short.
 */
const SYNC_EVERY_BYTES = 64 * 1_048_576;

export class PartWriter {
  #file: Deno.FsFile | undefined;
  /** For messages. */
  #path = "";
  #slab = new Uint8Array(DISK_BYTES);
  #filled = 0;
  readonly #free: Uint8Array<ArrayBuffer>[] = [];
  /** Writes under way, in order. None rejects; each yields its slab. */
  readonly #writes: Promise<Uint8Array<ArrayBuffer>>[] = [];
  #syncing: Promise<void> | undefined;
  #unsynced = 0;
  #failure: { error: unknown } | undefined;

  /** Begins a file, whose position is where the first byte goes. `path` is for messages. */
  begin(file: Deno.FsFile, path: string): void {
    this.#file = file;
    this.#path = path;
    this.#filled = 0;
    this.#unsynced = 0;
  }

  /** Takes the next bytes; resolves when more may come. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length;) {
      const count = Math.min(bytes.length - offset, DISK_BYTES - this.#filled);
      this.#slab.set(bytes.subarray(offset, offset + count), this.#filled);
      this.#filled += count;
      offset += count;
      if (this.#filled === DISK_BYTES) await this.#handOff();
    }
  }

  /** Writes what is left; resolves when the system has all of it. The file stays open. */
  async end(): Promise<void> {
    await this.settled();
    if (this.#failure) throw this.#failure.error;
    const rest = this.#slab.subarray(0, this.#filled);
    onDisk("Cannot write", this.#path, () => writeAllSync(this.#file!, rest));
    this.#filled = 0;
  }

  /** Waits until nothing is under way any more, whatever came of it. */
  async settled(): Promise<void> {
    while (this.#writes.length > 0) this.#free.push(await this.#writes.shift()!);
    await this.#syncing;
  }

  async #handOff(): Promise<void> {
    const before = this.#writes.at(-1);
    this.#writes.push(this.#writeSlab(before, this.#file!, this.#path, this.#slab));
    this.#filled = 0;
    this.#slab = this.#free.pop() ??
      (this.#writes.length < MAX_DISK_SLABS
        ? new Uint8Array(DISK_BYTES)
        : await this.#writes.shift()!);
    if (this.#failure) throw this.#failure.error;
  }

  async #writeSlab(
    before: Promise<unknown> | undefined,
    file: Deno.FsFile,
    path: string,
    slab: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer>> {
    await before;
    if (this.#failure) return slab;
    try {
      for (let at = 0; at < slab.length;) at += await file.write(slab.subarray(at));
      this.#syncSometimes(file, path);
    } catch (cause) {
      this.#failure ??= { error: fileError("Cannot write", path, cause) };
    }
    return slab;
  }

  #syncSometimes(file: Deno.FsFile, path: string): void {
    this.#unsynced += DISK_BYTES;
    if (this.#unsynced < SYNC_EVERY_BYTES || this.#syncing) return;
    this.#unsynced = 0;
    this.#syncing = file.syncData()
      .catch((cause) => {
        this.#failure ??= { error: fileError("Cannot write", path, cause) };
      })
      .finally(() => this.#syncing = undefined);
  }
}

function writeAllSync(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
