import { Duplex } from "node:stream";
import type { Connection } from "../protocol/connection.ts";

/** Bytes of one read, which every idle connection holds, and about what is read ahead. */
const READ_BYTES = 2_048;

/** A Connection as Node's streams have it, for packages that know nothing else. It owns it. */
export class ConnectionStream extends Duplex {
  readonly #connection: Connection;
  readonly #room = new Uint8Array(READ_BYTES);

  constructor(connection: Connection) {
    super({ readableHighWaterMark: READ_BYTES });
    this.#connection = connection;
  }

  override _read(): void {
    // Who is given a byte may keep it: not with all the room that it was read into.
    this.#connection.read(this.#room).then(
      (bytes) => this.push(bytes && bytes.slice()),
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
