/** What Tab offers in a chat: commands, names of those who are here, and paths to send. */
import { splitAddressee } from "./addressee.ts";
import { COMMANDS } from "./chat_commands.ts";
import { expandHome } from "./local_path.ts";
import type { Room } from "./room.ts";
import type { Candidate, Candidates, Completer } from "./terminal/completion.ts";

/** Entries of a folder that are looked at: in one that has more not all are offered. */
const MAX_LOOKED_AT = 20_000;
/** Behind which of these a path goes on in the next folder. */
const SEPARATORS = Deno.build.os === "windows" ? /[\\/]/ : /\//;

/** Completes for who is in the room when Tab is pressed. */
export function chatCompleter(room: Pick<Room, "chatting" | "peers">): Completer {
  return async (before) => {
    if (before.startsWith("/") && !/\s/.test(before)) return { from: 0, words: commands(before) };
    const [, command, argument] = /^\/(\S+)\s+(.*)$/su.exec(before) ?? [];
    const chatting = room.chatting.map(({ name }) => name);
    if (command === undefined) return inLine(chatting, before);
    const from = before.length - argument!.length;
    if (command === "send") return await toSend(chatting, from, argument!);
    if (command === "msg") return { from, words: namesFor(chatting, argument!) };
    const here = room.peers.map(({ name }) => name);
    return { from, words: command === "kick" ? namesFor(here, argument!) : [] };
  };
}

function commands(typed: string): Candidate[] {
  return COMMANDS.filter(({ name }) => `/${name}`.startsWith(typed))
    .map(({ name, takes }) => ({ text: `/${name}`, end: takes === "" ? "" : " " }));
}

/** A name anywhere in what is said. */
function inLine(names: readonly string[], before: string): Candidates {
  const word = /\S*$/.exec(before)![0];
  const from = before.length - word.length;
  return { from, words: word === "" ? [] : namesFor(names, word) };
}

/** The names that begin as is typed, in the quotes that it begins with. */
function namesFor(names: readonly string[], typed: string): Candidate[] {
  const quote = /^["']/.exec(typed)?.[0] ?? "";
  return [...new Set(names)].sort()
    .map((name) => ({ text: quote + name + quote, end: " ", shown: name }))
    .filter(({ text }) => text.startsWith(typed));
}

async function toSend(names: readonly string[], from: number, typed: string): Promise<Candidates> {
  const named = splitAddressee(names, typed);
  // Behind a name and a space it can only be a path.
  if (named && (named.rest !== "" || /\s$/.test(typed))) {
    return { from: from + typed.length - named.rest.length, words: await paths(named.rest) };
  }
  return { from, words: [...namesFor(names, typed), ...await paths(typed)] };
}

/** The paths that begin as is typed; none where there is no such folder. */
async function paths(typed: string): Promise<Candidate[]> {
  const { quote, folder, stem } = splitPath(typed);
  const found: Candidate[] = [];
  try {
    let looked = 0;
    for await (const entry of Deno.readDir(expandHome(folder) || ".")) {
      if (++looked > MAX_LOOKED_AT) break;
      if (isOffered(entry.name, stem)) found.push(await candidate(quote, folder, entry));
    }
  } catch {
    // No folder, or none that may be read: there is nothing to offer.
  }
  return found.sort((one, other) => one.text < other.text ? -1 : 1);
}

function splitPath(typed: string): { quote: string; folder: string; stem: string } {
  const quote = /^["']/.exec(typed)?.[0] ?? "";
  const path = typed.slice(quote.length);
  const stem = path.split(SEPARATORS).at(-1)!;
  return { quote, folder: path.slice(0, path.length - stem.length), stem };
}

/** Hidden ones only if they are asked for; none that would end or alter the line. */
function isOffered(name: string, stem: string): boolean {
  return name.startsWith(stem) && (stem !== "" || !name.startsWith(".")) && !/\p{Cc}/u.test(name);
}

async function candidate(quote: string, folder: string, entry: Deno.DirEntry): Promise<Candidate> {
  const path = quote + folder + entry.name;
  if (await isFolder(folder, entry)) return { text: `${path}/`, shown: `${entry.name}/` };
  return { text: path, end: quote, shown: entry.name };
}

async function isFolder(folder: string, entry: Deno.DirEntry): Promise<boolean> {
  if (!entry.isSymlink) return entry.isDirectory;
  const found = await Deno.stat(`${expandHome(folder)}${entry.name}`).catch(() => undefined);
  return found?.isDirectory ?? false;
}
