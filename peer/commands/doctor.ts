/** `p2p doctor`: tells what this machine's network lets through, and what to expect of that. */
import { parseAddress } from "../../protocol/address.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import type { COMMANDS, ParsedFlags } from "../args.ts";
import { systemClock } from "../clock.ts";
import { diagnose, eventOf, type Findings, report } from "../diagnosis.ts";
import { examine } from "../examination.ts";
import { type Environment, openHost, relayOf } from "../host.ts";

type Arguments = ParsedFlags<typeof COMMANDS.doctor>;

/** The port of STUN servers (RFC 8489). */
const STUN_PORT = 3_478;

/**
 * @throws {UnreachableError} if nothing that it was to reach can be reached
 * @throws {RefusedError} if the relay does not want us
 * @throws {IdentityError} if the relay has another key than the one that is known
 */
export async function doctor(environment: Environment, { flags }: Arguments): Promise<void> {
  const stun = flags.stun.map((text) => parseAddress(text, STUN_PORT));
  const relay = await relayOf(flags);
  const { output, signal, identity, trust } = await openHost(environment);
  const options = { relay, stun, identity, trust, signal, clock: systemClock };
  const { findings, relayError } = await examine(options);
  signal.throwIfAborted();
  const diagnosis = diagnose(findings);
  output.event("doctor", eventOf(findings, diagnosis));
  output.report(...report(findings, diagnosis));
  if (!relay && stun.length === 0) {
    output.say(
      "For what lies between this machine and others, name a relay: p2p doctor --relay HOST:PORT",
      "or, without one, two STUN servers: p2p doctor --stun HOST:PORT --stun HOST:PORT",
    );
  }
  // That a relay is there is no help where it does not want us.
  if (relayError?.code === "refused" || relayError?.code === "identity") throw relayError;
  if (!reachedAnything(findings)) throw nothingReached();
}

function reachedAnything({ relay, stun }: Findings): boolean {
  const reached = [...relay ? [relay.tcp] : [], ...stun];
  return reached.length === 0 || reached.some(({ error }) => error === undefined);
}

function nothingReached(): UnreachableError {
  return new UnreachableError(
    "Nothing reached: neither over TCP nor over UDP was there an answer",
    {
      hint: "Check the addresses, and whether this machine has a network.",
    },
  );
}
