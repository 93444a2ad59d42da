/** What the parts of a relay share, for tests of one part. */
import { generateKeyPair } from "../../protocol/noise.ts";
import { Admission } from "../../relay/admission.ts";
import type { RelayContext } from "../../relay/context.ts";
import { newCounters } from "../../relay/counters.ts";
import { DEFAULT_LIMITS, type RelayLimits } from "../../relay/limits.ts";
import { Names } from "../../relay/names.ts";
import { Password } from "../../relay/password.ts";
import { RefusalLog } from "../../relay/refusal.ts";
import { FakeClock } from "./clock.ts";

export interface FakeRelayContext extends RelayContext {
  readonly clock: FakeClock;
  /** Lets nobody new in from now on. */
  drain(): void;
}

export interface FakeRelayOptions {
  limits?: Partial<RelayLimits>;
  password?: string;
  descriptorLimit?: number;
}

export function fakeRelayContext(options: FakeRelayOptions = {}): FakeRelayContext {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const counters = newCounters();
  const draining = new AbortController();
  const clock = new FakeClock();
  const log = { event() {}, say() {}, warn() {} };
  return {
    identity: generateKeyPair(),
    clock,
    log,
    limits,
    password: new Password(options.password),
    names: new Names({ limits, registrations: counters.registrations }),
    admission: new Admission({
      limits,
      descriptorLimit: options.descriptorLimit ?? 65_536,
      counters,
    }),
    counters,
    refusals: new RefusalLog({ clock, counters, log }),
    draining: draining.signal,
    drain: () => draining.abort("the relay is ending"),
  };
}
