/** What the parts of a relay share. Built in server.ts, and nowhere else. */
import type { Clock } from "../protocol/clock.ts";
import type { KeyPair } from "../protocol/noise.ts";
import type { Admission } from "./admission.ts";
import type { Counters } from "./counters.ts";
import type { RelayLog } from "./host.ts";
import type { RelayLimits } from "./limits.ts";
import type { Names } from "./names.ts";
import type { Password } from "./password.ts";
import type { RefusalLog } from "./refusal.ts";

export interface RelayContext {
  readonly identity: KeyPair;
  readonly clock: Clock;
  readonly log: RelayLog;
  readonly limits: RelayLimits;
  readonly password: Password;
  readonly names: Names;
  readonly admission: Admission;
  readonly counters: Counters;
  readonly refusals: RefusalLog;
  /** Aborts when the relay lets nobody new in, with what to tell them as its reason. */
  readonly draining: AbortSignal;
}
