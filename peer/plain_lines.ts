/** The lines that a plain connection brings. */
import type { Connection } from "../protocol/connection.ts";
import { ProtocolError } from "../protocol/errors.ts";
import { ReceiveBuffer } from "../protocol/framing.ts";
import { MAX_PLAIN_LINE_BYTES } from "../protocol/limits.ts";
import { classifyFirstBytes, errorPreface } from "../protocol/preface.ts";
import { ADVICE } from "./advice.ts";

const FIRST_READ_BYTES = 4_096;

/**
 * The lines that arrive; what stands behind the last line end is a line, too.
 * @param dialled whether it was this side that dialled
 * @throws {ProtocolError} if the other side is a p2p that wants to be encrypted, or a line is too
 *   long
 */
export async function* plainLines(
  connection: Connection,
  dialled: boolean,
): AsyncGenerator<string> {
  const received = new ReceiveBuffer(FIRST_READ_BYTES);
  const decoder = new TextDecoder();
  let first = true;
  for (;;) {
    const bytes = await connection.read(received.space());
    if (bytes === null) break;
    received.filled(bytes.length);
    if (first && !dialled) await refuseSession(connection, received);
    for (let line = nextLine(received); line; line = nextLine(received)) {
      const text = decoder.decode(line);
      if (first && dialled && text === ADVICE) throw encryptedError(connection.remote);
      first = false;
      yield text;
    }
  }
  if (received.pending > 0) yield decoder.decode(received.takeAll());
}

function nextLine(received: ReceiveBuffer): Uint8Array | undefined {
  return received.takeLine(MAX_PLAIN_LINE_BYTES);
}

async function refuseSession(connection: Connection, received: ReceiveBuffer): Promise<void> {
  if (classifyFirstBytes(received.peek()) !== "p2p") return;
  await connection.write(
    errorPreface("it listens with --plain: connect with --plain, too, or let it listen without"),
  );
  throw new ProtocolError("it wanted an encrypted session, and this side was started with --plain");
}

function encryptedError(remote: string): ProtocolError {
  return new ProtocolError(`Plain chat not possible: ${remote} takes encrypted ones only`, {
    hint: `Leave --plain out: p2p connect ${remote}`,
  });
}
