/** `p2p send`: brings files to a peer that listens, and ends when it has confirmed them. */
import { ResetCode } from "../../protocol/connection.ts";
import { UnreachableError, UsageError } from "../../protocol/errors.ts";
import { GoodbyeCode } from "../../protocol/session_frame.ts";
import { collectSources, type Sources } from "../../transfer/walk.ts";
import { parseAddress } from "../../protocol/address.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { dialSession } from "../dialer.ts";
import { type Environment, type Host, openHost, relayOf } from "../host.ts";
import type { Route } from "../route.ts";
import { sendSources } from "../sending.ts";
import type { Session } from "../session.ts";
import { namedTarget, routeTo, type Target } from "../target.ts";
import { Screen } from "../terminal/screen.ts";
import { Whereabouts, type WhereaboutsWords } from "../whereabouts.ts";

type Arguments = ParsedFlags<typeof COMMANDS.send>;

const WORDS: WhereaboutsWords = {
  away: (_name, reason) => `Lost the connection (${reason}); trying again`,
  back: () => "Connected again, going on",
};

/** @throws as `dialSession` and `sendSources` */
export async function send(
  environment: Environment,
  { flags, operands }: Arguments,
): Promise<void> {
  const paths = [...flags.file, ...operands];
  checkWhom(flags);
  if (paths.length === 0) {
    throw new UsageError("Nothing to send: no file was named", {
      hint: "Name files or folders with --file, or - for standard input.",
    });
  }
  const target = await targetOf(flags);
  const sources = await collectSources(paths, { signal: environment.signal });
  using screen = Screen.open({ input: false });
  environment.output.screen = screen;
  const host = await openHost(environment, flags.name);
  const route = await routeTo(target, host, flags["relay-only"]);
  while (!await attempt(host, route, sources));
}

/** @throws {UsageError} unless exactly one peer is named */
function checkWhom({ address, to }: Arguments["flags"]): void {
  if (address !== undefined && to !== undefined) {
    throw new UsageError("Two peers to send to: both --address and --to were given", {
      hint: "Leave one of them out.",
    });
  }
  if (address === undefined && to === undefined) {
    throw new UsageError("Nobody to send to: no peer was named", {
      hint: "Name the peer with --address ADDRESS, or --to NAME.",
    });
  }
}

async function targetOf(flags: Arguments["flags"]): Promise<Target> {
  if (flags.to === undefined) return { address: parseAddress(flags.address!) };
  return namedTarget(flags.to, await relayOf(flags));
}

/**
 * Sends in one session. False if the other side was started anew meanwhile: it then goes on with
 * what it has.
 */
async function attempt(host: Host, route: Route, sources: Sources): Promise<boolean> {
  const session = await dialSession(route, host);
  const { output, signal } = host;
  const { remoteName: peer } = session;
  refuseStreams(session);
  const whereabouts = new Whereabouts(output, session, { words: WORDS });
  whereabouts.connected();
  session.onState = (state, reason) => whereabouts.changed(state, reason);
  try {
    await sendSources(session, sources, { output, signal });
    await session.end();
    output.event("disconnected", { peer });
    return true;
  } catch (error) {
    if (signal.aborted && sources.total !== undefined) {
      output.say("What has arrived is kept: send it again, and it goes on from there");
    }
    await session.end(signal.aborted ? GoodbyeCode.interrupted : GoodbyeCode.done);
    const { code } = await session.ended;
    const again = error instanceof UnreachableError && code === GoodbyeCode.unknownSession &&
      sources.total !== undefined;
    if (!again) throw error;
    output.say(`${peer} was started anew; sending what it does not have yet`);
    return false;
  }
}

/** Whoever only sends takes nothing: a peer that offers something hears so, and need not wait. */
async function refuseStreams(session: Session): Promise<void> {
  for (let stream = await session.accept(); stream; stream = await session.accept()) {
    stream.reset(ResetCode.unwanted);
  }
}
