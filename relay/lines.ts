import { concatBytes } from "../protocol/bytes.ts";
import { ProtocolError } from "../protocol/errors.ts";

const NEWLINE = 0x0a;
const NOTHING = new Uint8Array(0);

/**
 * Cuts what comes into lines. Holds nothing while there is none: a relay has thousands of clients
 * that are silent most of the time.
 */
export class Lines {
  readonly #limit: number;
  #rest: Uint8Array = NOTHING;

  /** @param limit bytes in a line, its newline included */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes bytes, which must not change afterwards. */
  push(bytes: Uint8Array): void {
    this.#rest = this.#rest.length === 0 ? bytes : concatBytes(this.#rest, bytes);
  }

  /**
   * The next line without its newline, or undefined while it is incomplete.
   * @throws {ProtocolError} as soon as a line is known to be too long
   */
  next(): Uint8Array | undefined {
    const at = this.#rest.indexOf(NEWLINE);
    if ((at < 0 ? this.#rest.length : at) >= this.#limit) {
      throw new ProtocolError(`Line not accepted: longer than ${this.#limit} bytes`);
    }
    if (at < 0) return undefined;
    const line = this.#rest.subarray(0, at);
    this.#rest = at + 1 === this.#rest.length ? NOTHING : this.#rest.subarray(at + 1);
    return line;
  }
}
