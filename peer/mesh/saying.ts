/** What we say: to all, or to some alone; no faster than those who are here can take it. */
import { encodeText } from "../../protocol/bytes.ts";
import { P2pError } from "../../protocol/errors.ts";
import { MAX_BEHIND_BYTES, MAX_BEHIND_LINES, MAX_CHAT_BYTES } from "../../protocol/limits.ts";
import type { Replica } from "../../protocol/replica.ts";
import { type Party, partyOf } from "../history/entry.ts";
import type { Host } from "../host.ts";
import type { Hearing } from "./hearing.ts";
import type { Talk } from "./talk.ts";

export interface SayingOptions {
  replica: Pick<Replica, "say" | "unsaid">;
  hearing: Pick<Hearing, "say">;
  /** With all who are here. */
  talks: () => Talk[];
  /** Members who are lost. */
  absent: () => Party[];
}

export class Saying {
  readonly #host: Pick<Host, "name" | "output" | "history">;
  readonly #options: SayingOptions;

  constructor(host: Pick<Host, "name" | "output" | "history">, options: SayingOptions) {
    this.#host = host;
    this.#options = options;
  }

  /**
   * Says a line to everybody. Resolves when those who are here have taken it, or nearly so.
   * @throws {P2pError} if it is too long
   */
  async toAll(text: string): Promise<void> {
    checkLength(text);
    const parties = this.#options.talks().map(({ peer }) => partyOf(peer));
    if (parties.length === 0) this.#tellAlone();
    this.#options.replica.say(text, this.#host.name);
    await this.#said(text, parties, false);
  }

  /**
   * Says a line to each of these alone.
   * @throws {P2pError} if it is too long
   */
  async toThese(to: readonly Party[], text: string): Promise<void> {
    checkLength(text);
    for (const { key } of to) this.#options.replica.say(text, this.#host.name, key);
    await this.#said(text, [...to], true);
  }

  async #said(text: string, to: Party[], privately: boolean): Promise<void> {
    const { name: from, history } = this.#host;
    await this.#options.hearing.say();
    if (to.length > 0) history?.add({ sent: true, private: privately, from, with: to, text });
    await Promise.all(this.#options.talks().map((talk) => this.#caughtUp(talk)));
  }

  /** Nobody hears what is said now. */
  #tellAlone(): void {
    const names = this.#options.absent().map(({ name }) => name).join(", ");
    this.#host.output.say(
      names === ""
        ? "Nobody is here yet to read that."
        : `Nobody is here: kept for ${names}, for an hour.`,
    );
  }

  /** Resolves when somebody who is connected is not far behind with what we say. */
  async #caughtUp(talk: Talk): Promise<void> {
    const isBehind = () => {
      if (!talk.member || talk.over || talk.peer.session.state !== "connected") return false;
      const { lines, bytes } = this.#options.replica.unsaid(talk.id);
      return lines > MAX_BEHIND_LINES || bytes > MAX_BEHIND_BYTES;
    };
    while (isBehind()) await talk.moved();
  }
}

function checkLength(text: string): void {
  if (encodeText(text).length <= MAX_CHAT_BYTES) return;
  throw new P2pError("Line not sent: longer than 16 MiB", {
    hint: "Send it as a file: /send PATH",
  });
}
