/** `p2p history`: prints what was said and sent, or deletes it. */
import { type FileError, P2pError, UsageError } from "../../protocol/errors.ts";
import { fingerprint } from "../../protocol/fingerprint.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { clearMesh } from "../mesh/memory/clear.ts";
import { dataFolder } from "../folders.ts";
import { historyFields, historyLine } from "../history/entry.ts";
import { historyExists, historyPath, isLocked, removeDatabase } from "../history/file.ts";
import { MAX_HISTORY_BYTES } from "../history/history.ts";
import { HistoryStore } from "../history/store.ts";
import { parseSince } from "../history/since.ts";
import type { Environment } from "../host.ts";
import { Screen } from "../terminal/screen.ts";

type Arguments = ParsedFlags<typeof COMMANDS.history>;

/** Milliseconds to wait for chats that write. */
const TIMEOUT_MS = 5_000;

/**
 * @throws {P2pError} if nobody is known by the name that is asked for
 * @throws {FileError} if the history cannot be read, or deleted
 */
export async function history(environment: Environment, { flags }: Arguments): Promise<void> {
  const since = flags.since === undefined ? undefined : parseSince(flags.since, Date.now());
  if (flags.clear && (since !== undefined || flags.last !== undefined)) {
    throw new UsageError("--clear goes with --with only: it deletes all of somebody, or all", {
      hint: "Leave out --since and --last.",
    });
  }
  const path = historyPath();
  if (!await historyExists(path)) return environment.output.say(`Nothing is kept yet in ${path}`);
  if (flags.clear) return await clear(environment, path, flags);
  using store = await open(path);
  const keys = flags.with === undefined ? undefined : keysOf(store, flags.with);
  print(environment, store, { keys, since, last: flags.last });
}

async function open(path: string): Promise<HistoryStore> {
  return await HistoryStore.open(path, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_HISTORY_BYTES });
}

function print(
  { output, signal }: Environment,
  store: HistoryStore,
  query: Parameters<HistoryStore["read"]>[0],
): void {
  for (const entry of store.read(query)) {
    signal.throwIfAborted();
    if (output.json) output.event("history", historyFields(entry));
    else output.report(historyLine(entry));
  }
}

/**
 * The keys of whoever went by this name, or has this fingerprint.
 * @throws {P2pError} if that is nobody
 */
function keysOf(store: HistoryStore, who: string): Uint8Array[] {
  const named = store.keysOf(who.normalize());
  const keys = named.length > 0 ? named : store.allKeys().filter((key) => fingerprint(key) === who);
  if (keys.length > 0) return keys;
  throw new P2pError(`Nothing is kept of anybody called ${who}`, {
    hint: "p2p history --last 20 shows with whom you spoke last.",
  });
}

async function clear(
  environment: Environment,
  path: string,
  { with: who, yes }: Arguments["flags"],
): Promise<void> {
  const { output } = environment;
  const what = who === undefined ? `All of the history in ${path}` : `The history with ${who}`;
  if (!yes && !await confirm(environment, `${what} is deleted for good. Go on? [y/N] `)) {
    return output.say("Nothing deleted");
  }
  const { entries, keys } = await clearStore(path, who);
  const held = await clearMesh(dataFolder((variable) => Deno.env.get(variable)), keys);
  output.say(entries === undefined ? `Deleted ${path}` : `Deleted: ${entries} entries`);
  if (held) {
    output.warn("A chat that goes on still has its last hour: do it again when it has ended");
  }
  output.event("cleared", { entries: entries ?? null });
}

/** What a history had that is deleted. */
interface Cleared {
  /** How many entries, if that could be read. */
  entries?: number;
  /** Whose; undefined for everybody's. */
  keys?: Uint8Array[];
}

async function clearStore(path: string, who: string | undefined): Promise<Cleared> {
  try {
    using store = await open(path);
    if (who === undefined) return { entries: store.clear() };
    const keys = keysOf(store, who);
    return { entries: store.clear(keys), keys };
  } catch (error) {
    // What cannot be read can still be removed, but not under the hands of a chat.
    if (who !== undefined || isLocked(error as FileError)) throw error;
    await removeDatabase(path);
    return {};
  }
}

async function confirm(environment: Environment, question: string): Promise<boolean> {
  using screen = Screen.open({ onInterrupt: environment.interrupt });
  if (!screen.interactive) {
    throw new UsageError("Nothing deleted: there is no terminal to ask at", {
      hint: "--yes deletes without asking.",
    });
  }
  const { signal } = environment;
  return /^y(es)?$/i.test((await screen.ask(question, { signal }))?.trim() ?? "");
}
