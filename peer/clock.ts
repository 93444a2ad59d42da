import type { Clock } from "../protocol/clock.ts";

/** Milliseconds that a timer can be set to, 24 days: one for longer would go off at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** The machine's clock. What is to happen in more than 24 days happens then. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, event) {
    const timer = setTimeout(event, Math.min(ms, LONGEST_MS));
    return () => clearTimeout(timer);
  },
};
