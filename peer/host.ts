/** What every command holds: who we are, whom we know, where to print, and when to stop. */
import { UsageError } from "../protocol/errors.ts";
import { fingerprint } from "../protocol/fingerprint.ts";
import { checkName } from "../protocol/name.ts";
import { systemClock } from "./clock.ts";
import { configFolder } from "./folders.ts";
import type { History } from "./history/history.ts";
import { type Identity, loadIdentity } from "./identity.ts";
import { KnownPeers } from "./known_peers.ts";
import { type NetworkChanges, NetworkWatch } from "./network_watch.ts";
import type { Output } from "./output.ts";
import { findRelay, type Relay, type RelayFlags } from "./relay_address.ts";
import { type MeshMemory, NO_MEMORY } from "./mesh/memory/memory.ts";
import { Trust } from "./trust.ts";

/** What `main.ts` gives every command. */
export interface Environment {
  output: Output;
  /** Aborts, with an InterruptedError, when the user or the system asks the program to end. */
  signal: AbortSignal;
  /** Whether the system asked for it (SIGTERM), and nobody waits for the program to be gone. */
  terminated: () => boolean;
  /** Asks the program to end, as Ctrl-C does. */
  interrupt: () => void;
  /** Ends the program without a word: the reader of standard output has gone. */
  stdoutClosed: () => void;
}

/** A command that meets peers. */
export interface Host extends Environment {
  identity: Identity;
  trust: Trust;
  /** The name that we go by; /nick changes it. */
  name: string;
  /** Tells when this machine is on another network. */
  network: NetworkChanges;
  /** What is said and sent is kept here, unless the user wants no history. */
  history?: Pick<History, "add" | "read"> | undefined;
  /** What the mesh remembers over a restart. */
  memory: MeshMemory;
}

/**
 * Loads, or on first use makes, what the command needs to meet peers.
 * @param name as given with --name; else P2P_NAME, else the user's name and a piece of the
 *   fingerprint
 * @throws {UsageError} if the name cannot be one
 * @throws {FileError} if the configuration folder cannot be used
 */
export async function openHost(environment: Environment, name?: string): Promise<Host> {
  const folder = configFolder((variable) => Deno.env.get(variable));
  // A variable that is set to nothing counts as one that is not set.
  const chosen = name ?? (Deno.env.get("P2P_NAME") || undefined);
  const checked = chosen === undefined ? undefined : requireName(chosen);
  const identity = await loadIdentity(folder);
  const known = new KnownPeers(folder);
  await known.entries();
  // Whom such a line was for would be trusted anew, as if never met: that must not go unsaid.
  environment.output.warn(...known.warnings);
  const trust = new Trust(known);
  const ownName = checked ?? defaultName(identity);
  const network = new NetworkWatch(systemClock);
  return { ...environment, identity, trust, name: ownName, network, memory: NO_MEMORY };
}

/**
 * The relay that the user names, in flags or in the environment.
 * @throws as `findRelay`
 */
export function relayOf(flags: RelayFlags): Promise<Relay | undefined> {
  return findRelay(flags, (variable) => Deno.env.get(variable));
}

/**
 * The name, if somebody may go by it.
 * @throws {UsageError} that says why not
 */
export function requireName(text: string): string {
  const { name, problem } = checkName(text);
  if (name !== undefined) return name;
  throw new UsageError(`Name not usable: ${problem}`, { hint: "Take another, of up to 64 bytes." });
}

/** Nobody else's default name is the same: it would look to others as if a key had changed. */
function defaultName(identity: Identity): string {
  const user = Deno.env.get("USER") ?? Deno.env.get("USERNAME") ?? Deno.hostname();
  const name = `${user.slice(0, 32)}-${fingerprint(identity.publicKey).slice(0, 4)}`;
  return checkName(name).name ?? `peer-${fingerprint(identity.publicKey).slice(0, 4)}`;
}
