/**
 * Who may come in: bounds on the connections of all, on those of each source, and on how fast a
 * source connects and speaks. Time is passed in.
 */
import type { Refusal } from "../protocol/rendezvous.ts";
import type { Counters } from "./counters.ts";
import type { RelayLimits } from "./limits.ts";
import { Rates } from "./rates.ts";

/**
 * File descriptors that are left for what is no connection that was let in: listening sockets,
 * files, newcomers that are being turned away. Without any left, the process ends.
 */
export const RESERVED_DESCRIPTORS = 64;

export interface AdmissionOptions {
  limits: Pick<RelayLimits, "maxConnections" | "connectionsPerAddress" | "rate">;
  /** File descriptors that the process may have. */
  descriptorLimit: number;
  counters: Counters;
}

/** What one connection holds while it is open: disposed of when it closes. */
export type Permit = Disposable;

export class Admission {
  readonly #limits: AdmissionOptions["limits"];
  readonly #counters: Counters;
  /** Apart from each other: who knocks all the time must not silence those who are in. */
  readonly #connecting: Rates;
  readonly #speaking: Rates;
  readonly #perSource = new Map<string, number>();

  constructor(options: AdmissionOptions) {
    this.#limits = options.limits;
    this.#counters = options.counters;
    this.#connecting = new Rates(options.limits.rate);
    this.#speaking = new Rates(options.limits.rate);
    const descriptors = Math.max(1, options.descriptorLimit - RESERVED_DESCRIPTORS);
    this.#counters.maxConnections = Math.min(options.limits.maxConnections, descriptors);
  }

  /**
   * Lets a connection in, or says why not.
   * @param source as `sourceOf` tells it
   * @param now milliseconds on the relay's clock
   */
  connect(source: string, now: number): Permit | Refusal {
    if (!this.#connecting.take(source, now)) return "TooFast";
    const count = this.#perSource.get(source) ?? 0;
    if (count >= this.#limits.connectionsPerAddress) return "TooMany";
    if (this.#counters.connections >= this.#counters.maxConnections) return "Full";
    this.#perSource.set(source, count + 1);
    this.#counters.connections++;
    this.#counters.connectionsTotal++;
    return this.#permit(source);
  }

  /** Whether a source may say one more message now: over connections, whichever carrier they are. */
  maySpeak(source: string, now: number): boolean {
    return this.#speaking.take(source, now);
  }

  #permit(source: string): Permit {
    let open = true;
    return {
      [Symbol.dispose]: () => {
        if (open) this.#release(source);
        open = false;
      },
    };
  }

  #release(source: string): void {
    this.#counters.connections--;
    const count = this.#perSource.get(source)! - 1;
    if (count === 0) this.#perSource.delete(source);
    else this.#perSource.set(source, count);
  }
}
