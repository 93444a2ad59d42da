import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";

/** Milliseconds that the other side has to take in what was said last. */
export const FAREWELL_MS = 1_000;
/** Bytes read at once of what is not wanted any more. */
const ROOM_BYTES = 512;

/**
 * Says something last, and closes: not before the other side has, or a second is over, because
 * closing with bytes unread could take back what was said.
 */
export async function farewell(
  connection: Connection,
  clock: Clock,
  ...last: Uint8Array[]
): Promise<void> {
  const cancel = clock.after(FAREWELL_MS, () => connection.close());
  try {
    await connection.write(...last);
    await connection.closeWrite();
    const room = new Uint8Array(ROOM_BYTES);
    while (await connection.read(room) !== null);
  } catch {
    // It is gone, or says what cannot be read: there is nobody to tell.
  } finally {
    cancel();
    connection.close();
  }
}
