import { answerTls, asksForTls } from "../../peer/carrier/accept_tls.ts";
import type { TcpConnection } from "../../peer/carrier/tcp.ts";
import { TlsDoor } from "../../peer/carrier/tls_door.ts";
import { systemClock } from "../../peer/clock.ts";
import type { Connection } from "../../protocol/connection.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { belongsTo, type TlsAnswer } from "../../protocol/tls_opening.ts";

/**
 * Answers a connection that asks for TLS, for a session with this id or any, and resolves to the
 * connection that then comes.
 * @param lead says where the other side is told that the door is
 */
export async function acceptTls(
  accepted: TcpConnection,
  { sessionId, lead = (door) => door }: {
    sessionId?: Uint8Array;
    lead?: (door: TlsAnswer) => TlsAnswer;
  } = {},
): Promise<Connection> {
  const received = new ReceiveBuffer(64);
  const { promise, resolve } = Promise.withResolvers<Connection>();
  if (!await asksForTls(accepted, received)) throw new Error("It does not ask for TLS");
  await answerTls(
    accepted,
    received,
    (request) => sessionId === undefined || belongsTo(request, sessionId),
    (at) => lead(new TlsDoor(at, { take: resolve, clock: systemClock })),
  );
  return await promise;
}
