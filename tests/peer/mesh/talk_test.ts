import { assert, assertEquals, assertRejects } from "@std/assert";
import { Talk, type TalkUser } from "../../../peer/mesh/talk.ts";
import type { Peer } from "../../../peer/room.ts";
import { concatBytes } from "../../../protocol/bytes.ts";
import type { ChatMessage, LineMessage } from "../../../protocol/chat.ts";
import { type ByteStream, ResetCode } from "../../../protocol/connection.ts";
import { ProtocolError, StreamResetError, UnreachableError } from "../../../protocol/errors.ts";
import {
  FLOOD_ENDED_AFTER_MS,
  FLOOD_EXCUSED_UNITS,
  FLOOD_TOLD_AFTER_MS,
  HANDSHAKE_TIMEOUT_MS,
  MAX_CHAT_BYTES,
  SAID_AT_ONCE,
  SAID_PER_SECOND,
  STUCK_AFTER_MS,
  TAKEN_AT_ONCE,
  TAKEN_PER_SECOND,
} from "../../../protocol/limits.ts";
import type { KeyedMember } from "../../../protocol/member.ts";
import { encodeMessage } from "../../../protocol/messages.ts";
import { Chat } from "../../../transfer/chat.ts";
import { settled } from "../../fakes/clock.ts";
import { endPair, type SessionPair, sessionPair } from "../../fakes/session_pair.ts";

const MEMBER: ChatMessage = {
  type: "member",
  member: {
    instance: new Uint8Array(8),
    signingKey: new Uint8Array(32),
    name: "alice",
    addresses: [],
    relay: undefined,
  },
};
const MEMBERS: ChatMessage = { type: "members", members: [] };
const HAVE: ChatMessage = { type: "have", whole: true, logs: [] };

function lineOf(number: number, text = `line ${number}`): ChatMessage {
  const line = {
    author: new Uint8Array(32),
    instance: new Uint8Array(8),
    channel: 0 as const,
    number,
    time: 0,
    name: "alice",
    text,
    signature: new Uint8Array(64),
  };
  return { type: "line", line, previous: number - 1 };
}

/** Says what a test has put here, and keeps what it is told. */
class User implements TalkUser {
  /** What is due to the member once it has said who it is: HAVE, then lines. */
  readonly due: ChatMessage[] = [HAVE];
  readonly taken: ChatMessage[] = [];
  readonly stuckBecause: string[] = [];
  readonly verdicts: string[] = [];
  greeted = false;
  /** Whether somebody else is here. */
  others = false;
  /** Whether what is due is our own. */
  own = true;

  describe(_talk: Talk, due: "member" | "members"): ChatMessage {
    return due === "member" ? MEMBER : MEMBERS;
  }

  next(): ChatMessage | undefined {
    return this.greeted ? this.due.shift() : undefined;
  }

  take(talk: Talk, message: ChatMessage): void {
    this.taken.push(message);
    if (message.type === "called") throw new ProtocolError("Nobody may say that");
    if (message.type !== "member") return;
    this.greeted = true;
    talk.tell("members");
  }

  stuck(_talk: Talk, why: string): void {
    this.stuckBecause.push(why);
  }

  hasOthers(): boolean {
    return this.others;
  }

  floods(_talk: Talk, verdict: string): void {
    this.verdicts.push(verdict);
  }

  owes(): boolean {
    return this.own && this.due.length > 0;
  }
}

/** A talk that runs, and the other end of its chat. */
class Rig {
  readonly user = new User();
  readonly talk: Talk;
  readonly running: Promise<void>;
  readonly other: Chat;
  readonly #heard: ChatMessage[] = [];

  private constructor(
    readonly pair: SessionPair,
    near: ByteStream,
    readonly far: ByteStream,
  ) {
    const { clock, initiator: session } = pair;
    const peer = { session, name: "bob" } as Peer;
    this.talk = new Talk("1", peer, new Chat(near), { user: this.user, clock, since: 0 });
    this.running = this.talk.run();
    this.running.catch(() => {});
    this.other = new Chat(far);
  }

  static async begin(): Promise<Rig> {
    const pair = await sessionPair();
    const near = pair.initiator.open("chat/1", "urgent");
    return new Rig(pair, near, (await pair.responder.accept())!);
  }

  /** One that has heard all that the other side begins with. */
  static async greeted(): Promise<Rig> {
    const rig = await Rig.begin();
    await rig.other.send([MEMBER, MEMBERS, HAVE]);
    await rig.goOn();
    return rig;
  }

