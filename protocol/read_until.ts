import type { Connection } from "./connection.ts";
import { UnreachableError } from "./errors.ts";
import type { ReceiveBuffer } from "./framing.ts";

/**
 * Reads until there is enough of what is looked for.
 * @param attempt takes it from what was received; undefined as long as more is needed
 * @param ended what to say where the other side closes before that
 * @throws {UnreachableError} if it does, or the connection broke or was closed
 */
export async function readUntil<T>(
  connection: Connection,
  received: ReceiveBuffer,
  attempt: () => T | undefined,
  ended: string,
): Promise<T> {
  for (;;) {
    const result = attempt();
    if (result !== undefined) return result;
    const bytes = await connection.read(received.space());
    if (bytes === null) throw new UnreachableError(ended);
    received.filled(bytes.length);
  }
}
