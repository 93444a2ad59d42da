/** `p2p connect`: joins a peer that listens, for chat and files. */
import { UnreachableError, UsageError } from "../../protocol/errors.ts";
import { sleep } from "../../protocol/clock.ts";
import { REJOIN_MS } from "../../protocol/limits.ts";
import { GoodbyeCode } from "../../protocol/session_frame.ts";
import { parseAddress } from "../../protocol/address.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { takeLine } from "../chat_commands.ts";
import { chatCompleter } from "../chat_completion.ts";
import { systemClock } from "../clock.ts";
import { dialSession } from "../dialer.ts";
import { type Environment, type Host, relayOf } from "../host.ts";
import { Receiving } from "../receiving.ts";
import { Room } from "../room.ts";
import type { Route } from "../route.ts";
import type { SessionEnd } from "../session.ts";
import { UNREACHABLE } from "../mesh/reachable.ts";
import { ownRelay } from "../named_routes.ts";
import { parseTarget, routeTo } from "../target.ts";
import { Screen } from "../terminal/screen.ts";
import { describe } from "../words.ts";
import { openChattingHost } from "./kept.ts";
import { connectInPlain } from "./plain.ts";
import { Waiting } from "./waiting.ts";

type Arguments = ParsedFlags<typeof COMMANDS.connect>;

/** @param opened the screen, if there is one already: it is closed at the end in any case */
export async function connect(
  environment: Environment,
  { flags, operands }: Arguments,
  opened?: Screen,
): Promise<void> {
  const [operand] = operands;
  checkFlags(flags);
  // Once: a password may come from what can be read but once.
  let relayFound: ReturnType<typeof relayOf> | undefined;
  const findRelay = () => relayFound ??= relayOf(flags);
  // Plain chat knows no names, and no relays.
  const target = operand === undefined || flags.plain
    ? undefined
    : await parseTarget(operand, findRelay);
  using screen = opened ?? Screen.open({ onInterrupt: environment.interrupt });
  environment.output.screen = screen;
  if (flags.plain) {
    return await connectInPlain(environment, screen, parseAddress(requireAddress(operand)), flags);
  }
  const relay = await findRelay();
  await using host = await openChattingHost(environment, flags);
  const files = { folder: flags.dir, accept: flags.yes, conflict: flags.conflict };
  const route = target && await routeTo(target, host, flags["relay-only"]);
  if (flags["no-listen"]) {
    const room = new Room(host, new Receiving(host, screen, files));
    const relayOnly = flags["relay-only"];
    room.mesh.reachableAt({
      ...UNREACHABLE,
      relay: relay && ownRelay(host, relay, relayOnly),
      relayOnly,
    });
    return await visit(host, room, screen, { route, signal: host.signal });
  }
  await using waiting = new Waiting(host, screen, {
    ...files,
    host: flags.host,
    port: flags.port ?? 0,
    relay,
    relayIs: "optional",
    relayOnly: flags["relay-only"],
  });
  await waitAndVisit(host, waiting, screen, { route });
}

/** @throws {UsageError} if a port is named that nobody is to listen on */
function checkFlags(flags: Arguments["flags"]): void {
  const given = (["port", "host"] as const).find((flag) => flags[flag] !== undefined);
  if (!flags["no-listen"] || given === undefined) return;
  throw new UsageError(`--${given} and --no-listen do not go together`, {
    hint: "Leave one of them out: nobody listens with --no-listen.",
  });
}

/** @throws {UsageError} if there is none */
function requireAddress(operand: string | undefined): string {
  if (operand !== undefined) return operand;
  throw new UsageError("Nobody to connect to: plain chat does not remember anybody", {
    hint: "Name the address: p2p connect ADDRESS --plain",
  });
}

/** How somebody is visited. */
interface VisitOptions {
  /** The way there; undefined: to the members of the last chat. */
  route: Route | undefined;
  /** Ends the dialling. */
  signal: AbortSignal;
  /** Whether it is over with the visit, whoever else is in the room. */
  once?: boolean;
}

/** Lets in whoever comes, as long as the visit lasts. */
export async function waitAndVisit(
  host: Host,
  waiting: Waiting,
  screen: Screen,
  visiting: Omit<VisitOptions, "signal">,
): Promise<void> {
  const over = new AbortController();
  const serving = waiting.serve(false);
  const giveUp = () => over.abort(new UnreachableError("Not registered at the relay any more"));
  serving.then(giveUp, giveUp);
  const signal = AbortSignal.any([host.signal, over.signal]);
  try {
    await visit(host, waiting.room, screen, { ...visiting, signal });
  } finally {
    waiting.close();
    // Where the relay does not want us, that is why there was no visit.
    await serving;
  }
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
  if (!route) return await rejoin(host, room, screen, signal);
  const session = await dialSession(route, { ...host, signal });
  const visiting = room.enter(session, true);
  // Whom a line or a file is for is known when they have said who they are.
  await Promise.race([room.mesh.arrival, visiting]);
  const typed = say(host, room, screen);
  const { end, missed } = await Promise.race([visiting, typed.then(() => visiting)]);
  if (!once) await leftAlone(host, room, { end, typed });
  host.signal.throwIfAborted();
  if (end.error) throw end.error;
  if (missed && !end.byUs && !screen.interactive) {
    throw new UnreachableError(`${session.remoteName} left before all of the input had arrived`, {
      hint: "Send it as a file, or again when they are back.",
    });
  }
  // What could not be read of the input ended it, too, and is the reason to tell.
  if (end.byUs) await typed;
}

/**
 * Joins the members of the last chat, and stays until all of them have left.
 * @throws {UnreachableError} if none is there
 */
async function rejoin(
  host: Host,
  room: Room,
  screen: Screen,
  signal: AbortSignal,
): Promise<void> {
  if (!room.mesh.lookForMembers()) {
    throw new UnreachableError("No chat to go back to: nobody has been met yet", {
      hint: "Connect to somebody: p2p connect ADDRESS",
    });
  }
  await arrivalOf(room, signal);
  const typed = say(host, room, screen);
  await Promise.race([room.deserted(), typed]);
  host.signal.throwIfAborted();
  // What could not be read of the input ends it, too, and is the reason to tell.
  if (room.closed) await typed;
}

/** @throws {UnreachableError} if nobody is here within some seconds */
async function arrivalOf({ mesh }: Room, signal: AbortSignal): Promise<void> {
  const arrived = new AbortController();
  const waiting = sleep(systemClock, REJOIN_MS, AbortSignal.any([signal, arrived.signal]));
  const late = waiting.then(() => {
    throw new UnreachableError("Could not reach anybody of the last chats", {
      hint: "p2p listen --rejoin waits until they are there.",
    });
  });
  await Promise.race([mesh.arrival, late]).finally(() => arrived.abort());
}

/** Those who are still here need not leave because of one who has. */
async function leftAlone(
  { output }: Host,
  room: Room,
  { end, typed }: { end: SessionEnd; typed: Promise<void> },
): Promise<void> {
  if (room.peers.length === 0) return;
  if (end.error && !end.error.told) {
    output.error(describe(end.error));
    end.error.told = true;
  }
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