  /** The other side reads all that comes from now on. */
  async read(): Promise<void> {
    try {
      for await (const { message } of this.other.messages()) this.#heard.push(message!);
    } catch {
      // The session is over.
    }
  }

  /** What the other side has read so far. */
  get heard(): string[] {
    return this.#heard.map((message) => {
      return message.type === "line" ? message.line.text : message.type;
    });
  }

  /** Lets a moment pass, in which what is under way arrives. */
  async goOn(ms = 100): Promise<void> {
    await this.pair.clock.advance(ms);
  }

  /** Ends the sessions; no timer may be left. */
  async end(): Promise<void> {
    await endPair(this.pair);
    await this.running.catch(() => {});
  }
}

Deno.test("Talk says who we are at once, and all else when the other side has said who it is", async () => {
  const rig = await Rig.begin();
  rig.read();
  rig.user.due.push(lineOf(1));
  await rig.goOn();
  assertEquals(rig.heard, ["member"]);
  await rig.other.send([MEMBER]);
  await rig.goOn();
  assertEquals(rig.heard, ["member", "members", "have", "line 1"]);
  await rig.end();
});

Deno.test("Talk hands on what comes in order, and rejects where nobody may say that", async () => {
  const rig = await Rig.greeted();
  await rig.other.send([lineOf(1), lineOf(2)]);
  await rig.goOn();
  assertEquals(rig.user.taken, [MEMBER, MEMBERS, HAVE, lineOf(1), lineOf(2)]);
  await rig.other.send([{ type: "called", name: "carol" }]);
  await assertRejects(() => rig.running, ProtocolError, "Nobody may say that");
  assert(rig.talk.over);
  await rig.end();
});

Deno.test("Talk tells what has changed once, however often it changed, before the lines", async () => {
  const rig = await Rig.greeted();
  rig.read();
  await rig.goOn();
  const before = rig.heard.length;
  rig.user.due.push(lineOf(1));
  rig.talk.tell("members");
  rig.talk.tell("member");
  rig.talk.tell("members");
  rig.talk.tellOnce({ type: "nick", name: "alicia" });
  rig.talk.tellOnce({ type: "nick", name: "alison" });
  await rig.goOn();
  assertEquals(rig.heard.slice(before), ["members", "member", "nick", "nick", "line 1"]);
  await rig.end();
});

Deno.test("Talk keeps what is to be told first until there is a line", async () => {
  const rig = await Rig.greeted();
  rig.read();
  await rig.goOn();
  const before = rig.heard.length;
  rig.talk.tellFirst("members");
  rig.talk.wake();
  await rig.goOn();
  assertEquals(rig.heard.slice(before), []);
  rig.user.due.push(lineOf(1), lineOf(2));
  rig.talk.wake();
  await rig.goOn();
  assertEquals(rig.heard.slice(before), ["members", "line 1", "line 2"]);
  await rig.end();
});

Deno.test("Talk fetches nothing for a member who does not read, and goes on when they do", async () => {
  const rig = await Rig.greeted();
  const text = "x".repeat(4_000);
  const count = 2_500;
  for (let n = 1; n <= count; n++) rig.user.due.push(lineOf(n, text));
  rig.talk.wake();
  await rig.goOn(1_000);
  const fetched = count - rig.user.due.length;
  // What fits the windows of the stream, and one batch more.
  assert(fetched > 0 && fetched < 200, `${fetched}`);
  await rig.goOn(1_000);
  assertEquals(count - rig.user.due.length, fetched);
  rig.read();
  const { clock } = rig.pair;
  while (rig.heard.length < count + 3) await clock.advance(100);
  assertEquals(rig.user.stuckBecause, []);
  await rig.end();
});

Deno.test("Talk.moved() resolves with each batch that has gone, and when nothing can go any more", async () => {
  const rig = await Rig.greeted();
  rig.read();
  await rig.goOn();
  let moved = 0;
  rig.talk.moved().then(() => moved++);
  await rig.goOn();
  assertEquals(moved, 0);
  rig.user.due.push(lineOf(1));
  rig.talk.wake();
  await rig.goOn();
  assertEquals(moved, 1);
  const last = rig.talk.moved();
  await rig.end();
  await last;
  await rig.talk.moved();
});

