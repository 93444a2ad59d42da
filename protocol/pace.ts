/**
 * How much may be under way and unacknowledged: about what the path carries in a quarter of a second more than a round trip. Without
 * it a film fills megabytes of send buffer in the system, and a chat line written behind it waits for seconds on a slow line.
 *
 * The idea is BBR's (Cardwell et al., 2016): the highest recent delivery rate times the lowest round trip, here with room to
 * spare, since TCP below does the real congestion control.
 */
import type { AckSample } from "./send_log.ts";

/** Bytes that may always be under way. */
export const MIN_IN_FLIGHT_BYTES = 262_144;
/** Bytes under way at the most: bounds what is kept to be sent again. */
export const MAX_IN_FLIGHT_BYTES = 16 * 1_048_576;
/** Milliseconds of queue that are let grow. */
const QUEUE_MS = 250;
/** Milliseconds for which a measurement counts. */
const MEMORY_MS = 2_000;

interface Measurement {
  at: number;
  /** Bytes per millisecond. */
  rate: number;
  roundTrip: number;
}

export class Pace {
  #window: Measurement[] = [];
  #limit = MIN_IN_FLIGHT_BYTES;

  /** Bytes that may be sent and unacknowledged. */
  get limit(): number {
    return this.#limit;
  }

  /** Takes in what an acknowledgement showed, at the time `now` in milliseconds. */
  acknowledged(sample: AckSample, now: number): void {
    const roundTrip = Math.max(sample.roundTrip, 0.1);
    const rate = sample.bytes / roundTrip;
    const recent = this.#window.filter((old) => now - old.at < MEMORY_MS);
    // Older measurements that the new one beats in both respects can never decide again.
    this.#window = recent.filter((old) => old.rate > rate || old.roundTrip < roundTrip);
    this.#window.push({ at: now, rate, roundTrip });
    const fastest = Math.max(...this.#window.map((each) => each.rate));
    const nearest = Math.min(...this.#window.map((each) => each.roundTrip));
    const limit = fastest * (nearest + QUEUE_MS);
    this.#limit = Math.min(MAX_IN_FLIGHT_BYTES, Math.max(MIN_IN_FLIGHT_BYTES, limit));
  }

  /** A new connection: what was measured says nothing about it. */
  reset(): void {
    this.#window = [];
    this.#limit = MIN_IN_FLIGHT_BYTES;
  }
}
