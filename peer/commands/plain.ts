/**
 * `listen --plain` and `connect --plain`: chat with nc, the original program, and whatever else
 * speaks lines of text.
 */
import { type P2pError, UsageError } from "../../protocol/errors.ts";
import { DIAL_TIMEOUT_MS, MAX_SESSIONS } from "../../protocol/limits.ts";
import { type Address, DEFAULT_PORT } from "../../protocol/address.ts";
import { acceptEach, openSockets, reachableAddresses } from "../carrier/listen_tcp.ts";
import { dialTcp } from "../carrier/tcp.ts";
import type { AfterLine } from "../chat_commands.ts";
import type { Environment } from "../host.ts";
import { PLAIN_WARNING, PlainRoom } from "../plain.ts";
import type { Screen } from "../terminal/screen.ts";
import { describe } from "../words.ts";
import { announce } from "./announce.ts";

/** Flags that mean nothing without names, files and relays. */
const USELESS = [
  "name",
  "dir",
  "yes",
  "conflict",
  "stdout",
  "relay",
  "relay-only",
  "password-file",
  "announce",
] as const;
type UselessFlags = { [flag in typeof USELESS[number]]?: unknown };

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
  refuseFlags(flags, USELESS, "plain chat has no names, no files and no relay");
}

/** Dials, and chats until either side ends it. */
export async function connectInPlain(
  { output, signal }: Environment,
  screen: Screen,
  address: Address,
  flags: UselessFlags,
): Promise<void> {
  checkFlags(flags);
  const room = new PlainRoom(output);
  const timeout = AbortSignal.timeout(DIAL_TIMEOUT_MS);
  const connection = await dialTcp(address, AbortSignal.any([signal, timeout]));
  output.warn(PLAIN_WARNING);
  const close = () => room.close();
  signal.addEventListener("abort", close);
  const visit = room.enter(connection, true);
  const typed = say(room, screen).then((after) => after === "quit" ? close() : room.finish());
  const error = await Promise.race([visit, typed.then(() => visit)]);
  signal.removeEventListener("abort", close);
  signal.throwIfAborted();
  if (error && !room.closed) throw error;
}

/** Takes plain connections until the user ends it or, with `once`, the first one has ended. */
export async function listenInPlain(
  { output, signal }: Environment,
  screen: Screen,
  flags: { host: string | undefined; port: number | undefined; once: boolean } & UselessFlags,
): Promise<void> {
  checkFlags(flags);
  const sockets = openSockets(flags.host, flags.port ?? DEFAULT_PORT);
  const room = new PlainRoom(output);
  function close(): void {
    for (const socket of sockets.splice(0)) socket.close();
    room.close();
  }
  output.warn(PLAIN_WARNING);
  announce(output, reachableAddresses(flags.host, sockets[0]!.addr.port), { plain: true });
  signal.addEventListener("abort", close);
  function left(remote: string, error: P2pError | undefined): void {
    if (error && !room.closed) output.warn(`${remote} is gone: ${error.message}`);
    if (flags.once) close();
  }
  say(room, screen).then(
    (after) => (after === "quit" || screen.interactive) && close(),
    (error) => output.error(describe(error)),
  );
  await Promise.all(
    sockets.map((socket) =>
      acceptEach(socket, () => sockets.includes(socket), (connection) => {
        if (room.size >= MAX_SESSIONS) return connection.close();
        room.enter(connection, false).then((error) => left(connection.remote, error));
      })
    ),
  );
  signal.removeEventListener("abort", close);
  signal.throwIfAborted();
}

/** Says what is typed, until there is no more, or /quit. */
async function say(room: PlainRoom, screen: Screen): Promise<AfterLine> {
  for await (const line of screen.lines()) {
    if (line === "/quit") return "quit";
    await room.say(line);
  }
  return "go on";
}
