/**
 * The race of several ways to one peer: the first that proves the peer's key wins, and a better one
 * that comes up shortly after replaces it. The losers are closed.
 *
 *             add          a contender's handshake is complete         nothing better is left, and
 *     open ────────▶ open ────────────────────────────────▶ won ──no more will come────────────▶ over
 *       └──────────── no contender is left, and no more will come ─────────────────────────────┘
 */
import type { Clock } from "../protocol/clock.ts";
import type { Connection, Path } from "../protocol/connection.ts";
import { AsyncQueue } from "./async_queue.ts";

/** Milliseconds that direct ways have for themselves before the circuit starts. */
export const HEAD_START_MS = 100;
/** Milliseconds after the first way that a better one may take, unless it is patient. */
export const UPGRADE_MS = 5_000;

/** Paths by how much they are preferred: a lower number is better. */
const RANKS: Readonly<Record<Path, number>> = { lan: 0, direct: 1, punched: 2, relayed: 3 };

/** One way to the peer. */
export interface Contender<C extends Connection> {
  readonly path: Path;
  /** Whether it may take its time after another has won. */
  readonly patient?: boolean;
  /** Resolves when the peer has proven its key. */
  dial(signal: AbortSignal): Promise<C>;
}

/** A contender that failed. */
export interface Failure {
  readonly path: Path;
  readonly error: unknown;
}

export interface RaceOptions {
  clock: Clock;
  /** Ends the race, and closes what is under way. */
  signal: AbortSignal;
}

export class Race<C extends Connection> {
  /** The first connection. Rejects if there is none; `failures` tell why. */
  readonly winner: Promise<C>;
  /** Better ones, each better than the one before; ends with the race. Who takes them closes them. */
  readonly better = new AsyncQueue<C>();
  /** Contenders that failed before anybody won, in the order in which they did. */
  readonly failures: Failure[] = [];
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #winner = Promise.withResolvers<C>();
  readonly #over = new AbortController();
  readonly #running = new Map<Contender<C>, AbortController>();
  /** Starts when the head start is over, or nobody else runs. */
  #reserve: Contender<C> | undefined;
  #cancelHeadStart: () => void = () => {};
  #cancelUpgrade: () => void = () => {};
  #rank = Infinity;
  #best: { path: Path; since: number } | undefined;
  #complete = false;
  /** Settles when something has changed, for those who wait for that. */
  #changed: PromiseWithResolvers<void> | undefined;

  constructor(options: RaceOptions) {
    this.#clock = options.clock;
    this.#signal = options.signal;
    this.winner = this.#winner.promise;
    this.winner.catch(() => {});
    this.#signal.addEventListener("abort", this.#abort);
    if (this.#signal.aborted) this.#abort();
  }

  /** How the bytes of the best connection so far travel, and since when there is it. */
  get best(): { path: Path; since: number } | undefined {
    return this.#best;
  }

  /** Whether somebody has won. */
  get won(): boolean {
    return this.#rank < Infinity;
  }

  /** Whether a way over this path would be better than what there is. */
  wants(path: Path): boolean {
    return !this.#over.signal.aborted && RANKS[path] < this.#rank;
  }

  /** Resolves when somebody has won, or all that have been added have failed. */
  async decided(): Promise<void> {
    while (!this.won && (this.#running.size > 0 || this.#reserve)) {
      this.#changed ??= Promise.withResolvers();
      await this.#changed.promise;
    }
  }

  /** Aborts when the race is over. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Starts a contender, unless it could not be better than what there is. */
  add(contender: Contender<C>): void {
    if (!this.wants(contender.path)) return;
    const controller = new AbortController();
    this.#running.set(contender, controller);
    this.#run(contender, controller.signal);
  }

  /** Starts a contender a moment later, or as soon as no other one runs. */
  addLater(contender: Contender<C>): void {
    if (!this.wants(contender.path)) return;
    this.#reserve = contender;
    this.#cancelHeadStart = this.#clock.after(HEAD_START_MS, () => this.#startReserve());
    this.#settle();
  }

  /** No more contenders will come. */
  complete(): void {
    this.#complete = true;
    this.#settle();
  }

  readonly #abort = () => this.#end(this.#signal.reason);

  async #run(contender: Contender<C>, signal: AbortSignal): Promise<void> {
    try {
      const connection = await contender.dial(signal);
      this.#running.delete(contender);
      const late = signal.aborted || !this.wants(contender.path);
      if (!late) this.#take(connection, contender.path);
      else connection.close();
    } catch (error) {
      this.#running.delete(contender);
      // Afterwards nobody asks, and a search may go on for days.
      if (!this.won) this.failures.push({ path: contender.path, error });
    }
    this.#settle();
  }

  #take(connection: C, path: Path): void {
    const first = !this.won;
    this.#rank = RANKS[path];
    this.#best = { path, since: this.#clock.now() };
    for (const [other, controller] of this.#running) {
      if (!this.wants(other.path)) controller.abort(new Error("A better way was found"));
    }
    if (this.#reserve && !this.wants(this.#reserve.path)) this.#dropReserve();
    if (!first) return this.better.push(connection);
    this.#cancelUpgrade = this.#clock.after(UPGRADE_MS, () => this.#giveUpTheRest());
    this.#winner.resolve(connection);
  }

  #giveUpTheRest(): void {
    for (const [contender, controller] of this.#running) {
      if (!contender.patient) controller.abort(new Error("It took too long"));
    }
  }

  #settle(): void {
    this.#changed?.resolve();
    this.#changed = undefined;
    if ([...this.#running.keys()].some(({ path }) => this.wants(path))) return;
    if (this.#reserve) this.#startReserve();
    else if (this.#complete || this.#rank === RANKS.lan) this.#end();
  }

  #startReserve(): void {
    const reserve = this.#reserve;
    this.#dropReserve();
    if (reserve) this.add(reserve);
  }

  #dropReserve(): void {
    this.#reserve = undefined;
    this.#cancelHeadStart();
  }

  /** Idempotent. */
  #end(reason: unknown = new Error("No way was found")): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(reason);
    this.#signal.removeEventListener("abort", this.#abort);
    this.#dropReserve();
    this.#cancelUpgrade();
    for (const controller of this.#running.values()) controller.abort(reason);
    this.better.close();
    this.#changed?.resolve();
    this.#winner.reject(reason);
  }
}
