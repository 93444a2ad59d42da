/**
 * `listen --plain` and `connect --plain`: chat with nc, the original program, and whatever else
 * speaks lines of text.
 */
import { type Address, DEFAULT_PORT, formatAddress, parseAddress } from "../../protocol/address.ts";
import { type P2pError, UsageError } from "../../protocol/errors.ts";
import { DIAL_TIMEOUT_MS } from "../../protocol/limits.ts";
import { checkName } from "../../protocol/name.ts";
import { acceptEach, openSockets, reachableAddresses } from "../carrier/listen_tcp.ts";
import { dialTcp, type TcpConnection } from "../carrier/tcp.ts";
import { type AfterLine, alignColumns } from "../chat_commands.ts";
import { systemClock } from "../clock.ts";
import { type Environment, requireName } from "../host.ts";
import type { Output } from "../output.ts";
import { PLAIN_WARNING, PlainRoom } from "../plain.ts";
import type { Screen } from "../terminal/screen.ts";
import { describe } from "../words.ts";
import { announce } from "./announce.ts";

/** Flags that mean nothing without files and relays. */
const USELESS = [
  "dir",
  "yes",
  "conflict",
  "stdout",
  "relay",
  "relay-only",
  "password-file",
  "announce",
  "rejoin",
] as const;
type UselessFlags = { [flag in typeof USELESS[number]]?: unknown };

/** Where it is listened, and under which name. */
interface OwnFlags {
  host: string | undefined;
  port: number | undefined;
  name: string | undefined;
}

/**
 * Refuses flags that plain chat would silently leave aside.
 * @param useless their names
 * @throws {UsageError} that names the first of them, and why
 */
export function refuseFlags<Name extends string>(
  flags: { readonly [flag in Name]?: unknown },
  useless: readonly Name[],
  why: string,
): void {
  const given = useless.find((flag) => flags[flag] !== undefined && flags[flag] !== false);
  if (given === undefined) return;
  throw new UsageError(`--${given} does not go with --plain: ${why}`, {
    hint: "Leave out one of the two.",
  });
}

function checkFlags(flags: UselessFlags): void {
  refuseFlags(flags, USELESS, "plain chat has no files and no relay");
}

/** Dials, and chats until all have left. Who has a name, or a port, is joined by others, too. */
export async function connectInPlain(
  environment: Environment,
  screen: Screen,
  address: Address,
  flags: OwnFlags & { "no-listen": boolean } & UselessFlags,
): Promise<void> {
  checkFlags(flags);
  const { output, signal } = environment;
  const joins = [flags.name, flags.port, flags.host].some((each) => each !== undefined);
  const listens = joins && !flags["no-listen"];
  let failure: P2pError | undefined;
  const visit = openVisit(environment, {
    ...flags,
    joins,
    port: listens ? flags.port ?? 0 : undefined,
    onLeft: (name, error) => {
      failure = error;
      if (visit.room.size > 0) tellLoss(visit, output, name, error);
    },
  });
  try {
    const connection = await dial(address, signal);
    output.warn(PLAIN_WARNING);
    if (listens) tellOwnAddress(output, visit.addresses[0]!);
    visit.room.enter(connection, "named", address);
    visit.serve();
    const said = say(output, visit.room, screen).then((after) =>
      after === "quit" ? visit.room.leave() : visit.room.finish()
    );
    const over = visit.room.deserted;
    await Promise.race([over, said.then(() => over)]);
    signal.throwIfAborted();
    if (failure && !visit.room.closed) throw failure;
  } finally {
    visit.close();
  }
}

/** Takes plain connections until the user ends it or, with `once`, the first one has ended. */
export async function listenInPlain(
  environment: Environment,
  screen: Screen,
  flags: OwnFlags & { peer: string[]; once: boolean } & UselessFlags,
): Promise<void> {
  checkFlags(flags);
  const { output, signal } = environment;
  const peers = flags.peer.map((each) => parseAddress(each));
  const visit = openVisit(environment, {
    ...flags,
    joins: flags.name !== undefined || peers.length > 0,
    port: flags.port ?? DEFAULT_PORT,
    onLeft: (name, error) => {
      tellLoss(visit, output, name, error);
      if (flags.once) visit.close();
    },
  });
  output.warn(PLAIN_WARNING);
  announce(output, visit.addresses, { plain: true });
  for (const peer of peers) visit.room.join(peer);
  say(output, visit.room, screen).then(
    async (after) => {
      if (after === "quit" || screen.interactive) await visit.room.leave();
      if (visit.room.closed) visit.close();
    },
    (error) => output.error(describe(error)),
  );
  await visit.serve();
  visit.close();
  signal.throwIfAborted();
}

