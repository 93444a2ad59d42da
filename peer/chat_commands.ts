/** What is typed in a chat: lines to say, and commands that begin with a slash. */
import { type Address, formatAddress } from "../protocol/address.ts";
import { FileError, P2pError } from "../protocol/errors.ts";
import { fingerprint } from "../protocol/fingerprint.ts";
import { collectSources } from "../transfer/walk.ts";
import { splitAddressee } from "./addressee.ts";
import { historyFields, historyLine, partyOf } from "./history/entry.ts";
import { keepFiles } from "./history/keep_files.ts";
import { type Host, requireName } from "./host.ts";
import { localPath } from "./local_path.ts";
import type { Peer, Room } from "./room.ts";
import { nameOf, sendSources } from "./sending.ts";
import { escapeText } from "./terminal/escape.ts";
import { textWidth } from "./terminal/width.ts";
import { describe } from "./words.ts";

/** What begins with a slash: its name, what stands behind it, what it does. */
export const COMMANDS = [
  { name: "msg", takes: "NAME TEXT", does: "say a line to one alone" },
  {
    name: "send",
    takes: "[NAME] PATH",
    does: "send a file or folder to everybody here, or to one",
  },
  { name: "history", takes: "[N]", does: "the last lines, 20 or N, with those who are here" },
  { name: "l", takes: "", does: "who is here" },
  { name: "p", takes: "", does: "who they are, where they listen, the path the bytes take" },
  { name: "nick", takes: "NAME", does: "go by another name" },
  { name: "kick", takes: "NAME [WORDS]", does: "send somebody away, and let their key in no more" },
  { name: "help", takes: "", does: "this" },
  { name: "quit", takes: "", does: "say goodbye and end" },
] as const;

/** Lines that /history shows. */
const HISTORY_LINES = 20;

/** What becomes of the chat after a line. */
export type AfterLine = "go on" | "quit";

/**
 * Says the line, or does what it commands. Errors of commands are told and leave the chat as it is.
 */
export async function takeLine(host: Host, room: Room, line: string): Promise<AfterLine> {
  if (!line.startsWith("/") || line.startsWith("//")) {
    if (line !== "") await room.mesh.say(line.startsWith("//") ? line.slice(1) : line);
    return "go on";
  }
  const [, command = "", argument = ""] = /^\/(\S*)\s*(.*?)\s*$/su.exec(line)!;
  if (command === "quit") return "quit";
  try {
    await runCommand(host, room, command, argument);
  } catch (error) {
    host.output.error(describe(error));
  }
  return "go on";
}

async function runCommand(
  host: Host,
  room: Room,
  command: string,
  argument: string,
): Promise<void> {
  switch (command) {
    case "msg":
      return await sayToOne(host, room, argument);
    case "send":
      return await send(host, room, argument);
    case "kick":
      return await kick(host, room, argument);
    case "history":
      return await showHistory(host, room, argument);
    case "l":
      return listNames(host, room);
    case "p":
      return listPeers(host, room);
    case "nick":
      room.rename(requireName(argument));
      return host.output.say(`You are now called ${host.name}`);
    case "help":
      return host.output.say(...help());
    default:
      throw new P2pError(`Unknown command: /${command}`, { hint: "/help lists them." });
  }
}

async function sayToOne(host: Host, room: Room, argument: string): Promise<void> {
  const { mesh, chatting } = room;
  const here = chatting.map(partyOf);
  const everybody = [...here, ...mesh.absent];
  const { name, rest: text, among } = addresseeOf(everybody, argument, "/msg NAME TEXT");
  if (text === "") throw new P2pError("Nothing said: no text", { hint: "/msg NAME TEXT" });
  // Who is here is meant, if somebody who is not goes by the same name.
  const [to] = among;
  await mesh.sayPrivately([to!], text);
  const later = here.includes(to!) ? "" : ", who is away: kept for an hour";
  host.output.say(`To ${name} (privately${later}): ${text}`);
}

async function kick(host: Host, room: Room, argument: string): Promise<void> {
  const { name, rest: words, among } = addresseeOf(room.peers, argument, "/kick NAME [WORDS]");
  host.output.say(`${name} is sent away, and not let in again until p2p ends`);
  await room.sendAway(among, words);
}

/**
 * Who is meant by the name at the front, and what stands behind it.
 * @throws {P2pError} if it is nobody among these
 */
function addresseeOf<Somebody extends { name: string }>(
  all: readonly Somebody[],
  argument: string,
  usage: string,
) {
  const addressed = splitAddressee(all.map(({ name }) => name), argument);
  if (addressed) return { ...addressed, among: all.filter(({ name }) => name === addressed.name) };
  if (argument === "") throw new P2pError("Nobody was named", { hint: usage });
  const names = all.map(({ name }) => name).join(", ");
  throw new P2pError(`Nobody here is called ${argument.split(/\s/, 1)[0]}`, {
    hint: names ? `Here: ${names}` : "Wait until somebody has come.",
  });
}

