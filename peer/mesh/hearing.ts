/**
 * Lines that others said, on their way to the user: what came in one turn of the event loop is
 * written to disk together, and then shown, so that a program which is killed neither loses a line
 * nor shows it again when it is started anew.
 */
import { setImmediate } from "node:timers";
import { fingerprint } from "../../protocol/fingerprint.ts";
import type { Line } from "../../protocol/line.ts";
import { memberId } from "../../protocol/member.ts";
import type { Host } from "../host.ts";

/** Milliseconds after which a line was said while we were away. */
const LATE_MS = 10_000;

export interface HearingOptions {
  /** Writes what has changed to disk. */
  write: () => void;
  /** Told when it is written: others may have it. */
  written: () => void;
  /** What the author of a line is called here. */
  nameOf: (line: Line) => string;
  /** Whether nothing of an author is shown. */
  isMuted: (author: Uint8Array) => boolean;
}

export class Hearing {
  readonly #host: Pick<Host, "output" | "history">;
  readonly #options: HearingOptions;
  #lines: Line[] = [];

  constructor(host: Pick<Host, "output" | "history">, options: HearingOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** Takes a line that is new. */
  add(line: Line): void {
    this.#lines.push(line);
    if (this.#lines.length === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const { write, written, isMuted } = this.#options;
    const lines = this.#lines;
    this.#lines = [];
    write();
    written();
    for (const line of lines) if (!isMuted(line.author)) this.#show(line);
  }

  #show(line: Line): void {
    const { output, history } = this.#host;
    const { author: key, channel, text, time, number } = line;
    const from = this.#options.nameOf(line);
    const only = channel === 1;
    const late = Date.now() - time > LATE_MS;
    const id = `${memberId({ key, instance: line.instance })}/${channel}/${number}`;
    output.message(from, text, { private: only, id, key: fingerprint(key), time, late });
    history?.add({ sent: false, private: only, from, with: [{ key, name: from }], text });
  }
}
