/**
 * Members of a chat in memory: their replicas, joined by links that can be cut with messages on
 * their way. What happens is decided by a seed; the mesh watches over what must never happen.
 */
import { assert, assertEquals } from "@std/assert";
import { equalBytes } from "../../protocol/bytes.ts";
import { type ChatMessage, decodeChat, encodeChat, type LineMessage } from "../../protocol/chat.ts";
import type { Line, LogPosition, StoredLine } from "../../protocol/line.ts";
import { newInstance } from "../../protocol/member.ts";
import { Replica, type ReplicaLimits } from "../../protocol/replica.ts";

/** A signature that is quick to make: a checksum, which begins with the key. */
export function fakeSignature(bytes: Uint8Array, key: Uint8Array): Uint8Array {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  const signature = new Uint8Array(64);
  signature.set(key);
  new DataView(signature.buffer).setUint32(32, hash);
  return signature;
}

/** Whether `fakeSignature` made it with this key. */
export function fakeVerify(bytes: Uint8Array, signature: Uint8Array, key: Uint8Array): boolean {
  return equalBytes(fakeSignature(bytes, key), signature);
}

/** 32 bytes that are a key here. */
export function fakeKey(number: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(32).fill(number);
}

/** Messages of all members together: many more than a schedule takes. */
const MAX_SENT = 100_000;

/** A line's name among all that were said. */
export function lineId({ author, instance, channel, to, number }: Line): string {
  const log = `${author[0]}/${instance.toHex()}/${channel}`;
  return `${to ? `${log}>${to[0]}` : log}#${number}`;
}

/** What a member keeps on its disk. */
interface Disk {
  lines: StoredLine[];
  positions: Map<string, LogPosition>;
  members: Map<number, number>;
  signingKeys: Map<number, Uint8Array>;
}

function emptyDisk(): Disk {
  return { lines: [], positions: new Map(), members: new Map(), signingKeys: new Map() };
}

/** One direction of a link: an ordered pipe, and the session at its sending end. */
class End {
  readonly pipe: Uint8Array[] = [];
  joined = false;
  away = false;
  membersDue = true;
  /** Where a hostile owner goes on in each log of which it keeps lines to itself. */
  readonly #withheld = new Map<string, number>();
  other!: End;

  constructor(readonly owner: Member, readonly id: string) {}

  /** What a hostile member makes of a line that it hands on: nothing, or one that leaves out others. */
  distort({ line, previous }: LineMessage): LineMessage | undefined {
    const log = lineId({ ...line, number: 0 });
    const from = this.#withheld.get(log) ?? previous;
    if (this.owner.mesh.random() < 0.5) {
      this.#withheld.set(log, from);
      return undefined;
    }
    this.#withheld.delete(log);
    return { type: "line", line, previous: Math.min(from, previous) };
  }
}

/** Two members and the session between them. */
export interface Link {
  readonly ends: readonly [End, End];
  stalled: boolean;
}

/** A member: what runs of it, if it runs, and what it keeps. */
export class Member {
  readonly key: Uint8Array;
  readonly createdAt: number;
  /** Whether it leaves out some of the lines that it hands on, and says that there are none. */
  hostile = false;
  disk = emptyDisk();
  replica: Replica | undefined;
  instance = new Uint8Array(8);
  ends = new Map<string, End>();
  /** What was shown since it last lost its memory, in order. */
  shown: string[] = [];
  shownSet = new Set<string>();
  /** When a line was taken in by what runs now, and by what was restored. */
  takenAt = new Map<string, number>();
  /** When it first, and last, forgot all it knew, lines and members. */
  firstForgotAt = Infinity;
  forgotAt = 0;

  constructor(readonly mesh: ChatMesh, readonly name: string, readonly number: number) {
    this.key = fakeKey(number);
    this.createdAt = mesh.now;
  }

  /** Begins to run, from what is on the disk. */
  start(): void {
    const { mesh, key, disk } = this;
    this.instance = newInstance(mesh.now, Uint8Array.of(mesh.count >> 8, mesh.count++));
    this.replica = new Replica({
      key,
      instance: this.instance,
      signingKey: key,
      sign: (bytes) => fakeSignature(bytes, key),
      verify: fakeVerify,
      now: () => mesh.now,
      limits: mesh.limits,
    });
    for (const [number, signingKey] of disk.signingKeys) {
      this.replica.know(fakeKey(number), signingKey);
    }
    const hasMet = disk.signingKeys.size > 0;
    this.replica.restore(disk.lines, [...disk.positions.values()], hasMet);
  }

