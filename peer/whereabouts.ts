/**
 * What is told of a peer's connection: that it is there, and how its bytes travel; that it is lost,
 * back, or takes another path.
 */
import type { Path } from "../protocol/connection.ts";
import { fingerprint } from "../protocol/fingerprint.ts";
import type { Output } from "./output.ts";
import type { Session, SessionState } from "./session.ts";
import { whyLost } from "./why_lost.ts";

/** How it is put to people that a connection is lost, and back. */
export interface WhereaboutsWords {
  away: (name: string, reason: string) => string;
  back: (name: string) => string;
}

export class Whereabouts {
  readonly #output: Output;
  readonly #session: Session;
  readonly #words: WhereaboutsWords;
  /** What the peer is called now. */
  readonly #name: () => string;
  #away = false;
  /** The path that was told last. */
  #path: Path | undefined;
  /** Why there is no straight way, as it was told last. */
  #relayedBecause: string | undefined;

  constructor(
    output: Output,
    session: Session,
    options: { words: WhereaboutsWords; name?: () => string },
  ) {
    this.#output = output;
    this.#session = session;
    this.#words = options.words;
    this.#name = options.name ?? (() => session.remoteName);
  }

  /** Tells who it is that we are connected to, and how. */
  connected(): void {
    const { path, remote: address, remoteKey } = this.#session;
    const peer = this.#name();
    const key = fingerprint(remoteKey);
    this.#path = path;
    this.#output.say(`Connected to ${peer} (${this.#way}, encrypted, key ${key})`);
    this.#output.event("connected", { peer, path, address, fingerprint: key });
    this.#tellRelayed();
  }

  /** Goes on where another session with the peer was told of: it is back, if it was away. */
  takeOver(before: Whereabouts): void {
    this.#path = before.#path;
    this.#away = before.#away;
    this.#relayedBecause = before.#relayedBecause;
    if (this.#session.state === "connected") this.#found();
  }

  /** Tells of a change of the session's state, once the peer has been told of. */
  changed(state: SessionState, reason: Error | undefined): void {
    if (this.#path === undefined) return;
    if (state === "away") this.#lost(reason);
    else if (state === "connected") this.#found();
  }

  #lost(reason: Error | undefined): void {
    // A connection on which nobody greeted was never told of.
    if (this.#away) return;
    this.#away = true;
    this.#output.say(this.#words.away(this.#name(), whyLost(reason)));
    this.#output.event("away", { peer: this.#name() });
  }

  #found(): void {
    const { path } = this.#session;
    const peer = this.#name();
    if (this.#away) {
      this.#output.say(this.#words.back(peer));
      this.#output.event("back", { peer, path });
    }
    this.#away = false;
    if (path !== this.#path) {
      this.#output.say(`The way to ${peer} is now ${this.#way}`);
      this.#output.event("path", { peer, path });
    }
    this.#path = path;
    this.#tellRelayed();
  }

  /** Once, until there is another reason, or another way. */
  #tellRelayed(): void {
    const reason = this.#session.relayedBecause;
    const before = this.#relayedBecause;
    this.#relayedBecause = reason;
    if (reason === undefined || reason === before) return;
    const peer = this.#name();
    this.#output.say(`No straight way to ${peer}: ${reason}; all goes on through the relay`);
    this.#output.event("relayed", { peer, reason });
  }

  /** Address and path: "192.168.1.20:8080, lan", "through relay host.example:8080, relayed". */
  get #way(): string {
    const { path, remote } = this.#session;
    return `${path === "relayed" ? "through " : ""}${remote}, ${path}`;
  }
}
