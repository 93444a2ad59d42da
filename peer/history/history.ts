/**
 * The history as a chat has it: what is said goes into it a moment later, many lines at a time.
 * Whatever is wrong with the database, the chat goes on.
 */
import { encodeText } from "../../protocol/bytes.ts";
import { type Clock, sleep } from "../../protocol/clock.ts";
import type { FileError } from "../../protocol/errors.ts";
import { systemClock } from "../clock.ts";
import type { Output } from "../output.ts";
import type { HistoryEntry } from "./entry.ts";
import { historyPath, isLocked } from "./file.ts";
import { type HistoryQuery, HistoryStore } from "./store.ts";

/** Bytes, about, that the database may have. */
export const MAX_HISTORY_BYTES = 67_108_864;

/** Milliseconds that a line may wait: it is lost if the program is killed meanwhile. */
const WRITE_AFTER_MS = 50;
/** Entries, and UTF-16 units of text, that may wait. */
const MAX_WAITING = 2_048;
const MAX_WAITING_UNITS = 2 * 1_048_576;
/** How many times that may wait while another program holds the lock. */
const PATIENCE = 4;
/** UTF-16 units of a line that are kept. */
const MAX_TEXT_UNITS = 65_536;
/** Milliseconds for which the program stands still where another one holds the lock, … */
const LOCK_TIMEOUT_MS = 20;
/** … those until it is tried again, … */
const RETRY_MS = 250;
/** … and after how many it is given up. */
const GIVE_UP_MS = 10_000;
/** Milliseconds to wait for the lock at the end. */
const LAST_TIMEOUT_MS = 1_000;

export interface HistoryOptions {
  path: string;
  output: Pick<Output, "warn">;
  clock?: Clock;
  /** The time, but in tests. */
  now?: () => number;
  maxBytes?: number;
}

/**
 * The history that a chat writes to, unless its user wants none.
 * @param off as `--no-history` says
 */
export function openHistory(output: Output, off: boolean): History | undefined {
  if (off || Deno.env.get("P2P_NO_HISTORY") === "1") return undefined;
  try {
    return new History({ path: historyPath(), output });
  } catch (error) {
    output.warn(`No history is kept: ${(error as Error).message}`);
    return undefined;
  }
}

export class History implements AsyncDisposable {
  readonly #options: HistoryOptions;
  readonly #clock: Clock;
  readonly #now: () => number;
  #waiting: HistoryEntry[] = [];
  #waitingUnits = 0;
  /** The load at which is written at once. */
  #fullAt = 1;
  #store: HistoryStore | undefined;
  #opening: Promise<HistoryStore> | undefined;
  /** Runs while something is to be written. */
  #writing: Promise<void> | undefined;
  #hurry = new AbortController();
  /** Why nothing is kept any more. */
  #failed: Error | undefined;

  /** Opens nothing until there is something to write or read. */
  constructor(options: HistoryOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#now = options.now ?? Date.now;
  }

  /** Keeps a line or file, with the time. Never fails: it is told once where it cannot. */
  add(entry: Omit<HistoryEntry, "time">): void {
    if (this.#failed) return;
    const text = cut(entry.text);
    this.#waiting.push({ ...entry, time: this.#now(), text });
    this.#waitingUnits += text.length;
    this.#writing ??= this.#write();
    if (this.#load >= this.#fullAt && this.#store) {
      // Tried again only when as much more waits: each try stands still for the lock.
      if (this.#tryToWrite(this.#store)) this.#fullAt++;
    }
    if (this.#load > PATIENCE) this.#fail(new Error("Too much is said while it cannot be written"));
  }

  /**
   * Entries that were kept, oldest first.
   * @throws {FileError} if they cannot be read
   */
  async read(query: HistoryQuery): Promise<HistoryEntry[]> {
    if (this.#failed) throw this.#failed;
    const store = await this.#open();
    if (this.#waiting.length > 0) this.#tryToWrite(store);
    return [...store.read(query)];
  }

  /** Writes what is still to be written, or says that it is not. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#hurry.abort();
    await this.#writing;
    this.#store?.[Symbol.dispose]();
    this.#store = undefined;
  }

  /** How much waits, 1 being as much as may. */
  get #load(): number {
    return Math.max(this.#waiting.length / MAX_WAITING, this.#waitingUnits / MAX_WAITING_UNITS);
  }

  /** Until nothing waits any more. */
  async #write(): Promise<void> {
    const giveUpAt = this.#clock.now() + GIVE_UP_MS;
    await this.#pause(WRITE_AFTER_MS);
    while (this.#waiting.length > 0) {
      const last = this.#hurry.signal.aborted;
      const error = await this.#openAndWrite(last ? LAST_TIMEOUT_MS : LOCK_TIMEOUT_MS);
      if (!error) continue;
      if (last || !isLocked(error) || this.#clock.now() >= giveUpAt) this.#fail(error);
      else await this.#pause(RETRY_MS);
    }
    this.#writing = undefined;
  }

  /** @returns why it is not written */
  async #openAndWrite(timeoutMs: number): Promise<Error | undefined> {
    try {
      const store = await this.#open(timeoutMs);
      store.timeoutMs = timeoutMs;
      return this.#tryToWrite(store);
    } catch (error) {
      return error as FileError;
    }
  }

  /** @returns why it is not written; who writes later tells */
  #tryToWrite(store: HistoryStore): Error | undefined {
    try {
      store.append(this.#waiting);
    } catch (error) {
      return error as FileError;
    }
    this.#waiting = [];
    this.#waitingUnits = 0;
    this.#fullAt = 1;
  }

  /** One at a time: two at once would be two databases. */
  async #open(timeoutMs = LOCK_TIMEOUT_MS): Promise<HistoryStore> {
    if (this.#store) return this.#store;
    const { path, maxBytes = MAX_HISTORY_BYTES } = this.#options;
    this.#opening ??= HistoryStore.open(path, { timeoutMs, maxBytes });
    try {
      return this.#store = await this.#opening;
    } finally {
      this.#opening = undefined;
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(this.#clock, ms, this.#hurry.signal).catch(() => {});
  }

  #fail(error: Error): void {
    this.#failed = error;
    this.#waiting = [];
    this.#waitingUnits = 0;
    this.#options.output.warn(`The chat goes on without history. ${error.message}`);
  }
}

/** A copy of the beginning of what is too long: a part of the text itself would keep all of it. */
function cut(text: string): string {
  if (text.length <= MAX_TEXT_UNITS) return text;
  return new TextDecoder().decode(encodeText(`${text.slice(0, MAX_TEXT_UNITS - 1)}…`));
}
