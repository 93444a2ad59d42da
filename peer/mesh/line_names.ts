/** Whether lines go by names under which other keys are known: somebody may say so who is not here. */
import { equalBytes } from "../../protocol/bytes.ts";
import { P2pError } from "../../protocol/errors.ts";
import type { Line } from "../../protocol/line.ts";
import type { Trust } from "../trust.ts";

/** Authors, each with a name, that are kept in mind. */
const MAX_KEPT = 512;

type Named = Pick<Line, "author" | "name">;

export class LineNames {
  readonly #trust: Pick<Trust, "keysOf">;
  /** Whether the name is another's, by author and name; and what was seen before. */
  #seen = new Map<string, boolean>();
  #before = new Map<string, boolean>();

  constructor(trust: Pick<Trust, "keysOf">) {
    this.#trust = trust;
  }

  /**
   * Looks the name of a line up; undefined if that was done of late. What is due to be looked up
   * again is, but nobody waits for it: most lines would.
   */
  look(line: Named): Promise<void> | undefined {
    const id = idOf(line);
    if (this.#seen.has(id)) return undefined;
    const before = this.#before.get(id);
    if (before !== undefined) this.#note(id, before);
    const looking = this.#look(line);
    return before === undefined ? looking : undefined;
  }

  /** Whether another key, and not the author's, is known under the line's name. */
  isAnothers(line: Named): boolean {
    const id = idOf(line);
    return this.#seen.get(id) ?? this.#before.get(id) ?? false;
  }

  /** Whom a name belongs to may have become known since: all are to be looked up again. */
  forget(): void {
    this.#before = this.#seen;
    this.#seen = new Map();
  }

  async #look(line: Named): Promise<void> {
    const keys = await this.#keysOf(line.name);
    const own = keys.length === 0 || keys.some((key) => equalBytes(key, line.author));
    this.#note(idOf(line), !own);
  }

  #note(id: string, isAnothers: boolean): void {
    if (this.#seen.size >= MAX_KEPT) this.forget();
    this.#seen.set(id, isAnothers);
  }

  /** None where they cannot be read: that is no reason not to hear what is said. */
  async #keysOf(name: string): Promise<Uint8Array[]> {
    try {
      return await this.#trust.keysOf(name);
    } catch (error) {
      if (!(error instanceof P2pError)) throw error;
      return [];
    }
  }
}

function idOf({ author, name }: Named): string {
  return `${author.toHex()} ${name}`;
}
