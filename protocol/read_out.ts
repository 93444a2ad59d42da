import type { Connection } from "./connection.ts";
import { UnreachableError } from "./errors.ts";

/**
 * Reads and drops what still comes, until the other side has closed: closing before, with bytes
 * unread, could take back what was said last.
 * @returns whether it has closed; false if what comes cannot be read
 */
export async function readOut(connection: Connection): Promise<boolean> {
  const room = new Uint8Array(65_536);
  try {
    while (await connection.read(room) !== null);
    return true;
  } catch (error) {
    return error instanceof UnreachableError;
  }
}
