/** Joining somebody while we listen: as often as it takes. */
import { sleep } from "../../protocol/clock.ts";
import { P2pError } from "../../protocol/errors.ts";
import { Backoff } from "../backoff.ts";
import { systemClock } from "../clock.ts";
import { dialSession } from "../dialer.ts";
import type { Host } from "../host.ts";
import type { Room } from "../room.ts";
import type { Route } from "../route.ts";
import { describe } from "../words.ts";

/**
 * Brings whom a route leads to into the room, however late they come; once they have been there,
 * the mesh looks after it. What cannot become better by waiting is told, and ends it.
 * @param signal ends it
 */
export async function join(
  host: Host,
  room: Room,
  route: Route,
  signal: AbortSignal,
): Promise<void> {
  const { output } = host;
  const backoff = new Backoff(systemClock);
  for (let told = false; !signal.aborted; told = true) {
    try {
      const session = await dialSession(route, { ...host, signal });
      const { peer, end } = await room.enter(session, true);
      // Of somebody who was lost before they said who they are the mesh knows nothing.
      if (!peer.here && end.error?.code === "unreachable") throw end.error;
      if (end.error) room.tell(end.error);
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof P2pError)) throw error;
      if (error.code !== "unreachable") return output.error(describe(error));
      if (!told) output.warn(`${error.message}; trying again until it is there`);
    }
    await sleep(systemClock, backoff.next(), signal).catch(() => {});
  }
}
