import { UsageError } from "../../protocol/errors.ts";

/** Milliseconds in a minute, an hour, a day and a week. */
const UNITS: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/**
 * When it was: a date, with a time or without, on this machine's clock, or how long ago.
 * @param now milliseconds since 1970
 * @returns milliseconds since 1970
 * @throws {UsageError} if it is neither
 */
export function parseSince(text: string, now: number): number {
  const ago = /^(\d{1,6})([mhdw])$/.exec(text);
  if (ago) return now - Number(ago[1]) * UNITS[ago[2]!]!;
  const date = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?))?$/.exec(text);
  // Without a time Date would take it to be in UTC.
  const time = date ? Date.parse(`${date[1]}T${date[2] ?? "00:00"}`) : NaN;
  if (!Number.isNaN(time)) return time;
  throw new UsageError(`Time not understood: --since ${JSON.stringify(text)}`, {
    hint: 'Write it as 2026-11-21, "2026-11-21 14:00", or 30m, 12h, 7d, 4w for how long ago.',
  });
}
