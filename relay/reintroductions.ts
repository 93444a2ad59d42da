/**
 * Introductions without circuits: two who talk already, and look for a straighter way again
 * (protocol/README.md, section 12). Nothing tells when one of them is over, so unlike those with
 * circuits they are not counted: they have a rate, by which nobody can keep a target busy with
 * punching.
 */
import { Rates } from "./rates.ts";

/** A second of one source for one target, in the long run; four times as many at once. */
const PER_PAIR = 1;
/** A second of all sources for one target, likewise. */
const PER_TARGET = 4;

export class Reintroductions {
  readonly #pairs = new Rates(PER_PAIR);
  readonly #targets = new Rates(PER_TARGET);

  /**
   * Whether one more is in time.
   * @param source whom the asker counts for
   * @param target the name that is asked for
   * @param now milliseconds on the relay's clock
   */
  take(source: string, target: string, now: number): boolean {
    // The asker's own rate first: what it exceeds takes nothing from the others.
    return this.#pairs.take(`${source} ${target}`, now) && this.#targets.take(target, now);
  }
}
