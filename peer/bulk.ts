/**
 * Sessions that send much go on over a connection that is made for that: TLS, where TCP leads
 * straight to the peer and both processors have instructions for AES (protocol/README.md, section
 * 14).
 */
import { parseAddress } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import { P2pError } from "../protocol/errors.ts";
import { DIAL_TIMEOUT_MS, MAX_TLS_CONNECTIONS } from "../protocol/limits.ts";
import type { KeyPair } from "../protocol/noise.ts";
import { type SecureConnection, secureInitiator } from "../protocol/secure.ts";
import { sealsFast } from "./carrier/aes.ts";
import { systemClock } from "./clock.ts";
import { dialSecure } from "./dial_secure.ts";
import { pinnedTo } from "./pinned_key.ts";
import type { Session } from "./session.ts";

export interface BulkOptions {
  identity: KeyPair;
  signal: AbortSignal;
  clock?: Clock | undefined;
}

/**
 * Gives a session that we began such a connection when it is about to send much, and takes it back
 * to TCP when much comes: Node's TLS, which only sends well, is on this side. Where that fails it
 * goes on as it is, and it is not tried again: the peer may be of an older version.
 */
export function upgradeForBulk(session: Session, options: BulkOptions): void {
  let left = sealsFast() ? MAX_TLS_CONNECTIONS : 0;
  let dialling = false;
  session.onBulk = async (direction) => {
    const inside = direction === "sent";
    if (dialling || !isOver(session, inside ? "secure tcp" : "secure tls")) return;
    if (inside && left-- <= 0) return;
    dialling = true;
    try {
      const { carrier, remote } = session;
      const connection = await dial(session, inside, options);
      if (isOver(session, carrier) && session.remote === remote) await session.improve(connection);
      else connection.close();
    } catch (error) {
      left = 0;
      if (!(error instanceof P2pError) && !options.signal.aborted) throw error;
    } finally {
      dialling = false;
    }
  };
}

/** Whether it goes over this carrier, straight to an address that can be dialled again. */
function isOver({ carrier, path, state }: Session, wanted: string): boolean {
  return state === "connected" && carrier === wanted && (path === "lan" || path === "direct");
}

/** @param inside whether inside TLS, or over TCP alone */
async function dial(
  session: Session,
  inside: boolean,
  options: BulkOptions,
): Promise<SecureConnection> {
  const { identity, signal, clock = systemClock } = options;
  const address = parseAddress(session.remote);
  const checkKey = pinnedTo(session.remoteKey);
  if (!inside) return await dialSecure(address, { identity, clock, signal, checkKey });
  // Few sessions need it, and the program's start is not to wait for it.
  const { dialTls } = await import("./carrier/tls.ts");
  const timeout = AbortSignal.timeout(DIAL_TIMEOUT_MS);
  const either = AbortSignal.any([signal, timeout]);
  const connection = await dialTls(address, { sessionId: session.id, signal: either });
  return await secureInitiator(connection, { identity, clock, signal, checkKey });
}
