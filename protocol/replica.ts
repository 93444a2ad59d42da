import { equalBytes } from "./bytes.ts";
import type { HaveMessage, LineMessage } from "./chat.ts";
import { ProtocolError } from "./errors.ts";
import { BEGIN_WAIT_MS, GAP_SHOW_MS, GAP_WAIT_MS, POSITION_LIFE_MS } from "./limits.ts";
import { type Line, type LogPosition, signedBytes, type StoredLine } from "./line.ts";
import type { LineLog, LogEntry } from "./line_log.ts";
import { LineLogs, logKey, type LogLimits } from "./line_logs.ts";
import { Neighbour, type NeighbourInfo, type Track } from "./neighbour.ts";

/** Bounds, each as in limits.ts unless it is given. */
export interface ReplicaLimits extends LogLimits {
  /** Milliseconds that a gap is left open for others to fill. */
  gapWaitMs: number;
  /** The same for one at the beginning of a log. */
  beginWaitMs: number;
  /** Milliseconds until others are shown that there is one. */
  gapShowMs: number;
}

export interface ReplicaOptions {
  /** Our static key, 32 bytes. */
  readonly key: Uint8Array;
  /** Our instance, 8 bytes. */
  readonly instance: Uint8Array;
  /** Our Ed25519 key, 32 bytes. */
  readonly signingKey: Uint8Array;
  /** Ed25519 with that key. */
  sign(bytes: Uint8Array): Uint8Array;
  /** Whether a signature of these bytes is that of `signingKey`. */
  verify(bytes: Uint8Array, signature: Uint8Array, signingKey: Uint8Array): boolean;
  /** Milliseconds since 1970. */
  now(): number;
  readonly limits?: Partial<ReplicaLimits>;
}

/** What changed since it was last asked for: to be written before it is shown or sent. */
export interface ReplicaChanges {
  lines: StoredLine[];
  /** How far we have got with the logs that changed; what `direct` says is of no use later. */
  positions: LogPosition[];
}

