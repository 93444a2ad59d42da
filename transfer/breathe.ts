/** Entries of an offer that are gone through in one go: some ten milliseconds of work. */
export const ENTRIES_IN_ONE_GO = 1_000;

/**
 * Lets everything else have its turn. For work on a whole offer, which can take seconds in all: other
 * peers must not notice what somebody offers.
 */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
