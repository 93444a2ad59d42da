/** Progress of one transfer, skeleton. */
import type { Path } from "../../protocol/connection.ts";
import type { Output } from "../output.ts";

export interface ProgressOptions {
  /** What is being transferred, as people know it. */
  name: string;
  /** Bytes in all; undefined while unknown. */
  total: number | undefined;
  /** Bytes that were there already, when a transfer resumes: they do not count towards the rate. */
  resumed?: number;
  path: Path;
  /** More fields for the `progress` events. */
  fields?: Record<string, unknown>;
  /** Milliseconds on a clock that never goes back. Default: the machine's. */
  now?: () => number;
}

/** Shows a line that moves on a terminal, `progress` events with --json, at most every 100 ms. */
export class Progress {
  constructor(_output: Output, _options: ProgressOptions) {}
  /** The name, total or path changed: the next file began, the session moved to another path. */
  change(_changes: Partial<Pick<ProgressOptions, "name" | "total" | "path">>): void {}
  /** Says how many bytes are there in all by now. */
  update(_bytes: number): void {}
  /** Removes the line and returns the summary: "film.mkv sent: 700 MB in 7.5 s (93 MB/s), direct". */
  finish(_verb: "sent" | "received"): string {
    return "";
  }
  /** Removes the line. Idempotent. */
  close(): void {}
}
