/**
 * Sessions that carry much go on over a connection that is made for that: TLS, where TCP leads
 * straight to the peer and both processors have instructions for AES (protocol/README.md, section
 * 14).
 */
import { parseAddress } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import { P2pError } from "../protocol/errors.ts";
import { DIAL_TIMEOUT_MS, MAX_TLS_CONNECTIONS } from "../protocol/limits.ts";
import type { KeyPair } from "../protocol/noise.ts";
import { type SecureConnection, secureInitiator } from "../protocol/secure.ts";
import { dialTls } from "./carrier/tls.ts";
import { systemClock } from "./clock.ts";
import { pinnedTo } from "./pinned_key.ts";
import type { Session } from "./session.ts";

export interface BulkOptions {
  identity: KeyPair;
  signal: AbortSignal;
  clock?: Clock | undefined;
}

/**
 * Gives a session that we began such a connection when it carries much. Where that fails it goes on
 * as it is, and it is not tried again: the peer may be of an older version, or let nobody in at
 * another port.
 */
export function upgradeForBulk(session: Session, options: BulkOptions): void {
  let left = MAX_TLS_CONNECTIONS;
  let dialling = false;
  session.onBulk = async () => {
    if (dialling || !mayGoInside(session) || left-- <= 0) return;
    dialling = true;
    try {
      const { remote } = session;
      const connection = await dial(session, options);
      if (mayGoInside(session) && session.remote === remote) await session.improve(connection);
      else connection.close();
    } catch (error) {
      left = 0;
      if (!(error instanceof P2pError) && !options.signal.aborted) throw error;
    } finally {
      dialling = false;
    }
  };
}

/** Whether it goes over TCP, straight to an address that can be dialled again. */
function mayGoInside({ carrier, path, state }: Session): boolean {
  return state === "connected" && carrier === "secure tcp" && (path === "lan" || path === "direct");
}

async function dial(session: Session, options: BulkOptions): Promise<SecureConnection> {
  const { identity, signal, clock = systemClock } = options;
  const timeout = AbortSignal.timeout(DIAL_TIMEOUT_MS);
  const either = AbortSignal.any([signal, timeout]);
  const address = parseAddress(session.remote);
  const connection = await dialTls(address, { sessionId: session.id, signal: either });
  const checkKey = pinnedTo(session.remoteKey);
  return await secureInitiator(connection, { identity, clock, signal, checkKey });
}
