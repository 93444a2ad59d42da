/** `p2p peers`: lists who announces itself on this network. */
import { formatAddress } from "../../protocol/address.ts";
import { equalBytes } from "../../protocol/bytes.ts";
import { sleep } from "../../protocol/clock.ts";
import { fingerprint } from "../../protocol/fingerprint.ts";
import { MAX_NEARBY } from "../../protocol/limits.ts";
import type { NearbyPeer } from "../../protocol/nearby.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { AsyncQueue } from "../async_queue.ts";
import { systemClock } from "../clock.ts";
import { type Environment, type Host, openHost } from "../host.ts";
import { NearbySearch } from "../nearby_search.ts";

type Arguments = ParsedFlags<typeof COMMANDS.peers>;

/** Seconds: those who have missed the first question hear the second one, too. */
const DEFAULT_WAIT_S = 2;

/** What is known of a name and its key. */
type Standing = "known" | "new" | "changed" | "self";

const STANDINGS: Readonly<Record<Standing, string>> = {
  known: "known",
  new: "not met yet",
  changed: "NOT THE KEY THAT IS KNOWN",
  self: "your own key",
};

/** @throws {P2pError} if the network cannot be asked */
export async function peers(environment: Environment, { flags }: Arguments): Promise<void> {
  const host = await openHost(environment);
  const found = new AsyncQueue<NearbyPeer>();
  await using search = await NearbySearch.begin({ onFound: (peer) => found.push(peer) });
  const telling = tellEach(host, found);
  const wait = 1_000 * (flags.wait ?? DEFAULT_WAIT_S);
  try {
    await sleep(systemClock, wait, host.signal);
  } finally {
    found.close();
  }
  const count = await telling;
  const { output } = environment;
  if (count === 0) {
    output.say(
      "Nobody announces itself on this network. Whoever wants to be found runs:",
      "  p2p listen --announce",
    );
  }
  if (search.full) {
    output.warn(`More announce themselves than are listed: at most ${MAX_NEARBY} are`);
  }
}

/** Tells of each as it comes, once; resolves with how many there were. */
async function tellEach(host: Host, found: AsyncQueue<NearbyPeer>): Promise<number> {
  const told = new Set<string>();
  for await (const { name, key, addresses } of found) {
    const address = formatAddress(addresses[0]!);
    const id = JSON.stringify([name, key.toHex(), address]);
    if (told.has(id)) continue;
    told.add(id);
    const standing = await standingOf(host, name, key);
    const print = fingerprint(key);
    host.output.report(`${name}  ${address}  ${print}  ${STANDINGS[standing]}`);
    host.output.event("found", {
      name,
      address,
      addresses: addresses.map(formatAddress),
      fingerprint: print,
      key: standing,
    });
  }
  return told.size;
}

async function standingOf({ identity, trust }: Host, name: string, key: Uint8Array) {
  if (equalBytes(identity.publicKey, key)) return "self" satisfies Standing;
  const known = await trust.keysOf(name);
  if (known.length === 0) return "new" satisfies Standing;
  const same = known.some((each) => equalBytes(each, key));
  return same ? "known" satisfies Standing : "changed" satisfies Standing;
}
