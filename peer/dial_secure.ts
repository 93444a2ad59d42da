/** From an address to a connection whose other end has proven its key. */
import { type Address, formatAddress } from "../protocol/address.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Connection } from "../protocol/connection.ts";
import { ProtocolError } from "../protocol/errors.ts";
import { DIAL_TIMEOUT_MS } from "../protocol/limits.ts";
import type { KeyPair } from "../protocol/noise.ts";
import { type SecureConnection, secureInitiator } from "../protocol/secure.ts";
import { dialTcp } from "./carrier/tcp.ts";
import { systemClock } from "./clock.ts";
import { lowerFirst } from "./lower_first.ts";

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
  /** What to try where something else answers. */
  hint?: string;
}

const HINT = "Is that the address of a p2p of the same version? Check it, and the port.";

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
    throw withAddress(error, formatAddress(address), options.hint ?? HINT);
  }
}

/**
 * Who does not speak as we do is most likely not whom the user meant: the error shows the address.
 */
function withAddress(error: unknown, where: string, hint: string): unknown {
  if (!(error instanceof ProtocolError) || error.message.includes(where)) return error;
  return new ProtocolError(`Could not connect to ${where}: ${lowerFirst(error.message)}`, {
    hint: error.hint ?? hint,
    cause: error,
  });
}
