/** Time as the protocol sees it: injected, so that tests move it instead of waiting. */
export interface Clock {
  /** Milliseconds on a clock that never goes back. */
  now(): number;
  /** Calls `event` once after `ms`; the returned function calls it off. */
  after(ms: number, event: () => void): () => void;
}

/**
 * Resolves after `ms`.
 * @throws the signal's reason, if it aborts first
 */
export async function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  function abort(): void {
    reject(signal?.reason);
  }
  const cancel = clock.after(ms, resolve);
  signal?.addEventListener("abort", abort);
  try {
    await promise;
  } finally {
    cancel();
    signal?.removeEventListener("abort", abort);
  }
}
