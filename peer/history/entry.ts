/** What the history keeps of one line or one file. */
import { fingerprint } from "../../protocol/fingerprint.ts";
import { formatBytes } from "../terminal/format.ts";

/** Somebody whom a line or file came from or went to. */
export interface Party {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** What it went by then. */
  readonly name: string;
}

/** Somebody in a chat, as the history knows them. */
export function partyOf(
  { name, session }: { name: string; session: { remoteKey: Uint8Array } },
): Party {
  return { name, key: session.remoteKey };
}

export interface HistoryEntry {
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Whether it was this side that said or sent it. */
  readonly sent: boolean;
  /** Whether a line was for one alone of those who were there. */
  readonly private: boolean;
  /** What whoever said or sent it went by then. */
  readonly from: string;
  /** Whom it came from, or went to. */
  readonly with: readonly Party[];
  /** The line as it came, or the path of a file: not yet safe to show. */
  readonly text: string;
  /** A file's length; undefined for a line. */
  readonly fileBytes?: number | undefined;
}

/** The fields of the event `history`. */
export function historyFields(entry: HistoryEntry): Record<string, unknown> {
  const { time, sent, from, text, fileBytes } = entry;
  return {
    time: new Date(time).toISOString(),
    direction: sent ? "sent" : "received",
    private: entry.private || undefined,
    from,
    with: entry.with.map(({ key, name }) => ({ name, fingerprint: fingerprint(key) })),
    ...(fileBytes === undefined ? { text } : { path: text, bytes: fileBytes }),
  };
}

/** "2026-11-21 14:05  bob: hello", in local time; not yet escaped. */
export function historyLine(entry: HistoryEntry): string {
  return `${localTime(entry.time)}  ${wordsOf(entry)}`;
}

function wordsOf(entry: HistoryEntry): string {
  const { from, text, fileBytes } = entry;
  const to = entry.sent ? ` to ${entry.with.map(({ name }) => name).join(", ")}` : "";
  if (fileBytes !== undefined) return `${from} sent ${text} (${formatBytes(fileBytes)})${to}`;
  return entry.private ? `${from}${to} (privately): ${text}` : `${from}: ${text}`;
}

function localTime(time: number): string {
  const date = new Date(time);
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join("-");
  return `${day} ${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}
