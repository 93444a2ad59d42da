/**
 * One attempt of two introduced peers to find a way through their NATs over UDP (README.md, section
 * 12). Pure: it tells what to send and when it wants to be asked again; time, sockets and randomness
 * are the caller's.
 *
 *     PROBE  →  the other's NAT lets it in, or not yet: our own has a way out now
 *     PROBE  →                                            ←  PROBE, answered and probed back
 *            ←  ANSWER: this address is proven
 *     asker: NOMINATE × 3  →  target: this address it is
 */
import { type Address, formatAddress, isLocal } from "./address.ts";
import {
  LONG_PUNCH_TIMEOUT_MS,
  MAX_REFLEXIVE,
  MAX_UNPROVEN,
  NOMINATE_WAIT_MS,
  NOMINATIONS,
  OPENER_TTL,
  PROBE_MS,
  PUNCH_TIMEOUT_MS,
  SLOW_PROBE_AFTER_MS,
  SLOW_PROBE_MS,
  SPRAY_AFTER_MS,
  SPRAY_MS,
} from "./limits.ts";
import { canonical, isSameNetwork, punchCandidates, type PunchPlan, type Reach } from "./nat.ts";
import { type Guess, spray, spread } from "./punch_guesses.ts";
import { PUNCH_NONCE_BYTES, PunchCodec, type PunchRole } from "./punch_packet.ts";
import { PunchRate } from "./punch_rate.ts";

/** A datagram that is to be sent. */
export interface PunchDatagram {
  /** Which socket: a base socket, or from FIRST_FURTHER_SOCKET on one to be opened for IPv4. */
  readonly socket: number;
  readonly to: Address;
  readonly bytes: Uint8Array;
  /** The time to live, where it is not the usual one. */
  readonly ttl?: number;
}

/** How an attempt has ended. */
export type PunchOutcome =
  | {
    readonly type: "nominated";
    readonly socket: number;
    readonly remote: Address;
    /** Undefined where the other side alone has measured it. */
    readonly roundTripMs: number | undefined;
  }
  | { readonly type: "failed" };

export interface PuncherOptions {
  readonly role: PunchRole;
  /** The introduction's, 16 bytes. */
  readonly secret: Uint8Array;
  readonly plan: PunchPlan;
  readonly own: Reach;
  readonly peer: Reach;
  /** The numbers of the sockets that are open already, 0 or 1, by family. */
  readonly sockets: { readonly ipv4?: number; readonly ipv6?: number };
  /** Milliseconds on the caller's clock. */
  readonly now: number;
  /** Fills an array with random bytes that nobody can foresee. */
  readonly random: (bytes: Uint8Array) => void;
}

/** From one socket of ours to one address. */
interface PunchPath {
  readonly socket: number;
  readonly remote: Address;
  readonly local: boolean;
  /** PROBEs and ANSWERs sent there. */
  probes: number;
  answers: number;
  /** When the other side was first heard from there. */
  heardAt: number | undefined;
  /** When the next PROBE is due. */
  dueAt: number;
  /** Set once the address is proven. */
  roundTripMs: number | undefined;
}

interface SentProbe {
  readonly key: string;
  readonly guess: Guess;
  readonly at: number;
}

/**
 * Datagrams that each sort leaves to those which matter more: see PunchRate. `heard` is for where
 * the other side was heard: ANSWERs, and PROBEs back.
 */
const LEAVE = { nominate: 0, heard: NOMINATIONS, probe: NOMINATIONS + 3, guess: 8 } as const;
/** Datagrams sent at once: most candidates of a peer, or as few as an even rate of guesses wants. */
const BURST = 20;
const LONG_BURST = 12;
/** PROBEs that are answered: more than a side may send in the longest attempt, and one is refused. */
const MAX_ANSWERED = 2_048;

export class Puncher {
  readonly #role: PunchRole;
  readonly #codec: PunchCodec;
  readonly #random: (bytes: Uint8Array) => void;
  readonly #start: number;
  readonly #deadline: number;
  /** Whether a local address may be found a little after another. */
  readonly #awaitsLocal: boolean;
  readonly #rate: PunchRate;
  /** By socket and address. */
  readonly #paths = new Map<string, PunchPath>();
  #reflexive = 0;
  readonly #guesses: Generator<Guess, undefined> | undefined;
  #guessAt: number;
  /** What may be answered yet, by nonce; the rate bounds how many there can be. */
  readonly #sent = new Map<string, SentProbe>();
  /** Nonces of PROBEs that were answered. */
  readonly #answered = new Set<string>();
  #heardAt: number;
  /** When the asker chooses, once it can. */
  #chooseAt = Infinity;
  #out: PunchDatagram[] = [];
  #outcome: PunchOutcome | undefined;

