/** Sizes and times as people read them: powers of 1000, three figures. */

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** "0 B", "999 B", "1.5 kB", "434 MB". */
export function formatBytes(bytes: number): string {
  const unit = unitOf(bytes);
  return `${figures(bytes / 1000 ** unit)} ${UNITS[unit]}`;
}

/** "434/700 MB", "0.9/700 MB"; "434 MB" if the total is not known. */
export function formatBytesOf(bytes: number, total: number | undefined): string {
  if (total === undefined) return formatBytes(bytes);
  const unit = unitOf(total);
  const done = figures(bytes / 1000 ** unit);
  return `${done}/${figures(total / 1000 ** unit)} ${UNITS[unit]}`;
}

/** "93 MB/s". */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** A time that is still to go: "0:03", "12:45", "1:02:03". */
export function formatTimeLeft(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  const tail = `:${String(whole % 60).padStart(2, "0")}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}${tail}` : `${minutes}${tail}`;
}

/** A time that has passed: "0.02 s", "7.5 s", "42 s", "2 min 5 s", "1 h 2 min". */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 0.095) return `${seconds.toFixed(2)} s`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
}

/** The largest unit in which the number is at least 1 when rounded. */
function unitOf(bytes: number): number {
  let unit = 0;
  while (unit < UNITS.length - 1 && bytes / 1000 ** unit >= 999.5) unit++;
  return unit;
}

function figures(value: number): string {
  return value < 9.95 && !Number.isInteger(value) ? value.toFixed(1) : String(Math.round(value));
}
