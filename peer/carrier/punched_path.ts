import { type Address, isLocal } from "../../protocol/address.ts";
import type { Path } from "../../protocol/connection.ts";

/** How bytes travel to an address at which a peer was found by trying. */
export function punchedPath(remote: Address): Path {
  return isLocal(remote.host) ? "lan" : "punched";
}