  say(text: string, to?: Member): void {
    const line = this.replica!.say(text, this.name, to?.key);
    this.show(line);
    this.mesh.said(this, line);
    this.mesh.pump(this);
  }

  /** Shows a line: nothing twice, and of each log in order. */
  show(line: Line): void {
    const id = lineId(line);
    assert(!this.shownSet.has(id), `${this.name} shows ${id} twice`);
    this.shownSet.add(id);
    this.shown.push(id);
    this.takenAt.set(id, this.mesh.now);
    this.keep();
  }

  /** Writes what changed, as a store does: before it is shown or sent. */
  keep(): void {
    const { lines, positions } = this.replica!.changes();
    this.disk.lines.push(...lines);
    for (const position of positions) {
      const { author, instance, channel } = position;
      this.disk.positions.set(`${author[0]}/${instance.toHex()}/${channel}`, position);
    }
  }

  /** Ends without a word. */
  kill(): void {
    for (const end of [...this.ends.values()]) this.mesh.cut(end);
    this.replica = undefined;
  }

  /** Forgets its lines and positions; unless `linesOnly`, whom it has met, too. */
  forget(linesOnly: boolean): void {
    const { members, signingKeys } = this.disk;
    this.disk = emptyDisk();
    if (linesOnly) Object.assign(this.disk, { members, signingKeys });
    else this.forgotAt = this.mesh.now;
    if (!linesOnly) this.firstForgotAt = Math.min(this.firstForgotAt, this.mesh.now);
    this.shown = [];
    this.shownSet.clear();
    this.takenAt.clear();
  }

  meet(number: number): void {
    if (!this.disk.members.has(number)) this.disk.members.set(number, this.mesh.now);
  }
}

/** A line that was said, and the members whom its author meant it for. */
export interface Said {
  readonly id: string;
  readonly line: Line;
  readonly by: Member;
  readonly at: number;
  readonly audience: ReadonlySet<number>;
}

export class ChatMesh {
  now = 1_000_000;
  count = 0;
  readonly members: Member[] = [];
  readonly links: Link[] = [];
  readonly lines: Said[] = [];
  /** LINEs, and messages of all types, that were sent. */
  sentLines = 0;
  sent = 0;
  /** Messages that a link takes before its sender has to wait. */
  room = 4;
  /** How often, from 0 to 1, a line to all is not taken though it came, as if it were unknown whose. */
  loss = 0;

  constructor(readonly random: () => number, readonly limits: Partial<ReplicaLimits> = {}) {}

  /** A whole number from 0 to below `bound`. */
  below(bound: number): number {
    return Math.floor(this.random() * bound);
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[this.below(from.length)];
  }

  /** A new member, which runs; with the key of an older one, if that is given. */
  add(number = this.members.length + 1): Member {
    const member = new Member(this, `m${this.members.length + 1}`, number);
    this.members.push(member);
    member.start();
    return member;
  }

  get running(): Member[] {
    return this.members.filter((member) => member.replica);
  }

  linked(a: Member, b: Member): boolean {
    return [...a.ends.values()].some((end) => end.other.owner === b);
  }

  /** A session between two members begins. */
  link(a: Member, b: Member): Link {
    const id = `session ${this.count++}`;
    const ends = [new End(a, id), new End(b, id)] as const;
    ends[0].other = ends[1];
    ends[1].other = ends[0];
    const link = { ends, stalled: false };
    this.links.push(link);
    for (const end of ends) {
      const { owner } = end;
      owner.ends.set(id, end);
      const addresses = [{ host: "127.0.0.1", port: 1_000 + owner.number }];
      const record = { instance: owner.instance, signingKey: owner.key, name: owner.name };
      this.send(end, { type: "member", member: { ...record, addresses, relay: undefined } });
    }
    return link;
  }

  /** The session is lost, and all that is on its way. */
  cut(end: End): void {
    const index = this.links.findIndex((link) => link.ends.includes(end));
    if (index < 0) return;
    this.links.splice(index, 1);
    for (const each of [end, end.other]) {
      each.owner.ends.delete(each.id);
      if (each.joined) each.owner.replica!.leave(each.id);
      this.membersChanged(each.owner);
      this.pump(each.owner);
    }
  }

  /** One end, or both, see that the session has no connection. */
  stall(link: Link, noticed: readonly boolean[]): void {
    link.stalled = true;
    for (const [index, end] of link.ends.entries()) {
      if (!noticed[index] || end.away || !end.joined) continue;
      end.away = true;
      end.owner.replica!.away(end.id);
      this.pump(end.owner);
    }
  }

