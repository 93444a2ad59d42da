import { join } from "node:path";

/** A folder of a test's own, gone after it. */
export class TemporaryFolder implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "p2p-test-" });

  /** The path of what has this name in the folder. */
  join(...names: string[]): string {
    return join(this.path, ...names);
  }

  /** Makes a folder in it. @returns its path */
  folder(name: string): string {
    const path = this.join(name);
    Deno.mkdirSync(path, { recursive: true });
    return path;
  }

  /** Writes a file in it. @returns its path */
  file(name: string, content: string | Uint8Array): string {
    const path = this.join(name);
    Deno.mkdirSync(join(path, ".."), { recursive: true });
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
    return path;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
