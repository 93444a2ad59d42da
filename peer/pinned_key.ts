import { equalBytes } from "../protocol/bytes.ts";
import { IdentityError } from "../protocol/errors.ts";

/** What lets one key alone answer, as `checkKey` of a handshake: any other learns nothing of ours. */
export function pinnedTo(key: Uint8Array): (seen: Uint8Array) => void {
  return (seen) => {
    if (!equalBytes(seen, key)) throw new IdentityError("another key answers there");
  };
}
