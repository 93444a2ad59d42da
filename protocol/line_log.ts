import type { Line, LogId, LogPosition, StoredLine } from "./line.ts";

/** A line that is kept. */
export interface LogEntry {
  readonly line: Line;
  /** Milliseconds since 1970, never less than that of the entry before. */
  readonly receivedAt: number;
  readonly bytes: number;
  /** Bytes of all entries that the log ever had, this one included. */
  readonly through: number;
  /** Whether the signature is good; undefined while nobody has looked. */
  genuine: boolean | undefined;
}

/** What some logs hold together. */
export interface Sum {
  lines: number;
  bytes: number;
}

/** What an author's logs hold. */
export interface Author extends Sum {
  /** Its static key in hexadecimal. */
  readonly id: string;
  readonly logs: Set<LineLog>;
  share: Share;
}

/** What one member answers for: the limits go by share. */
export interface Share extends Sum {
  /** The static key of that member, in hexadecimal; empty for those of whom nobody has told. */
  readonly id: string;
  readonly authors: Set<Author>;
  logs: number;
}

/** Lines that leap over the same gap. */
interface Gap {
  /** The position that they leap from. */
  readonly position: number;
  /** The smallest of their numbers. */
  number: number;
  /** When the first of them came, milliseconds since 1970. */
  readonly since: number;
}

/** Bytes that an entry takes beside name and text. */
const ENTRY_BYTES = 256;
/** Entries at the front that are left empty before the array is cut. */
const SLACK = 256;

/**
 * The lines of one author, instance and channel that are kept, in the order of their numbers, and
 * how far we have got with them: the lines may be gone, the position stays.
 */
export class LineLog implements LogId {
  readonly id: string;
  readonly owner: Author;
  readonly author: Uint8Array;
  readonly instance: Uint8Array;
  readonly channel: LogId["channel"];
  /** Whom a log of channel 1 is to. */
  readonly to: Uint8Array | undefined;
  /** Whether all that it was ever meant to hold came from us, in this run or one before. */
  said = false;
  /** Whether its author signed one of its lines wrongly: nothing of it is handed on any more. */
  forged = false;
  /** The last line taken; undefined before we know where the log begins for us. */
  position: number | undefined;
  /** Sessions with the author's instance that have a connection. */
  sessions = 0;
  /** When we first heard of it, milliseconds since 1970. */
  readonly madeAt: number;
  /** When something last happened in it, milliseconds since 1970. */
  touchedAt: number;
  #gap: Gap | undefined;
  #entries: LogEntry[] = [];
  #first = 0;

  constructor(id: string, owner: Author, log: LogId & { to?: Uint8Array }, now: number) {
    this.id = id;
    this.owner = owner;
    this.author = log.author;
    this.instance = log.instance;
    this.channel = log.channel;
    this.to = log.to;
    this.madeAt = now;
    this.touchedAt = now;
  }

  /** Lines kept. */
  get size(): number {
    return this.#entries.length - this.#first;
  }

  get oldest(): LogEntry | undefined {
    return this.#entries[this.#first];
  }

  get newest(): LogEntry | undefined {
    return this.size > 0 ? this.#entries[this.#entries.length - 1] : undefined;
  }

  /** As HAVE names it. */
  get told(): LogPosition {
    const { author, instance, channel } = this;
    return { author, instance, channel, direct: this.sessions > 0, number: this.position ?? 0 };
  }

  /**
   * Appends a line whose number is greater than all before it.
   * @returns the bytes that it takes
   */
  append({ receivedAt, ...line }: StoredLine, textBytes: number, genuine?: boolean): number {
    const before = this.newest;
    const bytes = ENTRY_BYTES + textBytes;
    this.#entries.push({
      line: { ...line, author: this.author, instance: this.instance },
      receivedAt: Math.max(receivedAt, before?.receivedAt ?? 0),
      bytes,
      through: (before?.through ?? 0) + bytes,
      genuine,
    });
    this.position = line.number;
    this.touchedAt = receivedAt;
    return bytes;
  }

  /**
   * Somebody hands on a line, with a good signature, that leaves out some behind the position.
   * @param waitMs how long others have to bring those
   * @returns whether it may be taken: they had that time, or twice as much if somebody has shown a
   * line that leaves out less
   */
  mayLeap(number: number, now: number, waitMs: number): boolean {
    const position = this.position ?? 0;
    if (this.#gap?.position !== position) this.#gap = { position, number, since: now };
    const gap = this.#gap;
    const wait = number > gap.number ? 2 * waitMs : waitMs;
    gap.number = Math.min(number, gap.number);
    return now - gap.since >= wait;
  }

  /** What was taken is void: it is not known any more where the log begins. */
  reset(): void {
    this.position = undefined;
    this.forged = false;
    this.#gap = undefined;
  }

  /** Drops the oldest line, which there must be. */
  shift(): LogEntry {
    const entry = this.#entries[this.#first]!;
    this.#entries[this.#first++] = undefined as never;
    if (this.#first === this.#entries.length || this.#first >= SLACK) {
      this.#entries.splice(0, this.#first);
      this.#first = 0;
    }
    return entry;
  }

  /** The first line above `number` that came no earlier than `since`. */
  after(number: number, since: number): LogEntry | undefined {
    return this.#entries[this.#indexAfter(number, since)];
  }

  /** The lines above `number` that came no earlier than `since`. */
  countAfter(number: number, since: number): { lines: number; bytes: number } {
    const index = this.#indexAfter(number, since);
    const entry = this.#entries[index];
    if (!entry) return { lines: 0, bytes: 0 };
    const bytes = this.newest!.through - entry.through + entry.bytes;
    return { lines: this.#entries.length - index, bytes };
  }

  /** The last number before the lines that came at `since` or later. */
  numberBefore(since: number): number {
    const first = this.after(0, since);
    return first ? first.line.number - 1 : this.position ?? 0;
  }

  #indexAfter(number: number, since: number): number {
    const index = this.#indexAbove(number);
    const entry = this.#entries[index];
    if (!entry || entry.receivedAt >= since) return index;
    return this.#search(index, (each) => each.receivedAt >= since);
  }

  #indexAbove(number: number): number {
    const guess = this.#first + number + 1 - (this.oldest?.line.number ?? 0);
    if (this.#entries[guess]?.line.number === number + 1) return guess;
    return this.#search(this.#first, (each) => each.line.number > number);
  }

  /** The first index from `low` on at which `holds`, which then holds for all that follow. */
  #search(low: number, holds: (entry: LogEntry) => boolean): number {
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(this.#entries[middle]!)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
