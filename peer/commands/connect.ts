/** `p2p connect`: joins a peer that listens, for chat and files. */
import { UnreachableError } from "../../protocol/errors.ts";
import { GoodbyeCode } from "../../protocol/session_frame.ts";
import { parseAddress } from "../../protocol/address.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { takeLine } from "../chat_commands.ts";
import { dialSession } from "../dialer.ts";
import { type Environment, type Host, openHost, relayOf } from "../host.ts";
import { Receiving } from "../receiving.ts";
import { Room } from "../room.ts";
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
  const host = await openHost(environment, flags.name);
  const receiving = new Receiving(host, screen, {
    folder: flags.dir,
    accept: flags.yes,
    conflict: flags.conflict,
  });
  const room = new Room(host, receiving);
  const session = await dialSession(routeTo(target, host), host);
  const visit = room.enter(session, true);
  const typed = say(host, room, screen);
  const { end } = await Promise.race([visit, typed.then(() => visit)]);
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

/** Says what is typed until there is no more, then ends the session when all of it has arrived. */
async function say(host: Host, room: Room, screen: Screen): Promise<void> {
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