/**
 * The logs of a member (README.md, section 8): what it has of everybody's lines, and what it owes to
 * those it has sessions with, its neighbours.
 *
 *                   say ─┐                     ┌─ next: HAVE, LINE ─► neighbour
 *                        ├─► logs, positions ──┼─ next: HAVE, LINE ─► neighbour
 *     heard, take ◄──────┘         │           └─ …
 *     from a neighbour             └─ changes ─► disk
 *
 * The logs are the send queues: `next` looks up what a neighbour's position is short of. Whoever
 * calls it may do so when its stream takes more, and leave it as long as it does not. After any
 * other call, `next` of every neighbour may have something.
 */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #gapWaitMs: number;
  readonly #beginWaitMs: number;
  readonly #gapShowMs: number;
  readonly #logs: LineLogs;
  /** Our own log to all. */
  readonly #own: LineLog;
  readonly #neighbours = new Map<string, Neighbour>();
  /** The signing keys of those who told us theirs, by static key in hexadecimal. */
  readonly #signingKeys = new Map<string, Uint8Array>();
  /** Who told of those who did not tell us themselves, in hexadecimal. */
  readonly #tellers = new Map<string, string>();
  #fresh: StoredLine[] = [];
  readonly #moved = new Set<LineLog>();
  #now = 0;
  /** Whether we have met somebody, in this run or one that is remembered. */
  #hasMet = false;

  constructor(options: ReplicaOptions) {
    const { key, instance, limits = {} } = options;
    this.#options = options;
    this.#gapWaitMs = limits.gapWaitMs ?? GAP_WAIT_MS;
    this.#beginWaitMs = limits.beginWaitMs ?? BEGIN_WAIT_MS;
    this.#gapShowMs = limits.gapShowMs ?? GAP_SHOW_MS;
    this.#signingKeys.set(key.toHex(), options.signingKey);
    this.#logs = new LineLogs(limits, {
      shareOf: (author) =>
        this.#tellers.get(author) ?? (this.#signingKeys.has(author) ? author : ""),
      forgotten: (log) => this.#forget(log),
    });
    this.#own = this.#logs.ensure({ author: key, instance, channel: 0 }, this.#time());
    this.#own.said = true;
    this.#own.sessions = 1;
  }

  /** Lines kept, and the bytes that they take. */
  get kept(): { lines: number; bytes: number } {
    return this.#logs.kept;
  }

  /**
   * What an earlier run has kept on the disk; to be called before anything else. What it said itself
   * is handed on in its stead.
   * @param hasMet whether that run has met somebody for whom we may still be a member
   */
  restore(lines: readonly StoredLine[], positions: readonly LogPosition[], hasMet = false): void {
    const now = this.#time();
    this.#hasMet = hasMet || lines.length + positions.length > 0;
    for (const line of lines.toSorted((a, b) => a.number - b.number)) {
      const log = this.#restored(line);
      if (line.number <= (log.newest?.line.number ?? 0)) continue;
      // Other programs may have our key, too: what this one said was taken in when it was said.
      const said = log.said || log.size === 0 && equalBytes(line.author, this.#options.key);
      log.said = said && line.receivedAt === line.time && !this.#isToUs(log);
      this.#logs.append(log, { ...line, receivedAt: Math.min(line.receivedAt, now) });
    }
    for (const position of positions) {
      const log = this.#restored(position);
      log.position = Math.max(log.position ?? 0, position.number);
    }
    this.#logs.expire(now);
  }

  /**
   * The signing key of an author, as it told us itself, or as we kept it, or as others tell. What was
   * taken while it was thought to be another is void.
   * @param teller the static key of whoever tells, as long as the author did not do so itself: what
   * is kept of the author counts as the teller's
   */
  know(key: Uint8Array, signingKey: Uint8Array, teller?: Uint8Array): void {
    const id = key.toHex();
    if (id === this.#own.owner.id) return;
    const before = this.#signingKeys.get(id);
    this.#signingKeys.set(id, signingKey);
    if (teller) this.#tellers.set(id, teller.toHex());
    else this.#tellers.delete(id);
    this.#logs.moveShare(id);
    if (!before || equalBytes(before, signingKey)) return;
    this.#logs.clear(id);
    for (const neighbour of this.#neighbours.values()) neighbour.trustAgain(id);
  }

  /** Says a line to all, or to the key `to` alone. */
  say(text: string, name: string, to?: Uint8Array): Line {
    const { key: author, instance } = this.#options;
    const now = this.#time();
    const log = to ? this.#logs.ensure({ author, instance, channel: 1, to }, now) : this.#own;
    log.said = true;
    const { channel } = log;
    const number = (log.position ?? 0) + 1;
    const said = { author, instance, channel, ...(to && { to }), number, time: now, name, text };
    const line = { ...said, signature: this.#options.sign(signedBytes(said)) };
    this.#keep(log, { ...line, receivedAt: now }, true);
    return line;
  }

  /**
   * A session with a member begins; `id` names it from then on. What is due to the member, our HAVE
   * first, comes from `next`.
   */
  join(id: string, info: NeighbourInfo): void {
    this.leave(id);
    const neighbour = new Neighbour(info, this.#own.numberBefore(info.since));
    neighbour.isFirst = !this.#hasMet && !info.returning;
    this.#hasMet = true;
    this.#neighbours.set(id, neighbour);
    this.#meet(neighbour, 1);
  }

  /** The session is over. */
  leave(id: string): void {
    const neighbour = this.#neighbours.get(id);
    if (!neighbour) return;
    this.away(id);
    this.#neighbours.delete(id);
  }

  /**
   * The session has lost its connection: others are asked to hand on the member's lines, and nothing
   * comes from `next` until it is back.
   */
  away(id: string): void {
    const neighbour = this.#neighbours.get(id);
    if (!neighbour?.here) return;
    neighbour.here = false;
    this.#meet(neighbour, -1);
  }

  /** The session has a connection again. */
  back(id: string): void {
    const neighbour = this.#neighbours.get(id);
    if (!neighbour || neighbour.here) return;
    neighbour.here = true;
    this.#meet(neighbour, 1);
  }

  /** A neighbour's HAVE came. */
  heard(id: string, have: HaveMessage): void {
    const neighbour = this.#neighbours.get(id);
    if (!neighbour) return;
    if (have.whole) neighbour.forgetTracks();
    for (const position of have.logs) {
      const key = logKey({ ...position, to: neighbour.key });
      const log = this.#logs.get(key);
      neighbour.told(key, log, position);
      if (log && key === neighbour.logKey) this.#begin(log, position);
      if (log && !have.whole) this.#offer(neighbour, log);
    }
    if (!have.whole) return;
    neighbour.greets = true;
    neighbour.greetedAt = this.#time();
    neighbour.isNew = have.isNew === true;
    for (const log of this.#logs.values()) this.#offer(neighbour, log);
  }

  /**
   * A neighbour's LINE came.
   * @returns the line, if it is new
   * @throws {ProtocolError} if it is one that this neighbour cannot have
   */
  take(id: string, line: Line, previous: number): Line | undefined {
    const neighbour = this.#neighbours.get(id);
    if (!neighbour) return undefined;
    this.#checkSource(neighbour, line);
    const addressed = line.channel === 1 ? { ...line, to: this.#options.key } : line;
    const key = logKey(addressed);
    const inPerson = neighbour.isAuthorOf(key);
    if (!inPerson && !this.#believes(neighbour, line)) return undefined;
    const log = this.#logs.get(key);
    if (!this.#fits(neighbour, { key, log, line, previous, inPerson })) return undefined;
    if (!inPerson && !this.#isGenuine(addressed)) {
      neighbour.distrust(line.author);
      return undefined;
    }
    const now = this.#time();
    const into = log ?? this.#logs.ensure(addressed, now, key);
    if (!inPerson && !this.#mayFollow(neighbour, into, line)) return undefined;
    this.#has(neighbour, into, line.number);
    this.#keep(into, { ...addressed, receivedAt: now }, inPerson ? undefined : true);
    return addressed;
  }

  /**
   * The next message to send on this session, if one is due. It counts as sent: what gets lost is
   * found out by the next session's HAVE.
   */
  next(id: string): HaveMessage | LineMessage | undefined {
    const neighbour = this.#neighbours.get(id);
    if (!neighbour?.here) return undefined;
    if (!neighbour.greeted) return this.#greeting(neighbour);
    const due = neighbour.takeDue();
    if (due) return this.#have(false, due);
    if (!neighbour.greets) return undefined;
    for (const log of neighbour.ready) {
      neighbour.ready.delete(log);
      const message = this.#nextOf(neighbour, log);
      if (message) return message;
    }
    return undefined;
  }

  /**
   * The lines, and the bytes of them, that `next` has for this session; before its member has said
   * how far it is, those of our own log to all.
   */
  pending(id: string): { lines: number; bytes: number } {
    return this.#pendingIn(id, () => true);
  }

  /** Those among them that we have said ourselves. */
  unsaid(id: string): { lines: number; bytes: number } {
    return this.#pendingIn(id, (log) => log.said);
  }

  #pendingIn(id: string, counts: (log: LineLog) => boolean): { lines: number; bytes: number } {
    const sum = { lines: 0, bytes: 0 };
    const neighbour = this.#neighbours.get(id);
    if (!neighbour) return sum;
    if (!neighbour.greets) return this.#own.countAfter(neighbour.start, neighbour.since);
    for (const log of neighbour.ready) {
      if (!counts(log)) continue;
      const { position } = neighbour.track(log, log === this.#own);
      const { lines, bytes } = log.countAfter(position, neighbour.since);
      sum.lines += lines;
      sum.bytes += bytes;
    }
    return sum;
  }

  /** What changed since the last call. */
  changes(): ReplicaChanges {
    const lines = this.#fresh;
    const positions = [...this.#moved].filter((log) => log.channel === 0 || !log.said)
      .map((log) => log.told);
    this.#fresh = [];
    this.#moved.clear();
    return { lines, positions };
  }

  /** Drops what is too old, and gives up waiting for gaps to be filled; every few seconds. */
  expire(): void {
    const now = this.#time();
    this.#logs.expire(now);
    for (const neighbour of this.#neighbours.values()) {
      for (const log of neighbour.held) this.#offer(neighbour, log);
    }
  }

  #time(): number {
    this.#now = Math.max(this.#now, this.#options.now());
    return this.#now;
  }

  #restored(id: StoredLine | LogPosition): LineLog {
    const { key } = this.#options;
    const to = id.channel === 1 ? ("to" in id && id.to) || key : undefined;
    return this.#logs.ensure({ ...id, ...(to && { to }) }, this.#time());
  }

  #isToUs({ to }: LineLog): boolean {
    return to !== undefined && equalBytes(to, this.#options.key);
  }

  /** Appends a new line and makes it due to whom it is meant for. */
  #keep(log: LineLog, line: StoredLine, genuine?: boolean): void {
    this.#logs.append(log, line, genuine);
    this.#fresh.push(line);
    this.#moved.add(log);
    for (const neighbour of this.#neighbours.values()) this.#offer(neighbour, log);
  }

  /** A session begins (1) or ends (-1): others hear whether we have one with this author. */
  #meet({ key, instance, logKey }: Neighbour, change: 1 | -1): void {
    const now = this.#time();
    const log = this.#logs.ensure({ author: key, instance, channel: 0 }, now, logKey);
    const before = log.sessions > 0;
    log.sessions += change;
    log.touchedAt = now;
    if (before === log.sessions > 0) return;
    for (const neighbour of this.#neighbours.values()) {
      if (!neighbour.isAuthorOf(log.id)) neighbour.tell(log.id, log);
    }
  }

  /** An author tells where its log begins for us. */
  #begin(log: LineLog, { number }: LogPosition): void {
    if (log.position !== undefined) return;
    log.position = number;
    this.#moved.add(log);
  }

  /** Lets a log take its turn with a neighbour, if it may have something for it. */
  #offer(neighbour: Neighbour, log: LineLog): void {
    const { newest } = log;
    if (!newest || !neighbour.greets || newest.receivedAt < neighbour.since) return;
    if (!this.#isDue(neighbour, log)) return;
    const { position } = neighbour.track(log, log === this.#own);
    if (newest.line.number > position) neighbour.ready.add(log);
  }

  /** Whether it is for us to bring the lines of a log to a neighbour. */
  #isDue(neighbour: Neighbour, log: LineLog): boolean {
    if (log === this.#own) return true;
    if (neighbour.isAuthorOf(log.id)) return false;
    if (log.channel === 1) return log.said && equalBytes(log.to!, neighbour.key);
    return !neighbour.track(log, false).direct;
  }

  #greeting(neighbour: Neighbour): HaveMessage {
    neighbour.greeted = true;
    const logs = new Map<string, LineLog>();
    for (const log of this.#logs.values()) {
      if (this.#concerns(neighbour, log)) logs.set(log.id, log);
    }
    const have = this.#have(true, logs);
    const own = { ...this.#own.told, number: neighbour.start };
    return { ...have, isNew: neighbour.isFirst, logs: [own, ...have.logs] };
  }

  /** Whether a neighbour that we greet is to hear how far we have got with a log. */
  #concerns(neighbour: Neighbour, log: LineLog): boolean {
    if (log === this.#own) return false;
    if (log.channel === 1) return !log.said && equalBytes(log.author, neighbour.key);
    return neighbour.returning || this.#isPresent(log.owner.id);
  }

  /** Whether somebody with this key, in hexadecimal, is a neighbour, or it is our own. */
  #isPresent(author: string): boolean {
    if (author === this.#own.owner.id) return true;
    return [...this.#neighbours.values()].some(({ keyHex }) => keyHex === author);
  }

  #have(whole: boolean, logs: Map<string, LogPosition | Omit<LogPosition, "direct" | "number">>) {
    const positions = [...logs].map(([key, { author, instance, channel }]) =>
      this.#logs.get(key)?.told ?? { author, instance, channel, direct: false, number: 0 }
    );
    return { type: "have" as const, whole, logs: positions };
  }

  /** @throws {ProtocolError} if nobody but a liar sends this line */
  #checkSource(neighbour: Neighbour, line: Line): void {
    const { key, instance } = this.#options;
    if (line.channel === 1 && !equalBytes(line.author, neighbour.key)) {
      throw new ProtocolError("Line not accepted: a private line of somebody else");
    }
    const ours = equalBytes(line.author, key) && equalBytes(line.instance, instance);
    if (ours && (line.channel === 1 || line.number > (this.#own.position ?? 0))) {
      throw new ProtocolError("Line not accepted: we never said it");
    }
  }

  /** Whether somebody else's line may be looked at: we can tell whether it is genuine. */
  #believes(neighbour: Neighbour, { author }: Line): boolean {
    return this.#signingKeys.has(author.toHex()) && neighbour.trusts(author);
  }

  /** Whether a line is the next of its log; if others come before it, its sender hears of it. */
  #fits(
    neighbour: Neighbour,
    { key, log, line, previous, inPerson }: {
      key: string;
      log: LineLog | undefined;
      line: Line;
      previous: number;
      inPerson: boolean;
    },
  ): boolean {
    const { number } = line;
    const position = log?.position ?? 0;
    if (previous > position) {
      const { author, instance, channel } = line;
      neighbour.ask(key, { author, instance, channel }, number);
      return false;
    }
    neighbour.fits(key);
    if (log) this.#has(neighbour, log, number);
    if (number <= position || inPerson) return number > position;
    // With the author at hand, only the author may leave out any of its lines.
    if (log && log.sessions > 0) return number === position + 1;
    // A log that nobody remembers: what is older than any position was seen and forgotten.
    return log?.position !== undefined || line.time >= this.#time() - POSITION_LIFE_MS;
  }

  /**
   * Whether a line that is handed on is the next of its log, or may leave out what is between; if
   * not, its sender hears of it.
   */
  #mayFollow(neighbour: Neighbour, log: LineLog, { number }: Line): boolean {
    const position = log.position ?? 0;
    if (number === position + 1 || log.owner.id === neighbour.keyHex) return true;
    // Nobody owes us what was said before our time.
    if (position === 0 && neighbour.isFirst) return true;
    const waitMs = position > 0 ? this.#gapWaitMs : this.#beginWaitMs;
    if (log.mayLeap(number, this.#time(), waitMs)) return true;
    neighbour.ask(log.id, log, number);
    return false;
  }

  /** A neighbour that sends us a line need not get it from us. */
  #has(neighbour: Neighbour, log: LineLog, number: number): void {
    const track = neighbour.track(log, false);
    track.position = Math.max(track.position, number);
  }

  #isGenuine(line: Line): boolean {
    const signingKey = this.#signingKeys.get(line.author.toHex());
    if (!signingKey) return false;
    return this.#options.verify(signedBytes(line), line.signature, signingKey);
  }

  #nextOf(neighbour: Neighbour, log: LineLog): LineMessage | undefined {
    if (!this.#isDue(neighbour, log)) return undefined;
    const track = neighbour.track(log, log === this.#own);
    const entry = this.#handable(log, track.position, neighbour.since);
    if (!entry) return undefined;
    const previous = track.position;
    const { line } = entry;
    if (line.number !== previous + 1) {
      track.gapSince ??= this.#time();
      neighbour.held.add(log);
      if (this.#time() - track.gapSince < this.#gapMs(neighbour, log, track)) return undefined;
    }
    neighbour.held.delete(log);
    delete track.gapSince;
    track.again = false;
    track.position = line.number;
    if (log.newest!.line.number > line.number) neighbour.ready.add(log);
    return { type: "line", line, previous };
  }

  /** Milliseconds that a neighbour's gap is left open before it is sent what is behind it. */
  #gapMs(neighbour: Neighbour, log: LineLog, { position, again }: Track): number {
    if (log.said) return 0;
    const wait = position > 0 ? this.#gapWaitMs : this.#beginWaitMs;
    // It has been shown the gap, or would believe us: the author has our key.
    if (again || log.owner === this.#own.owner) return wait;
    if (position > 0) return this.#gapShowMs;
    if (!neighbour.isNew) return 0;
    // Of an author that came later, it may be owed what we do not have.
    const owed = neighbour.returning || log.madeAt > neighbour.greetedAt;
    return owed ? wait : 0;
  }

  /**
   * The next line above a number, if others will find its signature good. Behind one that its author
   * signed wrongly there is none: thousands of them would have to be looked at, one by one.
   */
  #handable(log: LineLog, number: number, since: number): LogEntry | undefined {
    if (log.forged) return undefined;
    const entry = log.after(number, since);
    if (!entry || !this.#signingKeys.has(log.owner.id)) return undefined;
    log.forged = !(entry.genuine ??= this.#isGenuine(entry.line));
    return log.forged ? undefined : entry;
  }

  #forget(log: LineLog): void {
    this.#moved.delete(log);
    for (const neighbour of this.#neighbours.values()) neighbour.forget(log);
  }
}
