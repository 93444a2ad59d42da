/** Members by themselves, whose messages a test carries. */
import type { HaveMessage, LineMessage } from "../../protocol/chat.ts";
import { type Line, signedBytes } from "../../protocol/line.ts";
import { newInstance } from "../../protocol/member.ts";
import { Replica, type ReplicaLimits } from "../../protocol/replica.ts";
import { fakeKey, fakeSignature, fakeVerify } from "./chat_mesh.ts";

export const START = 1_700_000_000_000;

/** Time that the replicas of a test share. */
export class Now {
  ms = START;
}

export interface Rig {
  replica: Replica;
  key: Uint8Array;
  instance: Uint8Array;
  verified: number;
}

/** A member, alone. */
export function rig(
  number: number,
  now = new Now(),
  limits: Partial<ReplicaLimits> = {},
  run = 0,
): Rig {
  const key = fakeKey(number);
  const instance = newInstance(START + run, Uint8Array.of(0, number));
  const made = { key, instance, verified: 0 } as Rig;
  made.replica = new Replica({
    key,
    instance,
    signingKey: key,
    sign: (bytes) => fakeSignature(bytes, key),
    verify: (...args) => (made.verified++, fakeVerify(...args)),
    now: () => now.ms,
    limits,
  });
  return made;
}

/** `a` learns of `b`, and of a session with it that is named as `b`'s number is. */
export function join(a: Rig, b: Rig, since = 0, returning = true): string {
  const id = String(b.key[0]);
  a.replica.know(b.key, b.key);
  a.replica.join(id, { key: b.key, instance: b.instance, since, returning });
  return id;
}

/** A HAVE of all, as from somebody who has these. */
export function whole(...logs: HaveMessage["logs"]): HaveMessage {
  return { type: "have", whole: true, logs };
}

/** A HAVE of one log. */
export function part({ key, instance }: Rig, number: number, direct = false): HaveMessage {
  const log = { author: key, instance, channel: 0 as const, direct, number };
  return { type: "have", whole: false, logs: [log] };
}

/** All that is due to a neighbour. */
export function due({ replica }: Rig, id: string): (HaveMessage | LineMessage)[] {
  const messages: (HaveMessage | LineMessage)[] = [];
  for (let next = replica.next(id); next; next = replica.next(id)) messages.push(next);
  return messages;
}

/** The lines that are due to a neighbour: [previous, number]. */
export function lines(member: Rig, id: string): [number, number][] {
  return due(member, id).flatMap((each) =>
    each.type === "line" ? [[each.previous, each.line.number] as [number, number]] : []
  );
}

/** The positions that are due to a neighbour: author, number, direct. */
export function positions(member: Rig, id: string): string[] {
  return due(member, id).flatMap((each) =>
    each.type === "have"
      ? each.logs.map(({ author, number, direct }) => `${author[0]} ${number}${direct ? " d" : ""}`)
      : []
  );
}

/** A line as its author would sign it. */
export function line({ key, instance }: Rig, number: number, more: Partial<Line> = {}): Line {
  const log = { author: key, instance, channel: 0 as const, ...more };
  const said = { ...log, number, time: START, name: "bob", text: "hi", ...more };
  return { ...said, signature: fakeSignature(signedBytes(said), key) };
}

/** A member with two neighbours that have greeted it: of the first, this many lines are there. */
export function between(count: number, now = new Now(), limits: Partial<ReplicaLimits> = {}) {
  const [us, author, other] = [rig(1, now, limits), rig(2), rig(3)];
  const [a, o] = [join(us, author), join(us, other)];
  for (const id of [a, o]) {
    us.replica.heard(id, whole());
    due(us, id);
  }
  for (let number = 1; number <= count; number++) {
    us.replica.take(a, line(author, number), number - 1);
  }
  return { us, author, other, a, o, now };
}