Deno.test("Talk is stuck with a connected member who takes nothing for a minute", async () => {
  const rig = await Rig.greeted();
  for (let n = 1; n <= 1_000; n++) rig.user.due.push(lineOf(n, "x".repeat(1_000)));
  rig.talk.wake();
  await rig.goOn(STUCK_AFTER_MS - 100);
  assertEquals(rig.user.stuckBecause, []);
  await rig.goOn(200);
  assertEquals(rig.user.stuckBecause, ["does not take what is said"]);
  await rig.end();
});

Deno.test("Talk waits for a member who is away as long as its session does", async () => {
  const rig = await Rig.greeted();
  for (let n = 1; n <= 1_000; n++) rig.user.due.push(lineOf(n, "x".repeat(1_000)));
  rig.talk.wake();
  await rig.goOn(STUCK_AFTER_MS / 2);
  rig.pair.near.cut();
  await settled();
  assertEquals(rig.pair.initiator.state, "away");
  await rig.goOn(STUCK_AFTER_MS / 2);
  assertEquals(rig.user.stuckBecause, []);
  await rig.pair.join();
  rig.read();
  const { clock } = rig.pair;
  while (rig.heard.length < 1_003) await clock.advance(100);
  await rig.goOn(STUCK_AFTER_MS);
  assertEquals(rig.user.stuckBecause, []);
  await rig.end();
});

Deno.test("Talk is stuck with who does not say all that a chat begins with within 10 s", async () => {
  for (const said of [[], [MEMBER], [MEMBER, MEMBERS]]) {
    const rig = await Rig.begin();
    rig.read();
    if (said.length > 0) await rig.other.send(said);
    await rig.goOn(HANDSHAKE_TIMEOUT_MS - 200);
    assertEquals(rig.user.stuckBecause, []);
    await rig.goOn(300);
    assertEquals(rig.user.stuckBecause, ["does not say who they are"]);
    await rig.end();
  }
  const rig = await Rig.greeted();
  rig.read();
  await rig.goOn(2 * HANDSHAKE_TIMEOUT_MS);
  assertEquals(rig.user.stuckBecause, []);
  await rig.end();
});

Deno.test("Talk gives who was away when the 10 s were over as much again", async () => {
  const rig = await Rig.begin();
  rig.pair.near.cut();
  await rig.goOn(HANDSHAKE_TIMEOUT_MS + 100);
  assertEquals([rig.pair.initiator.state, rig.user.stuckBecause], ["away", []]);
  await rig.pair.join();
  rig.read();
  await rig.goOn(HANDSHAKE_TIMEOUT_MS);
  assertEquals(rig.user.stuckBecause, ["does not say who they are"]);
  await rig.end();
});

Deno.test("Talk.finish() waits for the other side's HAVE, then until it has all", async () => {
  const rig = await Rig.begin();
  rig.read();
  rig.user.due.push(lineOf(1), lineOf(2));
  let finished = false;
  const finishing = rig.talk.finish().then(() => finished = true);
  await rig.goOn(1_000);
  assertEquals([finished, rig.heard], [false, ["member"]]);
  await rig.other.send([MEMBER, MEMBERS, HAVE]);
  await rig.pair.clock.until(finishing, 1_000);
  assertEquals(rig.heard, ["member", "members", "have", "line 1", "line 2"]);
  await rig.end();
});

Deno.test("Talk says nothing more after finish(), and goes on hearing", async () => {
  const rig = await Rig.greeted();
  rig.read();
  await rig.pair.clock.until(rig.talk.finish(), 1_000);
  const before = rig.heard.length;
  rig.talk.tell("members");
  rig.talk.tellOnce({ type: "nick", name: "alicia" });
  rig.user.due.push(lineOf(1));
  await rig.other.send([lineOf(7)]);
  await rig.goOn();
  assertEquals([rig.heard.length, rig.user.taken.at(-1)], [before, lineOf(7)]);
  // Neither does it wait for anybody.
  await rig.talk.moved();
  await rig.other.finish();
  await rig.pair.clock.until(rig.running, 1_000);
  await rig.end();
});

Deno.test("Talk rejects with a chat that is reset; finish() and moved() do not hang", async () => {
  const rig = await Rig.greeted();
  const moved = rig.talk.moved();
  const finishing = rig.talk.finish().catch((error) => error);
  rig.far.reset(ResetCode.cancelled);
  await rig.goOn();
  await assertRejects(() => rig.running, StreamResetError);
  await moved;
  assert(await finishing instanceof StreamResetError);
  await assertRejects(() => rig.talk.finish(), StreamResetError);
  await rig.end();
});

