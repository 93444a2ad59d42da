/** What a relay says to those whom it refuses, and how it keeps account of them. */
import type { Clock } from "../protocol/clock.ts";
import type { Refusal, RendezvousMessage } from "../protocol/rendezvous.ts";
import type { Counters } from "./counters.ts";
import type { RelayLog } from "./host.ts";

/** For people. A line of an error preface, too, so none is long. */
export const REFUSAL_TEXTS: Readonly<Record<Refusal, string>> = {
  NameTaken: "somebody else has this name: take another with --name",
  BadName: "this cannot be a name: take another with --name",
  Password: "this relay has a password: give it with --password-file or P2P_RELAY_PASSWORD",
  Full: "the relay is full: try again later",
  TooMany: "the relay serves too many of your address already: try again later",
  TooFast: "your address asks too much at a time: try again in a few seconds",
  Draining: "the relay is about to end: try again in a minute",
  Replaced: "the same key has taken this name on another connection",
  Malformed: "the relay did not understand this message: both sides need the same version of p2p",
};

/** Milliseconds for which nothing more is read of a client that asks too fast. */
export const TOO_FAST_PAUSE_MS = 250;

/** The refusal as a message. */
export function refused(code: Refusal): RendezvousMessage {
  return { type: "Refused", code, text: REFUSAL_TEXTS[code] };
}

/** Milliseconds between two events of the same reason: an attack must not fill the log. */
const LOG_EVERY_MS = 10_000;

export interface RefusalLogOptions {
  clock: Clock;
  counters: Counters;
  log: RelayLog;
}

/** Counts refusals, and logs of each reason the first one and then sums: `{reason, count}`. */
export class RefusalLog {
  readonly #options: RefusalLogOptions;
  readonly #byReason = new Map<Refusal, { count: number; loggedAt: number }>();

  constructor(options: RefusalLogOptions) {
    this.#options = options;
  }

  /** Takes note of one. */
  note(reason: Refusal): void {
    const { clock, counters, log } = this.#options;
    counters.refusals[reason]++;
    const entry = this.#byReason.get(reason) ?? { count: 0, loggedAt: -Infinity };
    this.#byReason.set(reason, entry);
    entry.count++;
    if (clock.now() - entry.loggedAt < LOG_EVERY_MS) return;
    log.event("refused", { reason, count: entry.count });
    entry.count = 0;
    entry.loggedAt = clock.now();
  }
}
