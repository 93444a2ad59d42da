/**
 * TLS 1.3 over TCP, sealed by the runtime's native code with what the processor has for AES: for
 * sessions that carry much. Who dialled is TLS's client; who was dialled its server, at a port of
 * its own, for only there does the runtime have one (protocol/README.md, section 14).
 */
import type { Address } from "../../protocol/address.ts";
import { equalBytes } from "../../protocol/bytes.ts";
import type { Connection } from "../../protocol/connection.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { MAX_PREFACE_BYTES } from "../../protocol/limits.ts";
import { TLS_PREFACE } from "../../protocol/preface.ts";
import { readUntil } from "../../protocol/read_until.ts";
import {
  decodeTlsAnswer,
  encodeTlsRequest,
  MAX_TLS_ANSWER_BYTES,
  TLS_NONCE_BYTES,
  type TlsAnswer,
} from "../../protocol/tls_opening.ts";
import { sealsFast } from "./aes.ts";
import { believesNoAuthority } from "./authorities.ts";
import { dialTcp } from "./tcp.ts";

/**
 * Whether connections may go on inside TLS: if that is fast here, nobody can vouch for another
 * certificate, and the keys stay secret. To be called early, as `believesNoAuthority`.
 */
export function canUseTls(): boolean {
  return sealsFast() && believesNoAuthority() && !writesKeys();
}

/** The runtime writes the keys that TLS agrees on to a file, if the environment names one. */
function writesKeys(): boolean {
  return Deno.env.get("SSLKEYLOGFILE") !== undefined;
}

/**
 * Asks a listener for TLS, for a session that it has with us, and connects to where it is.
 * @param address an IP address and its port
 * @throws {UnreachableError} if nobody there answers, or not before the signal aborts
 * @throws {ProtocolError} if the other side does not want to, or answers with something else
 */
export async function dialTls(
  address: Address,
  { sessionId, signal }: { sessionId: Uint8Array; signal: AbortSignal },
): Promise<Connection> {
  const { port, certificate } = await askForTls(address, sessionId, signal);
  const connection = await dialTcp({ host: address.host, port }, signal);
  try {
    await connection.startTls(certificate);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

async function askForTls(
  address: Address,
  sessionId: Uint8Array,
  signal: AbortSignal,
): Promise<TlsAnswer> {
  const connection = await dialTcp(address, signal);
  const abort = () => connection.close();
  signal.addEventListener("abort", abort);
  try {
    const nonce = crypto.getRandomValues(new Uint8Array(TLS_NONCE_BYTES));
    await connection.write(encodeTlsRequest(nonce, sessionId));
    return await readAnswer(connection);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", abort);
    connection.close();
  }
}

async function readAnswer(connection: Connection): Promise<TlsAnswer> {
  const received = new ReceiveBuffer(MAX_TLS_ANSWER_BYTES);
  const taken = <T>(attempt: () => T | undefined) =>
    readUntil(connection, received, attempt, "it closed before it had said where TLS begins");
  const line = await taken(() => received.takeLine(MAX_PREFACE_BYTES));
  if (!equalBytes(line, TLS_PREFACE.subarray(0, -1))) {
    throw new ProtocolError("TLS not begun: the other side does not go on inside TLS");
  }
  return decodeTlsAnswer(await taken(() => received.takeFrame(MAX_TLS_ANSWER_BYTES)));
}
