/** `p2p send`: brings files to a peer that listens, and ends when it has confirmed them. */
import { ResetCode } from "../../protocol/connection.ts";
import { UnreachableError, UsageError } from "../../protocol/errors.ts";
import { GoodbyeCode } from "../../protocol/session_frame.ts";
import { collectSources, type Sources } from "../../transfer/walk.ts";
import { type Address, parseAddress } from "../../protocol/address.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { dialSession } from "../dialer.ts";
import { dialOptions, type Environment, type Host, openHost } from "../host.ts";
import { announceConnected } from "../room.ts";
import { sendSources } from "../sending.ts";
import type { Session } from "../session.ts";
import { Screen } from "../terminal/screen.ts";

/** @throws as `dialSession` and `sendSources` */
export async function send(
  environment: Environment,
  { flags, operands }: ParsedFlags<typeof COMMANDS.send>,
): Promise<void> {
  const paths = [...flags.file, ...operands];
  if (paths.length === 0) {
    throw new UsageError("Nothing to send: no file was named", {
      hint: "Name files or folders with --file, or - for standard input.",
    });
  }
  const address = parseAddress(flags.address);
  const sources = await collectSources(paths, { signal: environment.signal });
  using screen = Screen.open({ input: false });
  environment.output.screen = screen;
  const host = await openHost(environment, flags.name);
  while (!await attempt(host, address, sources));
}

/**
 * Sends in one session. False if the other side was started anew meanwhile: it then goes on with
 * what it has.
 */
async function attempt(host: Host, address: Address, sources: Sources): Promise<boolean> {
  const session = await dialSession(address, dialOptions(host));
  const { output, signal } = host;
  const { remoteName: peer } = session;
  announceConnected(output, session);
  refuseStreams(session);
  session.onState = (state, reason) => {
    if (state === "away") {
      output.say(`Lost the connection (${reason?.message}); trying again`);
      output.event("away", { peer });
    } else if (state === "connected") {
      output.say("Connected again, going on");
      output.event("back", { peer, path: session.path });
    }
  };
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
