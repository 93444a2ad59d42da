import { assertEquals } from "@std/assert";
import { basename, dirname } from "node:path";

/** Watches the name that a file is to get: whatever stands there, at any time, must be as long as the whole file. */
export class FinalName implements Disposable {
  readonly #watcher: Deno.FsWatcher;
  readonly #sizes: number[] = [];
  readonly #path: string;
  readonly #bytes: number;
  /** Resolves when something has stood there. */
  readonly #seen = Promise.withResolvers<void>();

  constructor(path: string, bytes: number) {
    this.#path = path;
    this.#bytes = bytes;
    this.#watcher = Deno.watchFs(dirname(path), { recursive: false });
    this.#follow();
  }

  /** Waits until something was seen there. Fails if it was ever anything but the whole file. */
  async check(): Promise<void> {
    await this.#seen.promise;
    assertEquals([...new Set(this.#sizes)], [this.#bytes]);
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }

  async #follow(): Promise<void> {
    for await (const { paths } of this.#watcher) {
      if (!paths.some((path) => basename(path) === basename(this.#path))) continue;
      try {
        this.#sizes.push((await Deno.lstat(this.#path)).size);
        this.#seen.resolve();
      } catch {
        // It is gone again, or it was moved away.
      }
    }
  }
}
