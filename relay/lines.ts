import { concatBytes } from "../protocol/bytes.ts";
import type { Connection } from "../protocol/connection.ts";
import { ProtocolError } from "../protocol/errors.ts";

const NEWLINE = 0x0a;
const NOTHING = new Uint8Array(0);

/**
 * The lines of a connection. Holds nothing while there is none: a relay has thousands of clients
 * that are silent most of the time.
 */
export class Lines {
  readonly #connection: Connection;
  readonly #limit: number;
  #rest: Uint8Array = NOTHING;

  /** @param limit bytes in a line, its newline included */
  constructor(connection: Connection, limit: number) {
    this.#connection = connection;
    this.#limit = limit;
  }

  /**
   * The next line without its newline, or null at the end.
   * @throws {ProtocolError} as soon as a line is known to be too long
   */
  async next(): Promise<Uint8Array | null> {
    for (;;) {
      const at = this.#rest.indexOf(NEWLINE);
      if ((at < 0 ? this.#rest.length : at) >= this.#limit) throw this.#tooLong();
      if (at >= 0) return this.#take(at);
      const bytes = await this.#connection.read();
      if (bytes === null) return null;
      this.#rest = this.#rest.length === 0 ? bytes : concatBytes(this.#rest, bytes);
    }
  }

  #take(at: number): Uint8Array {
    const line = this.#rest.subarray(0, at);
    this.#rest = at + 1 === this.#rest.length ? NOTHING : this.#rest.subarray(at + 1);
    return line;
  }

  #tooLong(): ProtocolError {
    return new ProtocolError(`Line not accepted: longer than ${this.#limit} bytes`);
  }
}
