import { setImmediate } from "node:timers";

/** Turns of the event loop, some 0.7 µs each: a little longer than quick answers take. */
export const AWAKE_TURNS = 400;
/** Where there is but one processor, staying awake keeps others from what is waited for. */
const WORTHWHILE = navigator.hardwareConcurrency > 1;

/**
 * Keeps the event loop turning for a moment: it looks for what has arrived again and again, where it
 * would sleep until the system wakes it. All else has its turns meanwhile.
 */
export class StayAwake {
  readonly #afterTurn: (event: () => void) => void;
  #turnsLeft = 0;
  #turning = false;

  /** @param afterTurn calls back when the event loop has turned */
  constructor(afterTurn: (event: () => void) => void = setImmediate) {
    this.#afterTurn = afterTurn;
  }

  /** From now on for a quarter of a millisecond, or until `end`. */
  begin(): void {
    if (!WORTHWHILE) return;
    this.#turnsLeft = AWAKE_TURNS;
    if (!this.#turning) this.#afterTurn(this.#turn);
    this.#turning = true;
  }

  end(): void {
    this.#turnsLeft = 0;
  }

  readonly #turn = () => {
    this.#turning = --this.#turnsLeft > 0;
    if (this.#turning) this.#afterTurn(this.#turn);
  };
}