/** Begins to send; the chat goes on meanwhile. */
async function send(host: Host, room: Room, argument: string): Promise<void> {
  if (argument === "") {
    throw new P2pError("Nothing sent: no file was named", { hint: "/send PATH" });
  }
  if (argument === "-") {
    throw new FileError("Nothing sent: standard input is what you type here", {
      hint: "Send it with: p2p send --address ADDRESS --file -",
    });
  }
  if (room.chatting.length === 0) {
    throw new P2pError("Nothing sent: nobody is here", { hint: "Wait until somebody has come." });
  }
  const { to, path } = await whatToSend(room, argument);
  const sources = await collectSources([path], { signal: host.signal });
  for (const peer of to) {
    const { output, signal } = host;
    const options = { output, signal, peer: peer.name, oneOfMany: to.length > 1 };
    const sending = sendSources(peer.session, sources, options).then(({ items }) => {
      const what = { from: host.name, items, name: nameOf(sources) };
      keepFiles(host.history, { sent: true, party: partyOf(peer), ...what });
    });
    room.track(sending).catch((error) => output.error(describe(error)));
  }
}

/**
 * Whether the argument is a path, or a name and a path: whatever is there to be sent.
 * @throws {P2pError} if it can be either
 */
async function whatToSend(room: Room, argument: string): Promise<{ to: Peer[]; path: string }> {
  const all = { to: room.chatting, path: localPath(argument) };
  const named = splitAddressee(room.chatting.map(({ name }) => name), argument);
  if (!named || named.rest === "") return all;
  const { name, rest } = named;
  const one = { to: room.chatting.filter((peer) => peer.name === name), path: localPath(rest) };
  if (!await exists(all.path)) return one;
  if (!await exists(one.path)) return all;
  throw new P2pError(`Nothing sent: there is a ${argument}, and a ${rest} for ${name}`, {
    hint: `/send "${argument}" to all, or /send "${name}" ${rest} to one`,
  });
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** The last lines with those who are here; where nobody is, with everybody. */
async function showHistory(host: Host, room: Room, argument: string): Promise<void> {
  const { history, output } = host;
  if (!/^([1-9]\d{0,5})?$/.test(argument)) {
    throw new P2pError("Nothing shown: how many lines is a number", { hint: "/history 50" });
  }
  if (!history) {
    throw new P2pError("Nothing shown: this chat goes without history", {
      hint: "Start p2p without --no-history and P2P_NO_HISTORY.",
    });
  }
  const present = room.chatting.map(({ session }) => session.remoteKey);
  const entries = await history.read({
    keys: present.length > 0 ? present : undefined,
    last: argument === "" ? HISTORY_LINES : Number(argument),
  });
  if (entries.length === 0) output.say("Nothing is kept of those who are here yet.");
  output.say(...entries.map(historyLine));
  for (const entry of entries) output.event("history", historyFields(entry));
}

function help(): string[] {
  const rows = COMMANDS.map(({ name, takes, does }) => [`/${name} ${takes}`.trimEnd(), does]);
  return [
    ...alignColumns(rows),
    "A line that begins with // is said with one slash. Tab completes commands, names and paths.",
  ];
}

function listNames(host: Host, room: Room): void {
  const names = room.peers.map(({ name, session }) =>
    session.state === "away" ? `${name} (away)` : name
  );
  const absent = room.mesh.absent.map(({ name }) => `${name} (away)`);
  host.output.say(`Here: ${[`${host.name} (you)`, ...names, ...absent].join(", ")}`);
  tellPeers(host, room);
}

function listPeers(host: Host, room: Room): void {
  const { mesh, peers } = room;
  const own = [`${host.name} (you)`, fingerprint(host.identity.publicKey)];
  const rows = peers.map((peer) => {
    const { name, fingerprint, address, path, state, roundTripMs } = describePeer(room, peer);
    const roundTrip = roundTripMs === undefined ? "" : `${roundTripMs} ms`;
    const listening = place(mesh.addressesOf(peer));
    return [name, fingerprint, listening, address, state === "away" ? "away" : path, roundTrip];
  });
  const absent = mesh.absent.map(({ name, key }) => [name, fingerprint(key), "", "", "away"]);
  host.output.say(
    ...alignColumns([
      ["NAME", "KEY", "LISTENS AT", "ADDRESS", "PATH", "ROUND TRIP"],
      [...own, place(mesh.ownAddresses)],
      ...rows,
      ...absent,
    ]),
  );
  tellPeers(host, room);
}

function tellPeers({ output }: Host, room: Room): void {
  const peers = room.peers.map((peer) => describePeer(room, peer));
  const away = room.mesh.absent.map(({ name, key }) => ({ name, fingerprint: fingerprint(key) }));
  output.event("peers", { peers, away });
}

/** One address for people: the likeliest; "-" for who does not listen. */
function place([address]: readonly Address[]): string {
  return address ? formatAddress(address) : "-";
}

/** The rows as lines, each column as wide as its widest cell. */
export function alignColumns(rows: string[][]): string[] {
  const cells = rows.map((row) => row.map(escapeText));
  const widths = cells.reduce<number[]>(
    (widest, row) =>
      row.map((cell, i) => Math.max(textWidth(cell), widest[i] ?? 0)).concat(
        widest.slice(row.length),
      ),
    [],
  );
  return cells.map((row) =>
    row.map((cell, i) => cell + " ".repeat(widths[i]! - textWidth(cell))).join("  ").trimEnd()
  );
}

function describePeer(room: Room, peer: Peer) {
  const { name, session } = peer;
  const { remote: address, path, state, roundTrip } = session;
  return {
    name,
    address,
    fingerprint: fingerprint(session.remoteKey),
    listening: room.mesh.addressesOf(peer).map(formatAddress),
    path,
    state,
    roundTripMs: roundTrip === undefined ? undefined : Math.round(roundTrip * 10) / 10,
  };
}
