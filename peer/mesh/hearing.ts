/**
 * Lines on their way to the user: what was said in one turn of the event loop, here or by others,
 * is written to disk together, and then shown, so that a program which is killed neither loses a
 * line nor shows it again when it is started anew.
 */
import { setImmediate } from "node:timers";
import { fingerprint } from "../../protocol/fingerprint.ts";
import type { Line } from "../../protocol/line.ts";
import { memberId } from "../../protocol/member.ts";
import type { Host } from "../host.ts";

/** Lines of our own that are said in one turn. */
const MAX_WAITING = 256;
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

interface Heard {
  readonly line: Line;
  readonly through: { readonly name: string } | undefined;
}

export class Hearing {
  readonly #host: Pick<Host, "output" | "history">;
  readonly #options: HearingOptions;
  /** What others said since the last turn. */
  #lines: Heard[] = [];
  /** Lines that wait for the end of this turn, our own among them. */
  #waiting = 0;
  #turn: PromiseWithResolvers<void> | undefined;

  constructor(host: Pick<Host, "output" | "history">, options: HearingOptions) {
    this.#host = host;
    this.#options = options;
  }

  /**
   * Takes a line that is new.
   * @param through who handed it on, if it is that member's word alone whose line it is
   */
  hear(line: Line, through?: { readonly name: string }): void {
    this.#lines.push({ line, through });
    this.#await();
  }

  /**
   * Takes a line of our own. Resolves when there is room for another: who says many in one turn
   * lets others have theirs.
   */
  async say(): Promise<void> {
    this.#await();
    if (this.#waiting >= MAX_WAITING) await this.flushed();
  }

  /** Resolves when all that was said and heard up to now is written, and shown. */
  async flushed(): Promise<void> {
    if (this.#waiting > 0) await this.#turn?.promise;
  }

  #await(): void {
    if (this.#waiting++ > 0) return;
    this.#turn = Promise.withResolvers();
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    const { write, written, isMuted } = this.#options;
    const lines = this.#lines;
    this.#lines = [];
    this.#waiting = 0;
    write();
    written();
    for (const each of lines) if (!isMuted(each.line.author)) this.#show(each);
    this.#turn?.resolve();
  }

  #show({ line, through }: Heard): void {
    const { output, history } = this.#host;
    const { author: key, channel, text, time } = line;
    const from = this.#options.nameOf(line);
    const only = channel === 1;
    const late = Date.now() - time > LATE_MS;
    output.message(from, text, {
      // Only events show them, and a hash for each line is much.
      ...(output.json && { id: lineId(line), key: fingerprint(key) }),
      through: through?.name,
      private: only,
      time,
      late,
    });
    history?.add({ sent: false, private: only, from, with: [{ key, name: from }], text });
  }
}

/** What tells it from all other lines. */
function lineId({ author: key, instance, channel, number }: Line): string {
  return `${memberId({ key, instance })}/${channel}/${number}`;
}
