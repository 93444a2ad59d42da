/** `p2p forget NAME`: drops the key that is known under a name or address. */
import { P2pError } from "../../protocol/errors.ts";
import { configFolder } from "../folders.ts";
import type { Environment } from "../host.ts";
import { KnownPeers } from "../known_peers.ts";

/** @throws {P2pError} if nobody is known under that name */
export async function forget(environment: Environment, name: string): Promise<void> {
  const known = new KnownPeers(configFolder((variable) => Deno.env.get(variable)));
  if (!await known.forget(name)) {
    throw new P2pError(`Nothing forgotten: nobody is known as ${name}`, {
      hint: `The names that are known stand in ${known.path}`,
    });
  }
  environment.output.say(`Forgot ${name}: the next to come by that name is trusted as new`);
  environment.output.event("forgotten", { name });
}
