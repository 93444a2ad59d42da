import { Duplex } from "node:stream";
import type { Connection } from "../protocol/connection.ts";

/** Bytes of one read: idle WebSockets hold so many each. */
const READ_BYTES = 2_048;

/** A Connection as Node's streams have it, for packages that know nothing else. It owns it. */
export class ConnectionStream extends Duplex {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    super();
    this.#connection = connection;
  }

  override _read(): void {
    this.#connection.read(new Uint8Array(READ_BYTES)).then(
      (bytes) => this.push(bytes),
      (error) => this.destroy(error),
    );
  }

  override _write(bytes: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#connection.write(bytes).then(() => done(), done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#connection.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#connection.close();
    done(error);
  }
}
