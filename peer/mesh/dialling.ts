/** Dials the members of the mesh with whom there is no session, when they are due. */
import type { Clock } from "../../protocol/clock.ts";
import type { DialPlan, DialTarget } from "../../protocol/dial_plan.ts";
import { IdentityError, P2pError } from "../../protocol/errors.ts";
import { dialSession } from "../dialer.ts";
import type { Host } from "../host.ts";
import { MemberRoute } from "../member_route.ts";
import type { Reachable } from "./reachable.ts";
import type { KnownPeer } from "../route.ts";
import type { Session } from "../session.ts";

export interface DiallingOptions {
  host: Host;
  /** Whom to dial, and when. */
  dials: DialPlan;
  clock: Clock;
  /** Where we are reached ourselves. */
  reachable: () => Reachable;
  /** @throws {P2pError} if nobody with that key may come in under that name */
  admit: (name: string, key: Uint8Array) => Promise<void>;
  /** Takes a session in. */
  enter: (session: Session) => Promise<void>;
  /** Which member a session is with, as the dial plan calls it; undefined before it has said so. */
  memberOf: (session: KnownPeer) => string | undefined;
}

export class Dialling {
  readonly #options: DiallingOptions;
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  /** Those of whom it was told that another key is known under their name. */
  readonly #refused = new Set<string>();
  #cancel: (() => void) | undefined;

  constructor(options: DiallingOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.host.signal, this.#over.signal]);
  }

  /** Whom to dial, or when, may have changed. */
  schedule(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#signal.aborted) return;
    const { dials, clock } = this.#options;
    const wait = dials.nextDue();
    if (wait < Infinity) this.#cancel = clock.after(wait, () => this.#dialDue());
  }

  /** Nobody is dialled any more; sessions go on. */
  close(): void {
    this.#over.abort();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #dialDue(): void {
    for (const target of this.#options.dials.due()) this.#dial(target);
    this.schedule();
  }

  async #dial(target: DialTarget): Promise<void> {
    const { host, dials, enter } = this.#options;
    try {
      const { name, network, identity } = host;
      const options = { name, network, identity, signal: this.#signal };
      const session = await dialSession(this.#routeTo(target), options);
      dials.dialled(target.id, "ok");
      // How the visit went is told by whoever takes it in.
      void enter(session);
    } catch (error) {
      if (this.#signal.aborted) return;
      if (!(error instanceof P2pError)) throw error;
      dials.dialled(target.id, "failed");
      this.#tellRefused(target, error);
    }
    this.schedule();
  }

  #routeTo(target: DialTarget): MemberRoute {
    const { host, dials, clock, admit, reachable, memberOf } = this.#options;
    const { relay, relayOnly } = reachable();
    return new MemberRoute({
      // By the time that its session needs another connection it may be elsewhere, and have said so
      // itself: whom others told of, or who was here years ago, may be another instance.
      member: (session) => dials.where((session && memberOf(session)) ?? target.id) ?? target,
      identity: host.identity,
      clock,
      admit,
      ownAddresses: () => reachable().addresses(),
      relay,
      relayOnly,
    });
  }

  /** Whom we cannot reach is no news; who is not whom we know under that name is, once. */
  #tellRefused({ id }: DialTarget, error: P2pError): void {
    if (!(error instanceof IdentityError) || this.#refused.has(id)) return;
    this.#refused.add(id);
    this.#options.host.output.warn(error.message, error.hint ?? "");
  }
}
