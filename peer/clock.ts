import type { Clock } from "../protocol/clock.ts";

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, event) {
    const timer = setTimeout(event, ms);
    return () => clearTimeout(timer);
  },
};
