/** The side that was dialled of a session that goes on inside TLS. */
import { equalBytes } from "../../protocol/bytes.ts";
import type { Connection } from "../../protocol/connection.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import type { ReceiveBuffer } from "../../protocol/framing.ts";
import { MAX_PREFACE_BYTES } from "../../protocol/limits.ts";
import { errorPreface, TLS_PREFACE } from "../../protocol/preface.ts";
import { readUntil } from "../../protocol/read_until.ts";
import { NO_TLS } from "../../protocol/secure.ts";
import {
  decodeTlsOpening,
  MAX_TLS_OPENING_BYTES,
  type TlsOpening,
} from "../../protocol/tls_opening.ts";
import { sealsFast } from "./aes.ts";
import { believesNoAuthority } from "./authorities.ts";
import { TcpConnection } from "./tcp.ts";

/**
 * Whether connections to this side may go on inside TLS: if that is fast here, nobody can vouch for
 * another certificate, and the keys stay secret. To be called early, as `believesNoAuthority`.
 */
export function canAcceptTls(): boolean {
  return sealsFast() && believesNoAuthority() && !writesKeys();
}

/** The runtime writes the keys that its TLS client agrees on to a file, if the environment names one. */
function writesKeys(): boolean {
  return Deno.env.get("SSLKEYLOGFILE") !== undefined;
}

/**
 * Goes on inside TLS where a connection's preface asks for that; leaves others as they are.
 * @param received what was read of it, which begins with `p2p/`
 * @param admits whether TLS may begin with this opening; undefined: never. The runtime does not let
 *   go of a connection that stalls in TLS's handshake until the other side closes it: nobody unknown
 *   is to get there
 * @throws {ProtocolError} if it is not as it must be, or not admitted
 * @throws {UnreachableError} if there is no certificate, or the connection broke or was closed
 */
export async function acceptTls(
  connection: Connection,
  received: ReceiveBuffer,
  admits: ((opening: TlsOpening) => boolean) | undefined,
): Promise<void> {
  const line = await taken(connection, received, () => received.peekLine(MAX_PREFACE_BYTES));
  if (!equalBytes(line, TLS_PREFACE.subarray(0, -1))) return;
  if (!admits || !(connection instanceof TcpConnection)) return await refuse(connection);
  received.takeLine(MAX_PREFACE_BYTES);
  const opening = decodeTlsOpening(
    await taken(connection, received, () => received.takeFrame(MAX_TLS_OPENING_BYTES)),
  );
  if (received.pending > 0 || !admits(opening)) return await refuse(connection);
  await connection.startTls(opening.certificate);
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
