/** `p2p punch`: is found by name at a relay, through NATs, and may visit somebody by name. */
import { UsageError } from "../../protocol/errors.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { type Environment, relayOf } from "../host.ts";
import type { Relay } from "../relay_address.ts";
import { namedTarget, routeTo } from "../target.ts";
import { Screen } from "../terminal/screen.ts";
import { waitAndVisit } from "./connect.ts";
import { keepStdoutPure, sayWhileWaiting } from "./listen.ts";
import { openChattingHost } from "./kept.ts";
import { checkPlainFlags, punchInPlain } from "./punch_plain.ts";
import { Waiting } from "./waiting.ts";

type Arguments = ParsedFlags<typeof COMMANDS.punch>;

/** @throws as `listen` and `connect` */
export async function punch(environment: Environment, { flags }: Arguments): Promise<void> {
  if (flags.plain) checkPlainFlags(flags);
  const relay = requireRelay(await relayOf(flags));
  const target = flags.to === undefined ? undefined : namedTarget(flags.to, relay);
  if (flags.stdout) keepStdoutPure(environment.output);
  using screen = Screen.open({ onInterrupt: environment.interrupt });
  environment.output.screen = screen;
  await using host = await openChattingHost(environment, flags);
  checkNotSelf(host.name, flags.to);
  if (flags.plain) return await punchInPlain(host, screen, { relay, flags });
  await using waiting = new Waiting(host, screen, {
    port: flags.port ?? 0,
    relay,
    relayIs: "needed",
    announce: flags.announce,
    folder: flags.dir,
    accept: flags.yes || flags.stdout,
    conflict: flags.conflict,
    toStdout: flags.stdout,
  });
  if (target) {
    const visiting = { route: await routeTo(target, host), once: flags.once };
    return await waitAndVisit(host, waiting, screen, visiting);
  }
  sayWhileWaiting(host, waiting, screen);
  await waiting.serve(flags.once);
}

/** @throws {UsageError} if there is none */
function requireRelay(relay: Relay | undefined): Relay {
  if (relay) return relay;
  throw new UsageError("No relay to be found at: punching needs one that both sides can reach", {
    hint: "Name it with --relay HOST:PORT or P2P_RELAY; p2p relay runs one.",
  });
}

/** @throws {UsageError} if it is our own name that we are to visit */
function checkNotSelf(name: string, to: string | undefined): void {
  if (to?.normalize() !== name) return;
  throw new UsageError(`Nobody else to reach: ${name} is the name of this side`, {
    hint: "Give the other side's name with --to, and this one's with --name.",
  });
}
