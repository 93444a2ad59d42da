/**
 * How much may be under way and unacknowledged: about what the path carries in a quarter of a
 * second more than a round trip. Without it a film fills megabytes of send buffer in the system,
 * and a chat line written behind it waits for seconds on a slow line.
 *
 * The idea is BBR's (Cardwell et al., 2016): the highest recent delivery rate times the lowest
 * round trip, here with room to spare, since TCP below does the real congestion control. As there,
 * the lowest round trip is measured anew from time to time with little under way: the queue that is
 * let grow would otherwise become part of it, and grow again on top, without end.
 */
import type { AckSample } from "./send_log.ts";

/** Bytes that may always be under way. */
export const MIN_IN_FLIGHT_BYTES = 262_144;
/** Bytes under way at the most: bounds what is kept to be sent again. */
export const MAX_IN_FLIGHT_BYTES = 16 * 1_048_576;
/**
 * Bytes under way at the most on a path whose round trips are short: more would only fall out of
 * the processor's caches.
 */
const NEAR_IN_FLIGHT_BYTES = 4 * 1_048_576;
/** Milliseconds of queue that are let grow. */
const QUEUE_MS = 250;
/** Milliseconds for which a measured rate counts, and in which only the highest is kept. */
const RATE_MEMORY_MS = 2_000;
const RATE_SLOT_MS = 50;
/** Milliseconds for which a measured round trip counts. */
const ROUND_TRIP_MEMORY_MS = 10_000;

interface RateSlot {
  at: number;
  /** Bytes per millisecond. */
  rate: number;
}

interface Probe {
  until: number;
  nearest: number;
}

export class Pace {
  #rates: RateSlot[] = [];
  /** The lowest round trip, ms, and when it was measured. */
  #nearest = Infinity;
  #nearestAt = 0;
  /** While the round trip is measured anew. */
  #probe: Probe | undefined;
  #limit = MIN_IN_FLIGHT_BYTES;

  /** Bytes that may be sent and unacknowledged. */
  get limit(): number {
    return this.#limit;
  }

  /** Takes in what an acknowledgement showed, at the time `now` in milliseconds. */
  acknowledged(sample: AckSample, now: number): void {
    const roundTrip = Math.max(sample.roundTrip, 0.1);
    this.#noteRate(sample.bytes / roundTrip, now);
    this.#noteRoundTrip(roundTrip, now);
    const fastest = this.#rates.reduce((most, slot) => Math.max(most, slot.rate), 0);
    // Half of what the path itself holds leaves no queue, and costs little for so short a time.
    const limit = fastest * (this.#probe ? this.#nearest / 2 : this.#nearest + QUEUE_MS);
    const most = Math.max(NEAR_IN_FLIGHT_BYTES, 2 * fastest * this.#nearest);
    this.#limit = Math.min(Math.max(MIN_IN_FLIGHT_BYTES, limit), most, MAX_IN_FLIGHT_BYTES);
  }

  /** A new connection: what was measured says nothing about it. */
  reset(): void {
    this.#rates = [];
    this.#nearest = Infinity;
    this.#probe = undefined;
    this.#limit = MIN_IN_FLIGHT_BYTES;
  }

  #noteRate(rate: number, now: number): void {
    const newest = this.#rates.at(-1);
    if (newest && now - newest.at < RATE_SLOT_MS) {
      newest.rate = Math.max(newest.rate, rate);
      return;
    }
    this.#rates = this.#rates.filter((slot) => now - slot.at < RATE_MEMORY_MS);
    this.#rates.push({ at: now, rate });
  }

  #noteRoundTrip(roundTrip: number, now: number): void {
    if (roundTrip <= this.#nearest) this.#setNearest(roundTrip, now);
    else if (this.#probe) this.#continueProbe(this.#probe, roundTrip, now);
    else if (now - this.#nearestAt >= ROUND_TRIP_MEMORY_MS) {
      // One round trip until the queue has drained, another one to measure.
      this.#probe = { until: now + 2 * roundTrip, nearest: roundTrip };
    }
  }

  #continueProbe(probe: Probe, roundTrip: number, now: number): void {
    probe.nearest = Math.min(probe.nearest, roundTrip);
    if (now >= probe.until) this.#setNearest(probe.nearest, now);
  }

  #setNearest(roundTrip: number, now: number): void {
    this.#nearest = roundTrip;
    this.#nearestAt = now;
    this.#probe = undefined;
  }
}
