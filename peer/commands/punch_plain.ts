/** `punch --plain`: chats over UDP with whoever speaks Peer-Punch's protocol, through NATs. */
import { formatAddress, isLocal } from "../../protocol/address.ts";
import { sleep } from "../../protocol/clock.ts";
import { P2pError, UnreachableError } from "../../protocol/errors.ts";
import type { COMMANDS, Flags } from "../args.ts";
import { resolveHost } from "../carrier/resolve.ts";
import { openUdp, type UdpSocket } from "../carrier/udp.ts";
import { systemClock } from "../clock.ts";
import type { Host } from "../host.ts";
import { NO_SUCH_HOST } from "../network_error.ts";
import type { Output } from "../output.ts";
import { PLAIN_WARNING } from "../plain.ts";
import { PlainPunch, type PlainPunchEvent } from "../plain_punch.ts";
import { formatRelay, formatRelayWithKey, type Relay } from "../relay_address.ts";
import { shellWord } from "../shell_word.ts";
import type { Screen } from "../terminal/screen.ts";
import { describe } from "../words.ts";
import { refuseFlags } from "./plain.ts";

/** Flags that mean nothing without files and passwords. */
const USELESS = ["dir", "yes", "conflict", "stdout", "password-file", "announce"] as const;
/** Milliseconds between lines: nobody else keeps them from coming faster than they are heard. */
const LINE_GAP_MS = 20;

type PunchFlags = Flags<typeof COMMANDS.punch>;

/** @throws {UsageError} if a flag is given that plain chat would silently leave aside */
export function checkPlainFlags(flags: PunchFlags): void {
  refuseFlags(flags, USELESS, "plain chat has no files and no passwords");
}

/**
 * Registers, and chats with whom it visits, or with one after the other of those who come.
 * @throws as `PlainPunch.over`
 */
export async function punchInPlain(
  host: Host,
  screen: Screen,
  { relay, flags }: { relay: Relay; flags: PunchFlags },
): Promise<void> {
  const relayName = formatRelay(relay);
  const address = await resolveHost(relay.address, { preferIpv4: true }) ?? noSuchHost(relayName);
  const socket = openUdp(address.host.includes(":") ? "::" : "0.0.0.0", flags.port ?? 0);
  host.output.warn(PLAIN_WARNING);
  const talk = new Talk(host, relay);
  let sending = Promise.resolve();
  const punch = new PlainPunch({
    name: host.name,
    to: flags.to,
    relay: address,
    relayName,
    clock: systemClock,
    send: (bytes, to) => {
      sending = socket.send(bytes, to);
    },
    tell: (event) => {
      talk.tell(event);
      if (event.type === "left" && flags.once) punch.leave();
    },
  });
  try {
    receive(socket, punch);
    await converse(host, screen, { punch, talk, visiting: flags.to !== undefined });
  } finally {
    await punch.leave();
    await sending;
    socket.close();
  }
}

function noSuchHost(relay: string): never {
  throw new UnreachableError(`Could not reach the relay ${relay}: ${NO_SUCH_HOST}`, {
    hint: "Check the spelling of the host's name.",
  });
}

async function receive(socket: UdpSocket, punch: PlainPunch): Promise<void> {
  for (let next = await socket.receive(); next; next = await socket.receive()) {
    punch.receive(next.bytes, next.from);
  }
}

/** Until it is over, or the user ends it. What is typed by who visits waits until somebody is there. */
async function converse(
  host: Host,
  screen: Screen,
  { punch, talk, visiting }: { punch: PlainPunch; talk: Talk; visiting: boolean },
): Promise<void> {
  const leave = () => punch.leave();
  host.signal.addEventListener("abort", leave);
  if (host.signal.aborted) leave();
  try {
    if (visiting) await Promise.race([talk.begun, punch.over]);
    await Promise.race([punch.over, say(host, screen, punch, visiting)]);
    await punch.over;
    host.signal.throwIfAborted();
  } finally {
    host.signal.removeEventListener("abort", leave);
  }
}

/** Says what is typed, until there is no more, or /quit. Who waits goes on without a terminal. */
async function say(
  host: Host,
  screen: Screen,
  punch: PlainPunch,
  visiting: boolean,
): Promise<void> {
  for await (const line of screen.lines()) {
    if (line === "/quit") return await punch.leave();
    sayLine(host.output, punch, line);
    await sleep(systemClock, LINE_GAP_MS);
  }
  if (visiting || screen.interactive) await punch.leave();
}

/** A line that is too long leaves the chat as it is. */
function sayLine(output: Output, punch: PlainPunch, line: string): void {
  try {
    if (!punch.say(line)) output.say("Nobody is here yet to read that.");
  } catch (error) {
    if (!(error instanceof P2pError)) throw error;
    output.error(describe(error));
  }
}

/** What is told of it. */
class Talk {
  readonly #host: Host;
  readonly #relay: Relay;
  readonly #begun = Promise.withResolvers<void>();

  constructor(host: Host, relay: Relay) {
    this.#host = host;
    this.#relay = relay;
  }

  /** Resolves when somebody is there. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  tell(event: PlainPunchEvent): void {
    const { output } = this.#host;
    switch (event.type) {
      case "registered":
        return this.#registered(event.again);
      case "relayLost":
        return output.warn(`Lost the relay ${formatRelay(this.#relay)}; trying again`);
      case "introduced":
        return output.say(`Opening the way to ${event.peer} at ${formatAddress(event.address)}`);
      case "connected":
        return this.#connected(event);
      case "message":
        return output.message(event.peer, event.text);
      case "flooded":
        return output.warn(`${event.peer} sends too fast: some of it is dropped`);
      case "missed":
        return output.warn(event.error.message);
      case "left":
        return this.#left(event);
    }
  }

  #registered(again: boolean): void {
    const { output, name } = this.#host;
    const relay = formatRelay(this.#relay);
    output.say(`Registered as ${name} at the relay ${relay}${again ? " again" : ""}`);
    if (!again) {
      const flag = name.startsWith("-") ? "--to=" : "--to ";
      const at = formatRelayWithKey(this.#relay);
      const command = `p2p punch --plain --relay ${at} ${flag}${shellWord(name)} --name NAME`;
      output.say("Anywhere, run:", `  ${command}`);
    }
    output.event("registered", { name, relay, plain: true });
  }

  #connected({ peer, address }: PlainPunchEvent & { type: "connected" }): void {
    const path = isLocal(address.host) ? "lan" : "punched";
    const remote = formatAddress(address);
    this.#host.output.say(`Connected to ${peer} (${remote}, ${path}, NOT encrypted)`);
    this.#host.output.event("connected", { peer, path, address: remote, plain: true });
    this.#begun.resolve();
  }

  #left({ peer, error }: PlainPunchEvent & { type: "left" }): void {
    const { output } = this.#host;
    if (error) output.warn(error.message);
    else output.say(`${peer} has left`);
    output.event("disconnected", { peer });
  }
}