/** A room, and the sockets on which others come to it. */
interface PlainVisit {
  room: PlainRoom;
  /** Those at which others reach it, the likeliest first; none where it does not listen. */
  addresses: Address[];
  /** Takes in who comes; resolves when it has been closed. */
  serve: () => Promise<void>;
  close: () => void;
}

interface VisitOptions extends OwnFlags {
  joins: boolean;
  onLeft: (name: string, error: P2pError | undefined) => void;
}

/**
 * Listens, unless there is no port.
 * @throws {UsageError} if the name cannot be one
 * @throws as `openSockets`
 */
function openVisit({ output, signal }: Environment, options: VisitOptions): PlainVisit {
  const { host, port, joins, onLeft } = options;
  const nodeId = crypto.randomUUID();
  const name = ownName(options.name, nodeId);
  const sockets = port === undefined ? [] : openSockets(host, port);
  const listening = sockets[0] && { host: sockets[0].addr.hostname, port: sockets[0].addr.port };
  const clock = systemClock;
  const room = new PlainRoom({ output, clock, nodeId, name, joins, listening, dial, onLeft });
  function close(): void {
    signal.removeEventListener("abort", close);
    for (const socket of sockets.splice(0)) socket.close();
    room.close();
  }
  signal.addEventListener("abort", close);
  async function serve(): Promise<void> {
    await Promise.all(
      sockets.map((socket) =>
        acceptEach(socket, () => sockets.includes(socket), (connection) => {
          room.enter(connection, "accepted");
        })
      ),
    );
  }
  return {
    room,
    addresses: listening ? reachableAddresses(host, listening.port) : [],
    serve,
    close,
  };
}

async function dial(address: Address, signal: AbortSignal): Promise<TcpConnection> {
  return await dialTcp(address, AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]));
}

/**
 * As given with --name; else P2P_NAME, else the user's and a piece of the node's id.
 * @throws {UsageError} if it cannot be a name
 */
function ownName(given: string | undefined, nodeId: string): string {
  const chosen = given ?? (Deno.env.get("P2P_NAME") || undefined);
  if (chosen !== undefined) return requireName(chosen);
  const user = Deno.env.get("USER") ?? Deno.env.get("USERNAME") ?? Deno.hostname();
  const piece = nodeId.slice(0, 4);
  return checkName(`${user.slice(0, 32)}-${piece}`).name ?? `peer-${piece}`;
}

function tellOwnAddress(output: Output, address: Address): void {
  const text = formatAddress(address);
  output.say(`Others of the chat join you at ${text}`);
  output.event("listening", { address: text });
}

function tellLoss(
  { room }: PlainVisit,
  output: Output,
  name: string,
  error: P2pError | undefined,
): void {
  if (error && !room.closed) output.warn(`${name} is gone: ${error.message}`);
}

/** Says what is typed, until there is no more, or /quit. */
async function say(output: Output, room: PlainRoom, screen: Screen): Promise<AfterLine> {
  for await (const line of screen.lines()) {
    if (line === "/quit") return "quit";
    if (line === "/l") listNames(output, room);
    else if (line === "/p") listMembers(output, room);
    else await room.say(line);
  }
  return "go on";
}

function listNames(output: Output, { members: { own, others } }: PlainRoom): void {
  const names = others.map(({ name }) => name);
  output.say(`Here: ${[`${own.name} (you)`, ...names].join(", ")}`);
  output.event("peers", { peers: others });
}

/** Name, node, where it listens, where it is connected. */
function listMembers(output: Output, { members: { own, others } }: PlainRoom): void {
  const rows = others.map((each) => [
    each.name,
    each.node ?? "-",
    each.listen ?? "-",
    each.address,
    each.path,
  ]);
  const ownRow = [`${own.name} (you)`, own.node, own.listen ?? "-"];
  output.say(...alignColumns([ownRow, ...rows]));
  output.event("peers", { peers: others });
}
