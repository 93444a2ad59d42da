/**
 * Which relay is meant, and its password: from flags, else from the environment. A relay's address
 * is `host:port`, `host`, or with its key `host:port#KEY`, as `p2p relay` prints it.
 */
import { type Address, DEFAULT_PORT, formatAddress, parseAddress } from "../protocol/address.ts";
import { UsageError } from "../protocol/errors.ts";
import { formatRelayKey, parseRelayKey } from "../protocol/relay_key.ts";
import { readPassword } from "./password.ts";

/** A relay, as its user names it. */
export interface Relay {
  address: Address;
  /** Its static key, where it was given with the address. */
  key?: Uint8Array | undefined;
  password?: string | undefined;
}

/** The flags that speak of a relay. */
export interface RelayFlags {
  relay: string | undefined;
  "password-file": string | undefined;
}

/** Reads an environment variable. */
export type ReadVariable = (name: string) => string | undefined;

/**
 * The relay that flags or the environment name; undefined if neither does. A variable that is set
 * to nothing counts as one that is not set.
 * @throws {UsageError} if what names it is not understood
 * @throws {FileError} if the file with its password cannot be read
 */
export async function findRelay(
  flags: RelayFlags,
  variable: ReadVariable,
): Promise<Relay | undefined> {
  const text = flags.relay ?? (variable("P2P_RELAY") || undefined);
  if (text === undefined) {
    if (flags["password-file"] === undefined) return undefined;
    throw new UsageError("Password not used: there is no relay that it could be for", {
      hint: "Name the relay with --relay or P2P_RELAY, or leave --password-file out.",
    });
  }
  const relay = parseRelay(text);
  return { ...relay, password: await readPassword(flags["password-file"], variable) };
}

/**
 * Reads a relay's address.
 * @throws {UsageError} that says what is wrong with it
 */
export function parseRelay(text: string): Pick<Relay, "address" | "key"> {
  const hash = text.indexOf("#");
  if (hash < 0) return { address: parseAddress(text, DEFAULT_PORT) };
  return {
    address: parseAddress(text.slice(0, hash), DEFAULT_PORT),
    key: parseKey(text.slice(hash + 1), text),
  };
}

/** The address alone, as people write it. */
export function formatRelay({ address }: Pick<Relay, "address">): string {
  return formatAddress(address);
}

/** The address, and its key if that was given: what `parseRelay` reads back. */
export function formatRelayWithKey(relay: Pick<Relay, "address" | "key">): string {
  const address = formatRelay(relay);
  return relay.key ? `${address}#${formatRelayKey(relay.key)}` : address;
}

function parseKey(encoded: string, text: string): Uint8Array {
  const key = parseRelayKey(encoded);
  if (key) return key;
  throw new UsageError(`Relay not understood: ${JSON.stringify(text)}: behind # stands no key`, {
    hint: "Copy the whole line that p2p relay prints, or leave # and what follows out.",
  });
}
