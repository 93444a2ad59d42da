/** A file that is being sent: must stay what it was when it was offered. */
import { FileError } from "../protocol/errors.ts";
import type { Entry } from "../protocol/offer.ts";
import { onDisk, onDiskAsync } from "./files.ts";
import { Promptness } from "./promptness.ts";
import { mtimeOf } from "./walk.ts";

/** Files from this size on are not read in vain. */
const CHECK_FIRST_BYTES = 65_536;

export class SourceFile implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #path: string;
  readonly #entry: Entry;
  readonly #promptness = new Promptness();

  /**
   * A small file is only compared with what was offered behind its last byte (`checkUnchanged`).
   * @throws {FileError} if the file cannot be opened, or is large and not the one that was offered
   */
  constructor(path: string, entry: Entry, offset = 0) {
    this.#path = path;
    this.#entry = entry;
    this.#file = onDisk("Cannot read", path, () => Deno.openSync(path));
    try {
      if (entry.size! >= CHECK_FIRST_BYTES) this.checkUnchanged();
      if (offset > 0) this.seek(offset);
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /**
   * Fills `into` from the front as far as one read gets.
   * @returns the number of bytes, at least one
   * @throws {FileError} if it cannot be read or has come to its end
   */
  async read(into: Uint8Array): Promise<number> {
    const count = this.#promptness.mayBlock()
      ? onDisk("Cannot read", this.#path, () => this.#readSync(into))
      : await onDiskAsync("Cannot read", this.#path, () => this.#file.read(into));
    return count ?? this.#changed();
  }

  #readSync(into: Uint8Array): number | null {
    return this.#promptness.measure(() => this.#file.readSync(into));
  }

  seek(offset: number): void {
    onDisk("Cannot read", this.#path, () => this.#file.seekSync(offset, Deno.SeekMode.Start));
  }

  /** @throws {FileError} if the file is not what was offered any more */
  checkUnchanged(): void {
    const info = onDisk("Cannot read", this.#path, () => this.#file.statSync());
    if (info.isFile && info.size === this.#entry.size && mtimeOf(info) === this.#entry.mtime) {
      return;
    }
    this.#changed();
  }

  #changed(): never {
    throw new FileError(`Cannot send ${this.#path}: it changed while it was being sent`, {
      hint: "Send it again when no other program writes to it",
    });
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
