/**
 * Sessions that send much go on over a connection that is made for that: TLS, where TCP leads
 * straight to the peer and both processors have instructions for AES (protocol/README.md, section
 * 14).
 */
import { equalBytes } from "../protocol/bytes.ts";
import { parseAddress } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import { IdentityError, P2pError } from "../protocol/errors.ts";
import { DIAL_TIMEOUT_MS, MAX_TLS_CONNECTIONS } from "../protocol/limits.ts";
import type { KeyPair } from "../protocol/noise.ts";
import { type SecureConnection, secureInitiator } from "../protocol/secure.ts";
import { sealsFast } from "./carrier/aes.ts";
import { systemClock } from "./clock.ts";
import type { Session } from "./session.ts";

export interface BulkOptions {
  identity: KeyPair;
  signal: AbortSignal;
  clock?: Clock | undefined;
}

/**
 * Gives a session that we began such a connection when it is about to send much. Where that fails
 * it goes on as it is, and it is not tried again: the peer may be of an older version.
 */
export function upgradeForBulk(session: Session, options: BulkOptions): void {
  let left = sealsFast() ? MAX_TLS_CONNECTIONS : 0;
  let dialling = false;
  session.onBulk = async () => {
    if (dialling || left === 0 || !isPlain(session)) return;
    dialling = true;
    try {
      left--;
      const { remote } = session;
      const connection = await dial(session, options);
      if (isPlain(session) && session.remote === remote) await session.improve(connection);
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
function isPlain({ carrier, path, state }: Session): boolean {
  return state === "connected" && carrier === "secure tcp" && (path === "lan" || path === "direct");
}

async function dial(session: Session, options: BulkOptions): Promise<SecureConnection> {
  const { identity, signal, clock = systemClock } = options;
  const address = parseAddress(session.remote);
  // Few sessions need it, and the program's start is not to wait for it.
  const { dialTls } = await import("./carrier/tls.ts");
  const timeout = AbortSignal.timeout(DIAL_TIMEOUT_MS);
  const either = AbortSignal.any([signal, timeout]);
  const connection = await dialTls(address, { sessionId: session.id, signal: either });
  const checkKey = (key: Uint8Array) => checkSame(session, key);
  return await secureInitiator(connection, { identity, clock, signal, checkKey });
}

function checkSame({ remoteKey }: Session, key: Uint8Array): void {
  if (!equalBytes(key, remoteKey)) throw new IdentityError("another key answers there");
}
