/**
 * Writes the bodies of files, one after the other. Small pieces are gathered into slabs; large ones
 * are written as they come, while the disk takes them at once. Where it makes us wait, the thread
 * pool writes slabs, so that all else goes on meanwhile.
 */
import { DISK_BYTES } from "../protocol/limits.ts";
import { fileError, onDisk } from "./files.ts";
import { Promptness } from "./promptness.ts";

/** Pieces of at least so many bytes are worth a write of their own. */
const LARGE_PIECE_BYTES = 32_768;

/** Slabs that may be filled or wait for the disk. */
const MAX_DISK_SLABS = 4;
/**
 * Bytes after which the disk is asked to begin with what it holds back, so that the final wait is
 * short.
 */
const SYNC_EVERY_BYTES = 16 * 1_048_576;

export class PartWriter {
  #file: Deno.FsFile | undefined;
  /** For messages. */
  #path = "";
  #slab = new Uint8Array(DISK_BYTES);
  #filled = 0;
  readonly #promptness: Promptness;
  readonly #free: Uint8Array<ArrayBuffer>[] = [];
  /** Writes under way, in order. None rejects; each yields its slab. */
  readonly #writes: Promise<Uint8Array<ArrayBuffer>>[] = [];
  #syncing: Promise<void> | undefined;
  #unsynced = 0;
  #failure: { error: unknown } | undefined;

  constructor(promptness: Promptness = new Promptness()) {
    this.#promptness = promptness;
  }

  /** Begins a file, whose position is where the first byte goes. `path` is for messages. */
  begin(file: Deno.FsFile, path: string): void {
    this.#file = file;
    this.#path = path;
    this.#filled = 0;
    this.#unsynced = 0;
  }

  /** Takes the next bytes; resolves when more may come. */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length >= LARGE_PIECE_BYTES && this.#promptness.mayBlock()) {
      return await this.#writeAtOnce(bytes);
    }
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
    this.#writeFilled();
  }

  /** Waits until nothing is under way any more, whatever came of it. */
  async settled(): Promise<void> {
    await this.#written();
    await this.#syncing;
  }

  /** Waits until the thread pool has nothing to write. */
  async #written(): Promise<void> {
    while (this.#writes.length > 0) this.#free.push(await this.#writes.shift()!);
  }

  async #writeAtOnce(bytes: Uint8Array): Promise<void> {
    await this.#written();
    if (this.#failure) throw this.#failure.error;
    this.#writeFilled();
    this.#writeSync(bytes);
    this.#syncSometimes(this.#file!, this.#path, bytes.length);
  }

  /** Writes what was gathered. */
  #writeFilled(): void {
    this.#writeSync(this.#slab.subarray(0, this.#filled));
    this.#filled = 0;
  }

  #writeSync(bytes: Uint8Array): void {
    const file = this.#file!;
    onDisk("Cannot write", this.#path, () => {
      this.#promptness.measure(() => writeAllSync(file, bytes));
    });
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
      this.#syncSometimes(file, path, slab.length);
    } catch (cause) {
      this.#failure ??= { error: fileError("Cannot write", path, cause) };
    }
    return slab;
  }

  #syncSometimes(file: Deno.FsFile, path: string, written: number): void {
    this.#unsynced += written;
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
