/** What whoever was dialled answers to who asks for TLS (protocol/README.md, section 14). */
import { equalBytes } from "../../protocol/bytes.ts";
import type { Connection } from "../../protocol/connection.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import type { ReceiveBuffer } from "../../protocol/framing.ts";
import { MAX_PREFACE_BYTES } from "../../protocol/limits.ts";
import { errorPreface, TLS_PREFACE } from "../../protocol/preface.ts";
import { readOut } from "../../protocol/read_out.ts";
import { readUntil } from "../../protocol/read_until.ts";
import { NO_TLS } from "../../protocol/secure.ts";
import {
  decodeTlsRequest,
  encodeTlsAnswer,
  TLS_REQUEST_BYTES,
  type TlsAnswer,
  type TlsRequest,
} from "../../protocol/tls_opening.ts";
import { TcpConnection } from "./tcp.ts";

/** Whether a connection asks for TLS. @param received what was read of it, which begins with `p2p/` */
export async function asksForTls(
  connection: Connection,
  received: ReceiveBuffer,
): Promise<boolean> {
  const line = await taken(connection, received, () => received.peekLine(MAX_PREFACE_BYTES));
  return equalBytes(line, TLS_PREFACE.subarray(0, -1));
}

/**
 * Answers a connection that asks for TLS, which ends then: TLS has a port of its own.
 * @param admits whether TLS may begin for who asks so; undefined: never
 * @param open opens one, and tells of it
 * @throws {ProtocolError} if it does not ask as it must, or is not admitted
 * @throws {UnreachableError} if it breaks, or there is no port to be had
 */
export async function answerTls(
  connection: Connection,
  received: ReceiveBuffer,
  admits: ((request: TlsRequest) => boolean) | undefined,
  open: (at: TcpConnection) => TlsAnswer,
): Promise<void> {
  received.takeLine(MAX_PREFACE_BYTES);
  if (!admits || !(connection instanceof TcpConnection)) return await refuse(connection);
  const request = decodeTlsRequest(
    await taken(connection, received, () => received.takeFrame(TLS_REQUEST_BYTES)),
  );
  if (received.pending > 0 || !admits(request)) return await refuse(connection);
  await connection.write(encodeTlsAnswer(open(connection)));
  await connection.closeWrite();
  await readOut(connection);
  connection.close();
}

async function refuse(connection: Connection): Promise<never> {
  await connection.write(errorPreface(NO_TLS));
  throw new ProtocolError(`Connection not accepted: ${NO_TLS}`);
}

function taken<T>(
  connection: Connection,
  received: ReceiveBuffer,
  attempt: () => T | undefined,
): Promise<T> {
  return readUntil(connection, received, attempt, "it closed in the middle of its first words");
}
