/**
 * TLS 1.3 over TCP, sealed by the runtime's native code with what the processor has for AES: for
 * sessions that carry much. Who dialled is the TLS server, and sends; who was dialled the client
 * (protocol/README.md, section 14).
 */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { type Address, isLocal } from "../../protocol/address.ts";
import type { Connection } from "../../protocol/connection.ts";
import { MAX_UNREAD_BYTES } from "../../protocol/limits.ts";
import { encodeTlsOpening } from "../../protocol/tls_opening.ts";
import { dialSocket } from "./node_tcp.ts";
import { NodeTcpConnection } from "./node_tcp_connection.ts";
import { PUNCHED, undialled } from "./tcp.ts";
import { bindingOf, makeTlsIdentity, toPem } from "./tls_certificate.ts";

/**
 * Connects to a listener, for a session that it has with us, and completes TLS's handshake.
 * @param address an IP address and its port
 * @throws {UnreachableError} if nobody there does, or not before the signal aborts
 */
export async function dialTls(
  address: Address,
  { sessionId, signal }: { sessionId: Uint8Array; signal: AbortSignal },
): Promise<Connection> {
  let socket: Socket | undefined;
  const abort = () => socket?.destroy();
  try {
    socket = await dialSocket(address, signal);
    signal.addEventListener("abort", abort);
    const { certificate, privateKey } = makeTlsIdentity();
    socket.write(encodeTlsOpening(certificate, sessionId));
    const secured = new TLSSocket(socket, {
      isServer: true,
      key: privateKey.export({ format: "pem", type: "pkcs8" }),
      cert: toPem(certificate),
      minVersion: "TLSv1.3",
    });
    await handshake(secured, socket);
    return new NodeTcpConnection(secured, (host) => isLocal(host) ? "lan" : "direct", {
      carrier: "tls",
      maxUnread: MAX_UNREAD_BYTES,
      binding: bindingOf(certificate),
    });
  } catch (cause) {
    socket?.destroy();
    throw undialled(address, PUNCHED, signal, cause);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** A line of refusal is no TLS, and ends it as well. */
async function handshake(secured: TLSSocket, socket: Socket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const closed = () => reject(new Error("the other side broke off"));
  secured.once("secure", resolve).once("error", reject).once("end", closed).once("close", closed);
  // Whatever befalls the socket befalls TLS above it.
  socket.on("error", reject);
  try {
    await promise;
  } finally {
    secured.off("secure", resolve).off("end", closed).off("close", closed);
    secured.on("error", () => {}).off("error", reject);
  }
}
