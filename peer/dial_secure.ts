/** From an address to a connection whose other end has proven its key. */
import { type Address, formatAddress } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import { ProtocolError, UnreachableError } from "../protocol/errors.ts";
import { DIAL_TIMEOUT_MS } from "../protocol/limits.ts";
import type { KeyPair } from "../protocol/noise.ts";
import { type SecureConnection, secureInitiator } from "../protocol/secure.ts";
import { type Callee, dialTcp } from "./carrier/tcp.ts";
import { systemClock } from "./clock.ts";
import { whyLost } from "./why_lost.ts";

/** Makes a connection to an address, or rejects when the signal aborts. */
export type Dial = (address: Address, signal: AbortSignal) => Promise<Connection>;

export interface DialSecureOptions {
  identity: KeyPair;
  /** Called with the other side's key before ours is shown; what it throws ends the attempt. */
  checkKey: (key: Uint8Array) => void | Promise<void>;
  signal: AbortSignal;
  clock?: Clock | undefined;
  /** As in `secureInitiator`. */
  preface?: Uint8Array;
  /** How a connection is made. Default: over TCP. */
  dial?: Dial | undefined;
  /** Whom errors speak of. Default: a peer. */
  callee?: Callee;
}

const HINT = "Is that the address of a p2p of the same version? Check it, and the port.";
/** Errors about a relay that answers otherwise than one. */
export const RELAY: Callee = {
  who: "the relay ",
  hint: "Is that the address of a relay of the same version? Check it, and the port.",
};

/**
 * Connects, and proves who is who.
 * @throws {UnreachableError} if nobody answers
 * @throws {RefusedError} if the other side does not want us
 * @throws {ProtocolError} if it is no p2p, or one of another version
 */
export async function dialSecure(
  address: Address,
  options: DialSecureOptions,
): Promise<SecureConnection> {
  const { dial = dialTcp, signal, clock = systemClock } = options;
  const timeout = AbortSignal.timeout(DIAL_TIMEOUT_MS);
  const connection = await dial(address, AbortSignal.any([signal, timeout]));
  try {
    return await secureInitiator(connection, { ...options, clock });
  } catch (error) {
    throw withAddress(error, formatAddress(address), options.callee);
  }
}

/**
 * Who does not speak as we do, or breaks off, is most likely not whom the user meant: the error
 * shows the address.
 */
function withAddress(error: unknown, where: string, callee?: Callee): unknown {
  const broken = error instanceof UnreachableError;
  if (!broken && !(error instanceof ProtocolError)) return error;
  const message = error.message.includes(where)
    ? error.message
    : `Could not connect to ${callee?.who ?? ""}${where}: ${whyLost(error)}`;
  const Kind = broken ? UnreachableError : ProtocolError;
  return new Kind(message, { hint: callee?.hint ?? error.hint ?? HINT, cause: error });
}
