/**
 * Which relay is meant, and its password: from flags, else from the environment. A relay's address
 * is `host:port`, `host`, or with its key `host:port#KEY`, as `p2p relay` prints it.
 */
import { type Address, DEFAULT_PORT, formatAddress, parseAddress } from "../protocol/address.ts";
import { UsageError } from "../protocol/errors.ts";
import { KEY_BYTES } from "../protocol/noise.ts";
import { readPasswordFile } from "./password_file.ts";

const BASE64URL = { alphabet: "base64url", omitPadding: true } as const;

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
  const file = flags["password-file"];
  const password = file === undefined
    ? variable("P2P_RELAY_PASSWORD") || undefined
    : await readPasswordFile(file);
  return { ...relay, password };
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
  return relay.key ? `${address}#${relay.key.toBase64(BASE64URL)}` : address;
}

function parseKey(encoded: string, text: string): Uint8Array {
  try {
    const key = Uint8Array.fromBase64(encoded, BASE64URL);
    if (key.length === KEY_BYTES && key.toBase64(BASE64URL) === encoded) return key;
  } catch {
    // Said below.
  }
  throw new UsageError(`Relay not understood: ${JSON.stringify(text)}: behind # stands no key`, {
    hint: "Copy the whole line that p2p relay prints, or leave # and what follows out.",
  });
}
