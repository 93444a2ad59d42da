/**
 * Ends a stream of which one side wants no more, so that the other side still gets the last
 * message.
 */
import { type ByteStream, ResetCode } from "../protocol/connection.ts";
import { DRAIN_TIMEOUT_MS, MAX_OFFER_BYTES, MAX_WINDOW_BYTES } from "../protocol/limits.ts";

/**
 * Sends the last message, if there is one, finishes this side's direction and drops what still
 * arrives until the other side ends its own. One that does not is cut off: after DRAIN_TIMEOUT_MS
 * of silence, or when it sends more than it can have been sending when it was told. Never throws.
 */
export async function closeGently(stream: ByteStream, last?: Uint8Array): Promise<void> {
  try {
    await Promise.all([writeLast(stream, last), dropRest(stream)]);
  } catch {
    // The other side reset the stream, or is gone: that is an end as well.
  } finally {
    stream.reset(ResetCode.cancelled);
  }
}

/** Waits for a promise, but not for longer. */
export async function within(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  const { promise: expired, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  try {
    await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

async function writeLast(stream: ByteStream, last: Uint8Array | undefined): Promise<void> {
  if (last) await stream.write(last);
  await stream.finish();
}

async function dropRest(stream: ByteStream): Promise<void> {
  let budget = MAX_OFFER_BYTES + MAX_WINDOW_BYTES;
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      clearTimeout(timer);
      timer = setTimeout(() => stream.reset(ResetCode.cancelled), DRAIN_TIMEOUT_MS);
      const bytes = await stream.read();
      if (!bytes) return;
      budget -= bytes.length;
      if (budget < 0) stream.reset(ResetCode.cancelled);
    }
  } finally {
    clearTimeout(timer);
  }
}
