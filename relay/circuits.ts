/**
 * Introductions and the circuits that come of them (protocol/README.md, section 11). An
 * introduction has a token for each end:
 *
 *     introduced ──an end comes──▶ waiting ──the other end comes──▶ joined ──▶ over
 *         │ TOKEN_LIFE_MS, or        │ CIRCUIT_WAIT_MS, or dropped
 *         ▼ dropped                  ▼
 *        gone                       gone, and the end is told
 */
import { createHash } from "node:crypto";
import { Budget } from "../protocol/budget.ts";
import { CIRCUIT_WAIT_MS, TOKEN_LIFE_MS } from "../protocol/limits.ts";
import { CIRCUIT_ANSWER, errorPreface, TOKEN_BYTES } from "../protocol/preface.ts";
import type { RelayContext } from "./context.ts";
import { type End, join } from "./copy.ts";
import { farewell } from "./farewell.ts";
import { REFUSAL_TEXTS } from "./refusal.ts";
import { Turns } from "./turns.ts";

/** Introductions of one target that may be open at once: more are busy. */
const OPEN_PER_TARGET = 32;
/** The same for those that one source asks for. */
const OPEN_PER_SOURCE = OPEN_PER_TARGET / 2;
/** Introductions of all that may be open at once. */
const MAX_OPEN = 32_768;
/** Milliseconds for which an asker that has gone may still be on its way with its end. */
const ASKER_GONE_MS = 2_000;

/** Bytes of large buffers that all circuits have together. */
const MAX_BUFFER_BYTES = 64 * 1_048_576;

const UNKNOWN_TOKEN = "the relay does not know this circuit, or no longer: ask for the peer again";
const GAVE_WAY = "your address asks for this peer too often: ask for it again";
const OTHER_END_MISSING = "the other end of the circuit did not come: ask for the peer again";

/** Who takes part in introductions. */
export interface Party {
  /** Whom it counts for: `sourceOf(ip)`. */
  readonly source: string;
}

/** The two tokens of an introduction. */
export interface Tokens {
  readonly asker: Uint8Array;
  readonly target: Uint8Array;
}

interface Introduction {
  readonly asker: Party;
  readonly target: Party;
  readonly until: number;
  /** Whose each token is, by its digest. */
  readonly whose: ReadonlyMap<string, Role>;
  waiting?: Waiting;
}

type Role = "asker" | "target";

/** The end that came first. */
interface Waiting {
  readonly end: End;
  readonly role: Role;
  readonly cancel: () => void;
  /** Resolves when this end is done with, whatever becomes of it. */
  readonly done: PromiseWithResolvers<void>;
}

export class Circuits {
  readonly #context: RelayContext;
  readonly #turns: Turns;
  /** What makes a few fast; a thousand make do with what they began with. */
  readonly #buffers = new Budget(MAX_BUFFER_BYTES);
  /** By the digest of each token that was not used, in the order in which they expire. */
  readonly #byToken = new Map<string, Introduction>();
  readonly #byAsker = new Map<Party, Set<Introduction>>();
  readonly #byTarget = new Map<Party, Set<Introduction>>();
  /** Askers that have gone, and when they count as gone, in that order. */
  readonly #gone = new Map<Party, number>();
  #open = 0;
  #waiting = 0;
  #onOver: (() => void) | undefined;

  constructor(context: RelayContext) {
    this.#context = context;
    this.#turns = new Turns(context.clock);
    context.draining.addEventListener("abort", () => this.close(), { once: true });
  }

