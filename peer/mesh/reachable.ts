/** Where others reach us, and what we reach them through. */
import type { Address } from "../../protocol/address.ts";
import type { OwnRelay } from "../member_route.ts";

export interface Reachable {
  /** Where we listen, the likeliest first; none if we do not. */
  addresses: () => Address[];
  /** The relay that we use. */
  relay?: OwnRelay | undefined;
  /** Whether we are registered there under our name. */
  registered: boolean;
  /** Whether all bytes are to go through the relay. */
  relayOnly: boolean;
}

/** Of somebody who takes no connections, and uses no relay. */
export const UNREACHABLE: Reachable = { addresses: () => [], registered: false, relayOnly: false };
