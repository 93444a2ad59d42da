/** `p2p listen`: waits for peers, for chat and files. */
import { DEFAULT_PORT } from "../../protocol/address.ts";
import { UsageError } from "../../protocol/errors.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { takeLine } from "../chat_commands.ts";
import { chatCompleter } from "../chat_completion.ts";
import { type Environment, type Host, relayOf } from "../host.ts";
import type { Output } from "../output.ts";
import type { Route } from "../route.ts";
import { parseTarget, routeTo } from "../target.ts";
import { Screen } from "../terminal/screen.ts";
import { describe } from "../words.ts";
import { announce } from "./announce.ts";
import { join } from "./join.ts";
import { openChattingHost } from "./kept.ts";
import { listenInPlain } from "./plain.ts";
import { Waiting } from "./waiting.ts";

type Arguments = ParsedFlags<typeof COMMANDS.listen>;

/** @param opened the screen, if there is one already: it is closed at the end in any case */
export async function listen(
  environment: Environment,
  { flags }: Arguments,
  opened?: Screen,
): Promise<void> {
  using screen = opened ?? Screen.open({ onInterrupt: environment.interrupt });
  environment.output.screen = screen;
  if (flags.plain) return await listenInPlain(environment, screen, flags);
  if (flags.stdout) keepStdoutPure(environment.output);
  checkAnnounce(flags);
  const relay = await relayOf(flags);
  if (flags["relay-only"] && !relay) throw noRelay();
  await using host = await openChattingHost(environment, flags);
  const targets = await Promise.all(
    (flags.peer ?? []).map((peer) => parseTarget(peer, () => Promise.resolve(relay))),
  );
  const routes = await Promise.all(
    targets.map((target) => routeTo(target, host, flags["relay-only"])),
  );
  await using waiting = new Waiting(host, screen, {
    host: flags.host,
    port: flags.port ?? DEFAULT_PORT,
    relay,
    relayOnly: flags["relay-only"],
    announce: flags.announce,
    folder: flags.dir,
    accept: flags.yes || flags.stdout,
    conflict: flags.conflict,
    toStdout: flags.stdout,
  });
  announce(host.output, waiting.listener.addresses, { plain: false });
  joinPeers(host, waiting, routes);
  if (flags.rejoin && !waiting.room.mesh.lookForMembers()) {
    host.output.say("Nobody to look for: nobody has been met yet.");
  }
  sayWhileWaiting(host, waiting, screen);
  await waiting.serve(flags.once);
}

/** Joins whom the user has named, as long as it is waited. */
function joinPeers(host: Host, waiting: Waiting, routes: readonly Route[]): void {
  const over = new AbortController();
  waiting.listener.closed.then(() => over.abort());
  const signal = AbortSignal.any([host.signal, over.signal]);
  for (const route of routes) join(host, waiting.room, route, signal);
}

function noRelay(): UsageError {
  return new UsageError("--relay-only not used: there is no relay to come through", {
    hint: "Name one with --relay HOST:PORT or P2P_RELAY, or leave --relay-only out.",
  });
}

/** @throws {UsageError} if everybody here is to be told of a port that nobody is to take */
function checkAnnounce(flags: Arguments["flags"]): void {
  if (!flags.announce || !flags["relay-only"]) return;
  throw new UsageError("--announce and --relay-only do not go together", {
    hint: "Leave one of them out: who is announced is reached straight.",
  });
}

/**
 * Standard output is for what a peer sends, and for nothing else.
 * @throws {UsageError} if events are to go there, too
 */
export function keepStdoutPure(output: Output): void {
  output.chatStream = "stderr";
  if (!output.json) return;
  throw new UsageError("--stdout and --json do not go together: both need standard output", {
    hint: "Leave one of them out.",
  });
}

/**
 * Says what is typed, and tells of what could not be read. At a terminal the end of input ends the
 * program; elsewhere it goes on waiting.
 */
export async function sayWhileWaiting(
  host: Host,
  waiting: Waiting,
  screen: Screen,
): Promise<void> {
  screen.completer = chatCompleter(waiting.room);
  try {
    for await (const line of screen.lines()) {
      if (await takeLine(host, waiting.room, line) === "quit") return waiting.close();
    }
    if (screen.interactive) waiting.close();
  } catch (error) {
    host.output.error(describe(error));
  }
}