  resume(link: Link): void {
    link.stalled = false;
    for (const end of link.ends) {
      if (end.away) end.owner.replica!.back(end.id);
      end.away = false;
      this.pump(end.owner);
    }
  }

  said(by: Member, line: Line): void {
    const audience = new Set(by.disk.members.keys());
    this.lines.push({ id: lineId(line), line, by, at: this.now, audience });
  }

  /** Delivers the next message of a pipe. */
  deliver(from: End): void {
    const bytes = from.pipe.shift()!;
    const message = decodeChat({ type: bytes[0]!, body: bytes.subarray(5), remaining: 0 })!;
    this.receive(from.other, message);
    this.pump(from.owner);
    this.pump(from.other.owner);
  }

  /** Sends what is due, as far as the links have room. */
  pump(member: Member): void {
    if (!member.replica) return;
    member.keep();
    for (const end of member.ends.values()) {
      if (!end.joined) continue;
      if (end.membersDue && this.random() < 0.3) this.tellMembers(end);
      while (end.pipe.length < this.room) {
        const due = member.replica.next(end.id);
        if (!due) break;
        const handedOn = due.type === "line" && !equalBytes(due.line.author, member.key);
        const message = member.hostile && handedOn ? end.distort(due) : due;
        if (message?.type === "line") this.watch(end, message.line);
        if (message) this.send(end, message);
      }
    }
  }

  /** Delivers everything, until nobody has anything to say. */
  drain(): void {
    for (let busy = true; busy;) {
      busy = false;
      for (const end of this.links.flatMap((link) => link.stalled ? [] : link.ends)) {
        if (end.joined && end.membersDue) this.tellMembers(end);
        while (end.pipe.length > 0) {
          busy = true;
          this.deliver(end);
        }
      }
      this.now++;
    }
  }

  private receive(end: End, message: ChatMessage): void {
    const { owner, id } = end;
    const replica = owner.replica!;
    if (message.type === "member") {
      const { number, instance, key } = end.other.owner;
      assertEquals(message.member.instance, instance);
      const returning = owner.disk.members.has(number);
      owner.meet(number);
      // Nobody owes what was said until now to whom remembers nobody.
      if (owner.forgotAt > 0 && owner.disk.signingKeys.size === 0) owner.forgotAt = this.now + 1;
      owner.disk.signingKeys.set(number, message.member.signingKey);
      replica.know(key, message.member.signingKey);
      const since = owner.disk.members.get(number)!;
      replica.join(id, { key, instance, since, returning });
      end.joined = true;
      this.membersChanged(owner);
    } else if (message.type === "members") {
      for (const { key } of message.members) owner.meet(key[0]!);
    } else if (message.type === "have") {
      replica.heard(id, message);
    } else if (message.type === "line") {
      if (message.line.channel === 0 && this.random() < this.loss) return;
      const fresh = replica.take(id, message.line, message.previous);
      if (fresh) owner.show(fresh);
    }
    owner.keep();
  }

  /** Nothing goes where it is not meant to go. */
  private watch(end: End, line: Line): void {
    this.sentLines++;
    const { owner, other } = end;
    const id = lineId(line);
    const receiver = other.owner;
    if (line.channel === 1) {
      assertEquals(line.to, receiver.key, `${id} goes to ${receiver.name}`);
      assertEquals(line.author, owner.key, `${id} is handed on by ${owner.name}`);
    }
    const since = owner.disk.members.get(receiver.number) ?? Infinity;
    const taken = owner.takenAt.get(id) ?? -Infinity;
    assert(taken >= since, `${owner.name} gives ${receiver.name} ${id} from before it came`);
    const back = receiver.key[0] === line.author[0] &&
      receiver.instance.toHex() === line.instance.toHex();
    assert(!back, `${id} goes back to its author`);
  }

  private tellMembers(end: End): void {
    end.membersDue = false;
    const others = [...end.owner.ends.values()].filter((each) => each.joined && each !== end);
    const members = others.map(({ other: { owner } }) => ({
      key: owner.key,
      instance: owner.instance,
      signingKey: owner.key,
      name: owner.name,
      addresses: [],
      relay: undefined,
    }));
    this.send(end, { type: "members", members });
  }

  private membersChanged(member: Member): void {
    for (const end of member.ends.values()) end.membersDue = true;
  }

  private send(end: End, message: ChatMessage): void {
    assert(this.sent++ < MAX_SENT, "they talk without end");
    end.pipe.push(encodeChat(message));
  }
}
