import { UnreachableError } from "../protocol/errors.ts";
import type { Found } from "./route.ts";

/** A way that is tried beside others, and stops when its signal aborts. */
export type Way = (signal: AbortSignal) => Promise<Found>;

/**
 * Tries several ways at once: the first to connect is taken, and the others are called off.
 * @returns what was found, and by which of the ways
 * @throws {AggregateError} with the errors of all, in their order, if none connects
 */
export async function firstFound(
  ways: readonly Way[],
  signal: AbortSignal,
): Promise<{ found: Found; at: number }> {
  const tries = ways.map((way) => {
    const over = new AbortController();
    return { over, found: way(AbortSignal.any([signal, over.signal])) };
  });
  const first = await Promise.any(tries.map(async ({ found }, at) => ({ found: await found, at })));
  for (const [at, each] of tries.entries()) if (at !== first.at) callOff(each);
  return first;
}

async function callOff(
  { over, found }: { over: AbortController; found: Promise<Found> },
): Promise<void> {
  over.abort(new UnreachableError("Another way was found"));
  try {
    const late = await found;
    late.connection.close();
    late.close();
  } catch {
    // It has come to nothing, as it was to.
  }
}