  /** Makes the tokens of an introduction; undefined if the target is asked for by too many. */
  introduce(asker: Party, target: Party): Tokens | undefined {
    this.#forgetExpired();
    if (!this.#hasRoom(asker, target)) return undefined;
    const tokens = { asker: randomToken(), target: randomToken() };
    this.#add({
      asker,
      target,
      until: this.#context.clock.now() + TOKEN_LIFE_MS,
      whose: new Map([[digest(tokens.asker), "asker"], [digest(tokens.target), "target"]]),
    });
    this.#context.counters.introductions++;
    return tokens;
  }

  /** The asker needs no more circuits than those to which its end has come. */
  finished(asker: Party): void {
    for (const introduction of this.#byAsker.get(asker) ?? []) {
      if (introduction.waiting?.role !== "asker") this.#drop(introduction, OTHER_END_MISSING);
    }
  }

  /** The asker's control session is over; its end of a circuit may still be on its way. */
  left(asker: Party): void {
    if (this.#byAsker.has(asker)) this.#gone.set(asker, this.#context.clock.now() + ASKER_GONE_MS);
  }

  /**
   * Takes one end of a circuit.
   * @param end what came behind its preface line included
   * @param token as its preface has it
   * @returns when the end is closed
   */
  async enter(end: End, token: Uint8Array | undefined): Promise<void> {
    this.#forgetExpired();
    const key = token === undefined ? "" : digest(token);
    const introduction = this.#byToken.get(key);
    if (!introduction) return await this.#turnAway(end, UNKNOWN_TOKEN);
    const { waiting } = introduction;
    if (!waiting && this.#isFull()) return await this.#refuse(end);
    this.#byToken.delete(key);
    if (waiting) await this.#join(introduction, waiting, end);
    else await this.#wait(introduction, end, introduction.whose.get(key)!);
  }

  /** Resolves when no two ends are joined. */
  async over(): Promise<void> {
    if (this.#context.counters.circuits === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onOver = resolve;
    await promise;
  }

  /** Drops all introductions. Ends that are joined stay so. */
  close(): void {
    for (const introduction of new Set(this.#byToken.values())) {
      this.#drop(introduction, REFUSAL_TEXTS.Draining);
    }
  }

  /**
   * Whether one more introduction may be open. Where a target has all that it may have, the source
   * that asked for most of them gives one up for a source with fewer: so a few sources cannot keep
   * a target from all others.
   */
  #hasRoom(asker: Party, target: Party): boolean {
    const open = this.#byTarget.get(target) ?? new Set();
    const bySource = Map.groupBy(open, (each) => each.asker.source);
    const own = bySource.get(asker.source)?.length ?? 0;
    if (own >= OPEN_PER_SOURCE || this.#open >= MAX_OPEN) return false;
    if (open.size < OPEN_PER_TARGET) return true;
    const most = [...bySource.values()].reduce((a, b) => b.length > a.length ? b : a);
    if (most.length <= own + 1) return false;
    this.#drop(most[0]!, GAVE_WAY);
    return true;
  }

  /** Those that wait for their second end count: otherwise it would be refused when it comes. */
  #isFull(): boolean {
    const { counters, limits } = this.#context;
    return counters.circuits + this.#waiting >= limits.maxCircuits;
  }

  #refuse(end: End): Promise<void> {
    this.#context.refusals.note("Full");
    return this.#turnAway(end, REFUSAL_TEXTS.Full);
  }

  #turnAway(end: End, why: string): Promise<void> {
    return farewell(end.connection, this.#context.clock, errorPreface(why));
  }

  #wait(introduction: Introduction, end: End, role: Role): Promise<void> {
    const done = Promise.withResolvers<void>();
    const late = () => this.#drop(introduction, OTHER_END_MISSING);
    const cancel = this.#context.clock.after(CIRCUIT_WAIT_MS, late);
    introduction.waiting = { end, role, cancel, done };
    this.#waiting++;
    return done.promise;
  }

  async #join(introduction: Introduction, first: Waiting, second: End): Promise<void> {
    this.#remove(introduction);
    const joined = this.#run(first.end, second);
    first.done.resolve(joined);
    await joined;
  }

  /** Two ends from when they are joined until both are closed. */
  async #run(first: End, second: End): Promise<void> {
    const { clock, counters, limits, log } = this.#context;
    const begun = clock.now();
    let bytes = 0;
    counters.circuits++;
    counters.circuitsTotal++;
    await join(first, second, {
      clock,
      greeting: CIRCUIT_ANSWER,
      rate: limits.circuitRate,
      idleMs: limits.idleMs,
      turns: this.#turns,
      buffers: this.#buffers,
      onBytes: (count) => {
        bytes += count;
        counters.circuitBytes += count;
      },
    });
    counters.circuits--;
    log.event("circuit", { bytes, seconds: Math.round(clock.now() - begun) / 1_000 });
    if (counters.circuits === 0) this.#onOver?.();
  }

  #add(introduction: Introduction): void {
    const { asker, target, whose } = introduction;
    for (const key of whose.keys()) this.#byToken.set(key, introduction);
    addTo(this.#byAsker, asker, introduction);
    addTo(this.#byTarget, target, introduction);
    this.#open++;
  }

  /** The introduction is not open any more. */
  #remove(introduction: Introduction): void {
    const { asker, target, whose, waiting } = introduction;
    for (const key of whose.keys()) this.#byToken.delete(key);
    removeFrom(this.#byAsker, asker, introduction);
    removeFrom(this.#byTarget, target, introduction);
    this.#open--;
    if (!waiting) return;
    waiting.cancel();
    this.#waiting--;
  }

  #drop(introduction: Introduction, why: string): void {
    this.#remove(introduction);
    const { waiting } = introduction;
    waiting?.done.resolve(this.#turnAway(waiting.end, why));
  }

  /** Called before tokens are looked at, so that no timer is needed for each. */
  #forgetExpired(): void {
    const now = this.#context.clock.now();
    for (const [asker, at] of this.#gone) {
      if (at > now) break;
      this.#gone.delete(asker);
      this.finished(asker);
    }
    for (const introduction of this.#byToken.values()) {
      if (introduction.until > now) return;
      this.#drop(introduction, OTHER_END_MISSING);
    }
  }
}

function randomToken(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
}

/** Tokens are looked up by this: how long that takes tells nothing of those that exist. */
function digest(token: Uint8Array): string {
  return createHash("sha256").update(token).digest("base64");
}

function addTo(index: Map<Party, Set<Introduction>>, party: Party, added: Introduction): void {
  const those = index.get(party);
  if (those) those.add(added);
  else index.set(party, new Set([added]));
}

function removeFrom(index: Map<Party, Set<Introduction>>, party: Party, gone: Introduction): void {
  const those = index.get(party);
  those?.delete(gone);
  if (those?.size === 0) index.delete(party);
}
