import type { FileSystemSyncOptions } from "../../transfer/file_system_sync.ts";

const EXT4 = 0xef53;

/** Stands for the program `sync`: records how it was called, and fails in the way that is asked. */
export class FakeSync {
  /** The arguments of each call. */
  readonly calls: string[][] = [];
  /** Devices and types of file systems, by folder; the others are all on one that is ext4. */
  readonly devices = new Map<string, number>();
  readonly types = new Map<string, number>();
  /** Called while a file system is being synced. */
  onSync: () => void = () => {};
  readonly #failing: string | undefined;
  readonly #reached = Promise.withResolvers<void>();
  #held: PromiseWithResolvers<void> | undefined;

  constructor(failing?: "is missing" | "fails" | "hangs" | "is another program") {
    this.#failing = failing;
  }

  /** What to make a FileSystemSync with. */
  get options(): FileSystemSyncOptions {
    return {
      run: (args) => this.#run(args),
      look: (folder) => ({
        device: this.devices.get(folder) ?? 1,
        type: this.types.get(folder) ?? EXT4,
      }),
      ...(this.#failing === "hangs" && { deadlineMs: 1 }),
    };
  }

  /** The folders whose file systems were synced. */
  get folders(): string[] {
    return this.calls.filter(([flag]) => flag === "-f").map((args) => args[2]!);
  }

  /** Resolves when it was first asked to sync. */
  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  /** Lets it not end before `release`. */
  hold(): void {
    this.#held = Promise.withResolvers();
  }

  release(): void {
    this.#held?.resolve();
  }

  async #run(args: string[]): Promise<string> {
    this.calls.push(args);
    if (this.#failing === "is missing") throw new Deno.errors.NotFound("sync");
    if (args[0] === "--version") {
      const uutils = this.#failing === "is another program";
      return uutils ? "sync (uutils coreutils) 0.1.0\n" : "sync (GNU coreutils) 9.1\n";
    }
    this.onSync();
    this.#reached.resolve();
    await this.#held?.promise;
    if (this.#failing === "fails") throw new Error("sync: failed");
    if (this.#failing === "hangs") await new Promise(() => {});
    return "";
  }
}
