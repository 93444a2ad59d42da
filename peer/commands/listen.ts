/** `p2p listen`: waits for peers, for chat and files. */
import { type P2pError, UsageError } from "../../protocol/errors.ts";
import { GoodbyeCode } from "../../protocol/session_frame.ts";
import { DEFAULT_PORT } from "../../protocol/address.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { takeLine } from "../chat_commands.ts";
import { type Environment, type Host, openHost, relayOf } from "../host.ts";
import { Listener } from "../listener.ts";
import type { Output } from "../output.ts";
import { Receiving } from "../receiving.ts";
import { Registration } from "../registration.ts";
import type { Relay } from "../relay_address.ts";
import { Room, type Visit } from "../room.ts";
import { Screen } from "../terminal/screen.ts";
import { describe } from "../words.ts";
import { announce } from "./announce.ts";
import { listenInPlain } from "./plain.ts";

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
  const relay = await relayOf(flags);
  const host = await openHost(environment, flags.name);
  const receiving = new Receiving(host, screen, {
    folder: flags.dir,
    accept: flags.yes || flags.stdout,
    conflict: flags.conflict,
    toStdout: flags.stdout,
  });
  await using listener = new Listener({
    host: flags.host,
    port: flags.port ?? DEFAULT_PORT,
    identity: host.identity,
    name: () => host.name,
    admit: (name, key) => host.trust.admit(name, key),
    onRefused: (remote, error) => {
      // Who was introduced tries all our addresses at once, and keeps one connection.
      const tries = registration?.introduced && error.code === "unreachable";
      if (!tries) tellRefused(host.output, remote, error);
    },
  });
  const room = new Room(host, receiving);
  const registration = relay && registrationAt(relay, host, listener);
  room.onRenamed = (name) => registration?.rename(name);
  announce(host.output, listener.addresses, { plain: false });
  const registered = keepRegistered(registration, listener);
  await serve(host, listener, room, screen, flags.once);
  const refused = await registered;
  host.signal.throwIfAborted();
  if (refused !== undefined) throw refused;
}

function registrationAt(relay: Relay, host: Host, listener: Listener): Registration {
  const { name, identity, trust, output } = host;
  return new Registration({
    relay,
    name,
    identity,
    trust,
    output,
    addresses: () => listener.addresses,
    take: (connection) => listener.take(connection),
  });
}

/**
 * Stays registered as long as it is listened: that ends if the relay does not want us.
 * @returns why it does not, or undefined
 */
async function keepRegistered(
  registration: Registration | undefined,
  listener: Listener,
): Promise<unknown> {
  if (!registration) return undefined;
  listener.closed.then(() => registration[Symbol.asyncDispose]());
  try {
    return await registration.run();
  } catch (error) {
    listener.close();
    return error;
  }
}

/** Standard output is for what a peer sends, and for nothing else. */
function keepStdoutPure(output: Output): void {
  output.chatStream = "stderr";
  if (!output.json) return;
  throw new UsageError("--stdout and --json do not go together: both need standard output", {
    hint: "Leave one of them out.",
  });
}

/** Takes peers in until the user ends it or, with --once, the first visit is complete. */
async function serve(
  host: Host,
  listener: Listener,
  room: Room,
  screen: Screen,
  once: boolean,
): Promise<void> {
  const interrupted = Promise.withResolvers<void>();
  function end(): void {
    listener.close();
    interrupted.resolve();
  }
  host.signal.addEventListener("abort", end);
  say(host, room, screen, listener).catch((error) => host.output.error(describe(error)));
  for await (const session of listener.sessions) {
    room.enter(session, false).then((visit) => {
      if (once && isComplete(visit)) listener.close();
    });
  }
  // A peer that takes nothing, or sends without end, must not keep the user from ending it.
  if (!host.signal.aborted) await Promise.race([room.settle(), interrupted.promise]);
  await room.close(host.signal.aborted ? GoodbyeCode.interrupted : GoodbyeCode.done);
  host.signal.removeEventListener("abort", end);
}

/**
 * A visit that came to nothing does not count; one that broke off does if it had brought what it
 * came for.
 */
function isComplete({ peer, end, received }: Visit): boolean {
  return received || (peer.here && end.error === undefined);
}

/**
 * Says what is typed. At a terminal the end of input ends the program; elsewhere it goes on
 * listening.
 */
async function say(host: Host, room: Room, screen: Screen, listener: Listener): Promise<void> {
  for await (const line of screen.lines()) {
    if (await takeLine(host, room, line) === "quit") return listener.close();
  }
  if (screen.interactive) listener.close();
}

function tellRefused(output: Output, remote: string, error: P2pError): void {
  if (error.code === "identity") output.warn(error.message, error.hint ?? "");
  else output.say(`Connection from ${remote} came to nothing: ${error.message}`);
}
