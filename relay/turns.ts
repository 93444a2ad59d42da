import { type Clock, sleep } from "../protocol/clock.ts";

/** Bytes that circuits pass on before everybody else has a turn. */
const TURN_BYTES = 8 * 1_048_576;
/** Milliseconds in which circuits rest, so that what has come from others is seen. */
const REST_MS = 1;

/**
 * Shares the process between circuits and all others. Where some always have bytes and others
 * always have room, the runtime goes on with those for half a second and more before it looks
 * whether anything has come from anybody else: so after some bytes all circuits rest.
 */
export class Turns {
  readonly #clock: Clock;
  #bytes = 0;
  #rest: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A circuit has passed on so many bytes: when it may go on, if not at once. */
  passed(count: number): Promise<void> | undefined {
    this.#bytes += count;
    if (this.#bytes >= TURN_BYTES) this.#rest ??= this.#giveWay();
    return this.#rest;
  }

  async #giveWay(): Promise<void> {
    await sleep(this.#clock, REST_MS);
    this.#bytes = 0;
    this.#rest = undefined;
  }
}
