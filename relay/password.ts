import { createHash, timingSafeEqual } from "node:crypto";

/** What a closed relay asks of its clients. An open one takes whatever they say, and nothing. */
export class Password {
  readonly #digest: Uint8Array | undefined;

  constructor(password: string | undefined) {
    this.#digest = password === undefined ? undefined : digest(password);
  }

  /** Whether clients must know one. */
  get required(): boolean {
    return this.#digest !== undefined;
  }

  /** Whether a client that says this may go on. How long it takes tells nothing of the password. */
  accepts(given: string | undefined): boolean {
    return this.#digest === undefined || timingSafeEqual(digest(given ?? ""), this.#digest);
  }
}

/** Two texts of any lengths become two digests of the same. */
function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