Deno.test("Talk rejects with what ended its session, also in the middle of a write", async () => {
  const rig = await Rig.greeted();
  for (let n = 1; n <= 1_000; n++) rig.user.due.push(lineOf(n, "x".repeat(1_000)));
  rig.talk.wake();
  await rig.goOn();
  rig.pair.initiator.fail(new UnreachableError("It is lost"));
  await assertRejects(() => rig.running, UnreachableError, "It is lost");
  await rig.end();
});

Deno.test("Talk.linesSent is true from a line until it is known to have arrived", async () => {
  const rig = await Rig.greeted();
  rig.read();
  await rig.goOn();
  assert(!rig.talk.linesSent);
  rig.user.due.push(lineOf(1));
  rig.talk.wake();
  await settled();
  assert(rig.talk.linesSent);
  // What is said of ourselves is sent behind it: whether that has arrived does not matter.
  await rig.goOn(1_000);
  rig.talk.tell("members");
  await settled();
  assert(!rig.talk.linesSent && !rig.pair.initiator.delivered);
  await rig.end();
});

Deno.test("Talk.linkedSince() tells since when the member has a session with somebody, as far as it told", async () => {
  const rig = await Rig.begin();
  const { talk } = rig;
  const [bob, carol] = [1, 2].map((n) => ({ key: new Uint8Array(32).fill(n) }) as KeyedMember);
  assertEquals(talk.linkedSince(bob!.key), Infinity);
  // Who is named first of all was there before: since the session began, here at 0.
  talk.told([bob!], 500);
  talk.told([bob!, carol!], 700);
  assertEquals([bob, carol].map((each) => talk.linkedSince(each!.key)), [0, 700]);
  talk.told([carol!], 800);
  talk.told([bob!, carol!], 900);
  assertEquals([bob, carol].map((each) => talk.linkedSince(each!.key)), [900, 700]);
  await rig.end();
});

/** Lines that are on their way for as long as a test lasts. */
const MANY = 20_000;

/** What the other side says at once, and goes on saying as it is taken. */
function flood(rig: Rig, message: (number: number) => ChatMessage): void {
  const messages = Array.from({ length: MANY }, (_, n) => message(n + 1));
  rig.other.send(messages).catch(() => {});
}

/** Lines of somebody whom the other side only hands on. */
function handedOn(number: number): ChatMessage {
  const message = lineOf(number) as LineMessage;
  return { ...message, line: { ...message.line, author: new Uint8Array(32).fill(0xca) } };
}

/** Lines of the other side's own. */
function ownLine(rig: Rig, number: number): ChatMessage {
  const message = lineOf(number) as LineMessage;
  return { ...message, line: { ...message.line, author: rig.pair.initiator.remoteKey } };
}

Deno.test("Talk takes 500 messages a second of a member among others, and says 250", async () => {
  const rig = await Rig.greeted();
  rig.read();
  rig.user.others = true;
  flood(rig, handedOn);
  for (let n = 1; n <= MANY; n++) rig.user.due.push(lineOf(n));
  rig.talk.wake();
  await rig.goOn(1_000);
  const before = [rig.user.taken.length, rig.heard.length];
  await rig.goOn(8_000);
  const [taken, said] = [rig.user.taken.length - before[0]!, rig.heard.length - before[1]!];
  assert(before[0]! > TAKEN_AT_ONCE && before[0]! < TAKEN_AT_ONCE + 600, `${before}`);
  assert(before[1]! > SAID_AT_ONCE && before[1]! < SAID_AT_ONCE + 300, `${before}`);
  assert(Math.abs(taken - 8 * TAKEN_PER_SECOND) < 100, `${taken}`);
  assert(Math.abs(said - 8 * SAID_PER_SECOND) < 50, `${said}`);
  await rig.end();
});

Deno.test("Talk says 250 messages a second to a member that tells of others, and is alone with us", async () => {
  const rig = await Rig.greeted();
  rig.read();
  rig.talk.told([{ key: new Uint8Array(32) } as KeyedMember], 0);
  for (let n = 1; n <= MANY; n++) rig.user.due.push(lineOf(n));
  rig.talk.wake();
  await rig.goOn(4_000);
  const most = SAID_AT_ONCE + 4 * SAID_PER_SECOND;
  assert(Math.abs(rig.heard.length - most) < 50, `${rig.heard.length}`);
  rig.talk.told([], 0);
  await rig.goOn(100);
  while (rig.heard.length < MANY) await rig.goOn(1);
  await rig.end();
});

