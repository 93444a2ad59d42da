/** `p2p connect`: joins a peer that listens, for chat and files. */
import { UnreachableError } from "../../protocol/errors.ts";
import { GoodbyeCode } from "../../protocol/session_frame.ts";
import { parseAddress } from "../../protocol/address.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { takeLine } from "../chat_commands.ts";
import { chatCompleter } from "../chat_completion.ts";
import { dialSession } from "../dialer.ts";
import { type Environment, type Host, openHost, relayOf } from "../host.ts";
import { openHistory } from "../history/history.ts";
import { Receiving } from "../receiving.ts";
import { Room } from "../room.ts";
import type { Route } from "../route.ts";
import type { SessionEnd } from "../session.ts";
import { parseTarget, routeTo } from "../target.ts";
import { Screen } from "../terminal/screen.ts";
import { connectInPlain } from "./plain.ts";

type Arguments = ParsedFlags<typeof COMMANDS.connect>;

/** @param opened the screen, if there is one already: it is closed at the end in any case */
export async function connect(
  environment: Environment,
  { flags, operands }: Arguments,
  opened?: Screen,
): Promise<void> {
  const operand = operands[0]!;
  // Plain chat knows no names, and no relays.
  const target = flags.plain
    ? { address: parseAddress(operand) }
    : await parseTarget(operand, () => relayOf(flags));
  using screen = opened ?? Screen.open({ onInterrupt: environment.interrupt });
  environment.output.screen = screen;
  if (flags.plain) return await connectInPlain(environment, screen, parseAddress(operand), flags);
  await using history = openHistory(environment.output, flags["no-history"]);
  const host = { ...await openHost(environment, flags.name), history };
  const receiving = new Receiving(host, screen, {
    folder: flags.dir,
    accept: flags.yes,
    conflict: flags.conflict,
  });
  const room = new Room(host, receiving);
  const route = routeTo(target, host, flags["relay-only"]);
  await visit(host, room, screen, { route, signal: host.signal });
}

/** How somebody is visited. */
interface VisitOptions {
  route: Route;
  /** Ends the dialling. */
  signal: AbortSignal;
  /** Whether it is over with the visit, whoever else is in the room. */
  once?: boolean;
}

/**
 * Joins whom the route leads to, says what is typed there, and stays until one side ends it; where
 * others have come into the room meanwhile, until they have left, too.
 * @throws as `dialSession`
 * @throws {P2pError} why the session ended, or what could not be read of the input
 */
export async function visit(
  host: Host,
  room: Room,
  screen: Screen,
  { route, signal, once = false }: VisitOptions,
): Promise<void> {
  const session = await dialSession(route, { name: host.name, signal, network: host.network });
  const visiting = room.enter(session, true);
  const typed = say(host, room, screen);
  const { end } = await Promise.race([visiting, typed.then(() => visiting)]);
  if (!once) await leftAlone(host, room, { end, typed });
  host.signal.throwIfAborted();
  if (end.error) throw end.error;
  if (end.undelivered && !end.byUs && !screen.interactive) {
    throw new UnreachableError(`${session.remoteName} left before all of the input had arrived`, {
      hint: "Send it as a file, or again when they are back.",
    });
  }
  // What could not be read of the input ended it, too, and is the reason to tell.
  if (end.byUs) await typed;
}

/** Those who are still here need not leave because of one who has. */
async function leftAlone(
  { output }: Host,
  room: Room,
  { end, typed }: { end: SessionEnd; typed: Promise<void> },
): Promise<void> {
  if (room.peers.length === 0) return;
  if (end.error) output.warn(end.error.message);
  await Promise.race([room.deserted(), typed]);
}

/** Says what is typed until there is no more, then ends the session when all of it has arrived. */
async function say(host: Host, room: Room, screen: Screen): Promise<void> {
  screen.completer = chatCompleter(room);
  const end = () => room.close(GoodbyeCode.interrupted);
  host.signal.addEventListener("abort", end);
  try {
    for await (const line of screen.lines()) {
      if (await takeLine(host, room, line) === "quit") break;
    }
  } finally {
    await room.settle();
    await room.close();
    host.signal.removeEventListener("abort", end);
  }
}
