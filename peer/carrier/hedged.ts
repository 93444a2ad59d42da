/**
 * Connecting over lines that lose packets: systems repeat the first packet of a connection after a
 * second at the earliest, which is long for people. A further attempt beside it is cheap.
 */
import type { Clock } from "../../protocol/clock.ts";
import { systemClock } from "../clock.ts";

/**
 * Milliseconds after the first attempt at which others begin. Longer than nearly all round trips:
 * where it is not, the attempt that loses is called off before the other side takes it.
 */
export const FURTHER_ATTEMPTS_MS = [300, 600];

/**
 * The first attempt's outcome that there is, good or bad; the others are called off.
 * @param attempt connects, or rejects when its signal aborts
 * @param discard closes a connection that came too late
 */
export async function hedged<T>(
  attempt: (signal: AbortSignal) => Promise<T>,
  options: { signal: AbortSignal; discard: (late: T) => void; clock?: Clock },
): Promise<T> {
  const { signal, discard, clock = systemClock } = options;
  const over = new AbortController();
  const first = Promise.withResolvers<T>();
  let decided = false;
  async function run(): Promise<void> {
    try {
      const found = await attempt(AbortSignal.any([signal, over.signal]));
      if (decided) discard(found);
      decided = true;
      first.resolve(found);
    } catch (error) {
      decided = true;
      first.reject(error);
    }
  }
  const cancels = FURTHER_ATTEMPTS_MS.map((ms) => clock.after(ms, run));
  run();
  try {
    return await first.promise;
  } finally {
    for (const cancel of cancels) cancel();
    over.abort(new DOMException("Another attempt was first", "AbortError"));
  }
}
