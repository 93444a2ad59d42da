import { Duplex } from "node:stream";
import type { Connection } from "../protocol/connection.ts";

/** Bytes of one read, which every idle connection holds, and about what is read ahead. */
const READ_BYTES = 2_048;

/** A Connection as Node's streams have it, for packages that know nothing else. It owns it. */
export class ConnectionStream extends Duplex {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    super({ readableHighWaterMark: READ_BYTES });
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