Deno.test("Talk makes up for what it has said while two were alone, as far as it may be under way", async () => {
  const rig = await Rig.greeted();
  rig.read();
  for (let n = 1; n <= MANY; n++) rig.user.due.push(lineOf(n));
  rig.talk.wake();
  while (rig.user.due.length > 0) await rig.goOn(1);
  rig.user.others = true;
  rig.user.due.push(lineOf(MANY + 1));
  rig.talk.wake();
  const owedMs = FLOOD_EXCUSED_UNITS / SAID_PER_SECOND * 1_000;
  await rig.goOn(owedMs - 1_000);
  assertEquals(rig.user.due.length, 1);
  await rig.goOn(1_100);
  assertEquals(rig.user.due.length, 0);
  await rig.end();
});

Deno.test("Talk takes and says all there is where two are alone, without a wait", async () => {
  const rig = await Rig.greeted();
  rig.read();
  flood(rig, handedOn);
  for (let n = 1; n <= MANY; n++) rig.user.due.push(lineOf(n));
  rig.talk.wake();
  for (let turns = 0; turns < 200; turns++) await rig.goOn(1);
  assertEquals(rig.user.taken.length, MANY + 3);
  assertEquals(rig.heard.length, MANY + 3);
  await rig.end();
});

Deno.test("Talk tells of a member that floods after 10 s, and after 30 s that it is to go", async () => {
  const rig = await Rig.greeted();
  rig.user.others = true;
  flood(rig, (number) => ownLine(rig, number));
  await rig.goOn(FLOOD_TOLD_AFTER_MS);
  assertEquals(rig.user.verdicts, []);
  await rig.goOn(FLOOD_TOLD_AFTER_MS);
  assertEquals(rig.user.verdicts, ["tell"]);
  await rig.goOn(FLOOD_ENDED_AFTER_MS);
  assertEquals(rig.user.verdicts, ["tell", "sendAway"]);
  await rig.end();
});

Deno.test("Talk counts what it cannot understand, and does not count what others said", async () => {
  const rig = await Rig.greeted();
  rig.user.others = true;
  flood(rig, handedOn);
  await rig.goOn(20_000);
  assertEquals(rig.user.verdicts, []);
  await rig.end();
  const other = await Rig.greeted();
  other.user.others = true;
  const unknown = Array.from({ length: MANY }, () => encodeMessage(0x7f));
  other.far.write(concatBytes(...unknown)).catch(() => {});
  await other.goOn(20_000);
  assertEquals(other.user.verdicts, ["tell"]);
  await other.end();
});

Deno.test("Talk ends a wait with a session that we end, and goes on taking what is there", async () => {
  const rig = await Rig.greeted();
  rig.user.others = true;
  const text = "x".repeat(MAX_CHAT_BYTES);
  rig.other.send([lineOf(1, text), lineOf(2)]).catch(() => {});
  while (rig.user.taken.length < 4) await rig.goOn(1);
  await rig.goOn(2_000);
  assertEquals(rig.user.taken.length, 4);
  rig.pair.initiator.fail(new UnreachableError("It is lost"));
  await assertRejects(() => rig.running, UnreachableError);
  await rig.end();
});

Deno.test("Talk takes lines of 16 MiB often enough for who says them not to think that it is stuck", async () => {
  const rig = await Rig.greeted();
  rig.user.others = true;
  const text = "x".repeat(MAX_CHAT_BYTES);
  for (let n = 1; n <= 3; n++) {
    const began = rig.pair.clock.now();
    const sent = rig.other.send([lineOf(n, text)]);
    await rig.pair.clock.until(sent, STUCK_AFTER_MS);
    assert(rig.pair.clock.now() - began < 12_000);
  }
  await rig.end();
});

Deno.test("Talk.finish() waits for what we have said, and 10 s for what others have", async () => {
  for (const own of [true, false]) {
    const rig = await Rig.greeted();
    rig.read();
    rig.user.others = true;
    rig.user.own = own;
    const count = SAID_AT_ONCE + 20 * SAID_PER_SECOND;
    for (let n = 1; n <= count; n++) rig.user.due.push(lineOf(n));
    const began = rig.pair.clock.now();
    await rig.pair.clock.until(rig.talk.finish(), 60_000);
    const ms = rig.pair.clock.now() - began;
    if (own) assertEquals(rig.heard.length, count + 3);
    assert(own ? ms > 19_000 : ms > 9_900 && ms < 11_000, `${own} ${ms}`);
    await rig.end();
  }
});