  constructor(options: PuncherOptions) {
    const { role, secret, plan, own, peer, sockets, now } = options;
    this.#role = role;
    this.#codec = new PunchCodec(secret, role);
    this.#random = options.random;
    this.#start = now;
    this.#heardAt = now;
    const long = plan.udp === "spray" || plan.udp === "spread";
    this.#rate = new PunchRate(long ? LONG_BURST : BURST);
    this.#deadline = now + (long ? LONG_PUNCH_TIMEOUT_MS : PUNCH_TIMEOUT_MS);
    for (const remote of punchCandidates(peer, own)) {
      const socket = isIpv6(remote) ? sockets.ipv6 : sockets.ipv4;
      if (socket !== undefined) this.#add({ socket, to: remote });
    }
    const paths = [...this.#paths.values()];
    this.#awaitsLocal = isSameNetwork(own, peer) && paths.some(({ local }) => local);
    this.#guesses = this.#guessing(options);
    this.#guessAt = this.#guesses ? now + SPRAY_AFTER_MS : Infinity;
    if (plan.udp === "none" || paths.length === 0) this.#outcome = { type: "failed" };
  }

  /** How it has ended; undefined while it goes on. Nothing is to be sent afterwards. */
  get outcome(): PunchOutcome | undefined {
    return this.#outcome;
  }

  /** When `poll` is to be called next, in milliseconds of the clock; Infinity once it is over. */
  get nextAt(): number {
    if (this.#outcome) return Infinity;
    let nextAt = Math.max(this.#nextGuessAt, this.#rate.readyAt(LEAVE.guess));
    for (const path of this.#paths.values()) {
      if (!isProbed(path)) continue;
      nextAt = Math.min(nextAt, Math.max(path.dueAt, this.#rate.readyAt(leaveOf(path))));
    }
    return Math.min(nextAt, this.#settlesAt);
  }

  /** All that is due now. */
  poll(now: number): PunchDatagram[] {
    if (!this.#outcome && now >= this.#settlesAt) this.#settle(now);
    if (!this.#outcome) {
      this.#probeAll(now);
      this.#guess(now);
    }
    return this.#takeOut();
  }

  /**
   * Takes in what has come; what does not belong here is dropped.
   * @param from as the socket tells it
   * @returns what is to be sent at once
   */
  receive(socket: number, bytes: Uint8Array, from: Address, now: number): PunchDatagram[] {
    const remote = canonical(from);
    const packet = this.#outcome || !remote ? undefined : this.#codec.decode(bytes);
    if (!packet || !remote) return [];
    const nonce = packet.nonce.toHex();
    const guess = { socket, to: remote };
    if (packet.type === "probe") this.#hearProbe(guess, nonce, now);
    else if (packet.type === "answer") this.#hearAnswer(guess, nonce, now);
    else this.#hearNominate(guess);
    return this.#takeOut();
  }

  #guessing(options: PuncherOptions): Generator<Guess, undefined> | undefined {
    const { plan, own, peer, sockets, random } = options;
    const to = punchCandidates({ ...peer, udp: [] }, own).find((each) => !isIpv6(each));
    if (!to || sockets.ipv4 === undefined) return undefined;
    if (plan.udp === "spread") return spread(to);
    return plan.udp === "spray" ? spray(sockets.ipv4, to.host, random) : undefined;
  }

  #add({ socket, to }: Guess): PunchPath {
    const path: PunchPath = {
      socket,
      remote: to,
      local: isLocal(to.host),
      probes: 0,
      answers: 0,
      heardAt: undefined,
      dueAt: this.#start,
      roundTripMs: undefined,
    };
    this.#paths.set(keyOf(path.socket, path.remote), path);
    return path;
  }

  /** The path on which something came; undefined where there are too many that nobody has told. */
  #pathOf(guess: Guess): PunchPath | undefined {
    const known = this.#paths.get(keyOf(guess.socket, guess.to));
    if (known) return known;
    if (this.#reflexive >= MAX_REFLEXIVE) return undefined;
    this.#reflexive++;
    return this.#add(guess);
  }

  #probeAll(now: number): void {
    const due = [...this.#paths.values()].filter((path) => isProbed(path) && path.dueAt <= now);
    due.sort((a, b) => leaveOf(a) - leaveOf(b) || a.dueAt - b.dueAt);
    for (const path of due) {
      if (!this.#rate.take(leaveOf(path), now)) return;
      this.#probe(path, now);
    }
  }

  #probe(path: PunchPath, now: number): void {
    const { socket, remote: to, heardAt } = path;
    const opener = path.probes === 0 && !path.local && heardAt === undefined;
    const bytes = this.#newProbe({ socket, to }, now);
    this.#out.push(opener ? { socket, to, bytes, ttl: OPENER_TTL } : { socket, to, bytes });
    path.probes++;
    const slow = now - (heardAt ?? this.#start) >= SLOW_PROBE_AFTER_MS;
    path.dueAt = now + (slow ? SLOW_PROBE_MS : PROBE_MS);
  }

  get #nextGuessAt(): number {
    return this.#best ? Infinity : this.#guessAt;
  }

  #guess(now: number): void {
    while (this.#nextGuessAt <= now && this.#rate.take(LEAVE.guess, now)) {
      const guess = this.#guesses?.next().value;
      this.#guessAt = guess ? this.#guessAt + SPRAY_MS : Infinity;
      if (guess) this.#out.push({ ...guess, bytes: this.#newProbe(guess, now) });
    }
  }

  #newProbe(guess: Guess, now: number): Uint8Array {
    const nonce = this.#nonce();
    this.#sent.set(nonce.toHex(), { key: keyOf(guess.socket, guess.to), guess, at: now });
    return this.#codec.probe(nonce);
  }

  #hearProbe(guess: Guess, nonce: string, now: number): void {
    if (this.#answered.has(nonce) || this.#answered.size >= MAX_ANSWERED) return;
    const path = this.#pathOf(guess);
    if (!path || !isAnswered(path) || !this.#rate.take(LEAVE.heard, now)) return;
    this.#answered.add(nonce);
    this.#heardAt = now;
    path.answers++;
    const bytes = this.#codec.answer(Uint8Array.fromHex(nonce));
    this.#out.push({ ...guess, bytes });
    if (path.heardAt === undefined) this.#probeBack(path, now);
  }

  /** Whoever is heard for the first time has a way to us: ours to them may just have opened. */
  #probeBack(path: PunchPath, now: number): void {
    path.heardAt = now;
    path.dueAt = now;
    if (isProbed(path) && this.#rate.take(LEAVE.heard, now)) this.#probe(path, now);
  }

  #hearAnswer(guess: Guess, nonce: string, now: number): void {
    const sent = this.#sent.get(nonce);
    if (sent?.key !== keyOf(guess.socket, guess.to)) return;
    this.#sent.delete(nonce);
    const path = this.#pathOf(guess);
    if (!path) return;
    this.#heardAt = now;
    path.roundTripMs ??= now - sent.at;
    if (this.#role === "asker") this.#mayChoose(path.roundTripMs, now);
  }

  /** Where a local address is worth waiting for, one round trip: a NAT may answer before it does. */
  #mayChoose(roundTripMs: number, now: number): void {
    const wait = this.#awaitsLocal && !this.#best?.local ? Math.max(roundTripMs, PROBE_MS) : 0;
    this.#chooseAt = Math.min(this.#chooseAt, now + wait);
    if (this.#chooseAt <= now) this.#settle(now);
  }

  #hearNominate({ socket, to }: Guess): void {
    const path = this.#paths.get(keyOf(socket, to));
    // The asker has had an ANSWER of ours on this path: so a PROBE has come by it.
    if (this.#role === "target" && path?.heardAt !== undefined) this.#end(path);
  }

  /** When it ends, or the asker chooses, unless something comes before that. */
  get #settlesAt(): number {
    if (this.#role === "asker") return Math.min(this.#chooseAt, this.#deadline);
    const quietAt = this.#heardAt + NOMINATE_WAIT_MS;
    return this.#best ? Math.min(quietAt, this.#deadline + NOMINATE_WAIT_MS) : this.#deadline;
  }

  /** Ends with the best that there is. */
  #settle(now: number): void {
    const best = this.#best;
    if (best && this.#role === "asker") this.#nominate(best, now);
    this.#end(best);
  }

  #nominate({ socket, remote: to }: PunchPath, now: number): void {
    for (let count = 0; count < NOMINATIONS; count++) {
      this.#rate.take(LEAVE.nominate, now);
      this.#out.push({ socket, to, bytes: this.#codec.nominate(this.#nonce()) });
    }
  }

  #end(path: PunchPath | undefined): void {
    this.#outcome ??= path
      ? {
        type: "nominated",
        socket: path.socket,
        remote: path.remote,
        roundTripMs: path.roundTripMs,
      }
      : { type: "failed" };
  }

  /** Of the proven paths the local one, then the shortest. */
  get #best(): PunchPath | undefined {
    let best: PunchPath | undefined;
    for (const path of this.#paths.values()) {
      if (path.roundTripMs !== undefined && (!best || isBetter(path, best))) best = path;
    }
    return best;
  }

  #nonce(): Uint8Array {
    const nonce = new Uint8Array(PUNCH_NONCE_BYTES);
    this.#random(nonce);
    return nonce;
  }

  #takeOut(): PunchDatagram[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}

function isIpv6({ host }: Address): boolean {
  return host.includes(":");
}

function keyOf(socket: number, remote: Address): string {
  return `${socket} ${formatAddress(remote)}`;
}

function leaveOf({ heardAt }: PunchPath): number {
  return heardAt === undefined ? LEAVE.probe : LEAVE.heard;
}

/** Whether PROBEs still go there. */
function isProbed({ probes, roundTripMs }: PunchPath): boolean {
  return roundTripMs === undefined && probes < MAX_UNPROVEN;
}

function isAnswered({ answers, roundTripMs }: PunchPath): boolean {
  return roundTripMs !== undefined || answers < MAX_UNPROVEN;
}

function isBetter(path: PunchPath, than: PunchPath): boolean {
  if (path.local !== than.local) return path.local;
  return path.roundTripMs! < than.roundTripMs!;
}
