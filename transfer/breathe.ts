/** Turns: what works for long lets others go on between two pieces of it. */
import { setImmediate } from "node:timers";

/** Entries of an offer that are gone through in one go: some ten milliseconds of work. */
export const ENTRIES_IN_ONE_GO = 1_000;

/**
 * Lets everything else that is ready have its turn, and no more: a timer would wait for at least a
 * millisecond, in which a fast connection carries a megabyte.
 */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
