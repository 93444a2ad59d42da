import type { Path } from "../../protocol/connection.ts";
import type { Output } from "../output.ts";
import { escapeText } from "./escape.ts";
import {
  formatBytes,
  formatBytesOf,
  formatDuration,
  formatRate,
  formatTimeLeft,
} from "./format.ts";
import { RateMeter } from "./rate_meter.ts";
import type { StatusLine } from "./screen.ts";
import { fitWidth, textWidth } from "./width.ts";

export interface ProgressOptions {
  /** What is being transferred, as people know it. */
  name: string;
  /** What the line that moves calls it. Default: its name. */
  label?: string;
  /** Bytes in all; undefined while unknown. */
  total: number | undefined;
  /** Bytes that were there from an earlier try: they do not count towards the rate. */
  resumed?: number;
  path: Path;
  /** More fields for the `progress` events. */
  fields?: Readonly<Record<string, unknown>>;
  /** Milliseconds on a clock that never goes back. Default: the machine's. */
  now?: () => number;
}

/** What a progress line shows. */
export interface ProgressState {
  name: string;
  bytes: number;
  total: number | undefined;
  /** Bytes per second; undefined while unknown. */
  rate: number | undefined;
  path: Path;
}

type Fact = "percent" | "bytes" | "rate" | "timeLeft" | "path";

/** Milliseconds between two pictures: faster than that nobody reads. */
const REFRESH_MS = 100;
const NAME_COLUMNS = 32;
const MIN_NAME_COLUMNS = 8;
const MAX_BAR_COLUMNS = 24;
const MIN_BAR_COLUMNS = 6;
const GAP = "  ";

/** One transfer's progress: a line that moves on a terminal, `progress` events with `--json`. */
export class Progress {
  readonly #output: Output;
  readonly #now: () => number;
  readonly #started: number;
  readonly #resumed: number;
  readonly #rate: RateMeter;
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #label: string;
  readonly #state: ProgressState;
  #line: StatusLine | undefined;
  #shown: number;
  #later: ReturnType<typeof setTimeout> | undefined;

  constructor(output: Output, options: ProgressOptions) {
    const { name, total, path, resumed = 0 } = options;
    this.#output = output;
    this.#now = options.now ?? defaultNow;
    this.#started = this.#now();
    this.#shown = -Infinity;
    this.#resumed = resumed;
    this.#rate = new RateMeter(this.#now, resumed);
    this.#fields = options.fields ?? {};
    this.#label = options.label ?? name;
    this.#state = { name, bytes: resumed, total, path, rate: undefined };
    if (!output.quiet && !output.json) this.#line = output.screen?.status();
  }

  /** The next file began, or the session moved to another path. */
  change(changes: Partial<Pick<ProgressOptions, "name" | "total" | "path">>): void {
    Object.assign(this.#state, changes);
  }

  /** @param bytes how many there are by now, those from an earlier try included */
  update(bytes: number): void {
    this.#state.bytes = bytes;
    const wait = this.#shown + REFRESH_MS - this.#now();
    if (wait <= 0) this.#show();
    // What comes too soon is shown a little later, lest a transfer that stalls show less than it
    // has.
    else this.#later ??= setTimeout(() => this.#show(), wait);
  }

  #show(): void {
    this.#cancelLater();
    this.#shown = this.#now();
    const { bytes, total } = this.#state;
    this.#rate.update(bytes);
    this.#state.rate = this.#rate.bytesPerSecond;
    this.#output.event("progress", { bytes, total: total ?? null, ...this.#fields });
    const picture = { ...this.#state, name: this.#label };
    this.#line?.update((columns) => renderProgress(picture, columns));
  }

  #cancelLater(): void {
    clearTimeout(this.#later);
    this.#later = undefined;
  }

  /** Takes the line away. @returns "film.mkv sent: 700 MB in 7.5 s (93 MB/s), direct" */
  finish(verb: "sent" | "received"): string {
    this.close();
    const { name, bytes, path } = this.#state;
    const ms = this.#now() - this.#started;
    return summarise({ name, verb, bytes, resumed: this.#resumed, ms, path });
  }

  /** Takes the line away. Idempotent. */
  close(): void {
    this.#cancelLater();
    this.#line?.remove();
    this.#line = undefined;
  }
}

/**
 * "film.mkv  ████████░░░░  62%  434/700 MB  93 MB/s  0:03  direct" in at most `columns`. Where there is less room, the bar goes
 * first, then the time left, the rate, the bytes and the path; the name is shortened last.
 */
export function renderProgress(state: ProgressState, columns: number): string {
  const name = escapeText(state.name);
  const nameColumns = Math.min(textWidth(name), NAME_COLUMNS);
  const least = Math.min(nameColumns, MIN_NAME_COLUMNS);
  const facts = fittingFacts(state, columns - least);
  const room = columns - widthOf(facts);
  if (room < least) return fitWidth(facts.join(""), columns);
  const shown = fitWidth(name, Math.min(nameColumns, room));
  const bar = drawBar(state, Math.min(MAX_BAR_COLUMNS, room - textWidth(shown) - GAP.length));
  return [shown, ...(bar ? [bar] : []), ...facts].join(GAP);
}

/** The line that stays: what, how much, how fast, which way. */
export function summarise(
  done: {
    name: string;
    verb: "sent" | "received";
    bytes: number;
    resumed: number;
    ms: number;
    path: Path;
  },
): string {
  const moved = done.bytes - done.resumed;
  const rate = done.ms > 0 ? ` (${formatRate(moved / (done.ms / 1000))})` : "";
  const had = done.resumed > 0 ? `, resumed at ${formatBytes(done.resumed)}` : "";
  const took = formatDuration(done.ms);
  return `${done.name} ${done.verb}: ${
    formatBytes(done.bytes)
  } in ${took}${rate}${had}, ${done.path}`;
}

/** What fits behind the name, in the order shown; at least one thing. */
function fittingFacts(state: ProgressState, columns: number): string[] {
  const facts = factsOf(state);
  for (const dropped of ["timeLeft", "rate", "bytes", "path"] as const) {
    if (widthOf(Object.values(facts)) <= columns || Object.keys(facts).length === 1) break;
    delete facts[dropped];
  }
  return Object.values(facts);
}

/** Each has a fixed width where it can, so that the line does not tremble. */
function factsOf({ bytes, total, rate, path }: ProgressState): Partial<Record<Fact, string>> {
  return {
    ...(total === undefined ? {} : { percent: `${percent(bytes, total)}%`.padStart(4) }),
    bytes: formatBytesOf(bytes, total),
    ...(rate === undefined ? {} : { rate: formatRate(rate).padStart(8) }),
    ...(rate && total !== undefined ? { timeLeft: formatTimeLeft((total - bytes) / rate) } : {}),
    path,
  };
}

/** Never 100 before the last byte. */
function percent(bytes: number, total: number): number {
  return total === 0 ? 100 : Math.min(100, Math.floor(100 * bytes / total));
}

function widthOf(facts: readonly string[]): number {
  return facts.reduce((sum, fact) => sum + GAP.length + textWidth(fact), 0);
}

function drawBar({ bytes, total }: ProgressState, columns: number): string | undefined {
  if (total === undefined || columns < MIN_BAR_COLUMNS) return undefined;
  const full = Math.floor(columns * percent(bytes, total) / 100);
  return "█".repeat(full) + "░".repeat(columns - full);
}

function defaultNow(): number {
  return performance.now();
}
