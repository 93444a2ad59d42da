/** One that says more than anybody can read, in a chat of four others who go on talking. */
import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { type ChatMessage, encodeChat } from "../../../protocol/chat.ts";
import { concatBytes } from "../../../protocol/bytes.ts";
import { MAX_LOGS } from "../../../protocol/limits.ts";
import { generateKeyPair } from "../../../protocol/noise.ts";
import { percentile } from "../../bench/statistics.ts";
import { assertOnceInOrder, Mesh, numberedLine } from "../../fakes/mesh.ts";
import { MeshMember } from "../../fakes/mesh_member.ts";
import { RawMember } from "../../fakes/raw_member.ts";

const NAMES = ["alice", "bob", "carol", "dave"];
/** Milliseconds that a line of the others may take, half of them and 99 of 100: on two cores. */
const HALF_MS = 100;
const MOST_MS = 500;
/** Milliseconds between two lines of the others. */
const PAUSE_MS = 100;
/** Milliseconds in which whoever floods is sent away: 30 s, and what they are excused before. */
const SENT_AWAY_WITHIN_MS = 60_000;
/** Lines that are said at once, and all that a flood has: more than is taken of it in that time. */
const AT_ONCE = 100;
const FLOOD = 300;
/** Lines of a pipe, and milliseconds that they may take: 250 a second. */
const PIPED = 20_000;
const PIPED_WITHIN_MS = 150_000;

/** What each kind of flood says, as bytes, on and on. */
const FLOODS: Record<string, (mallory: RawMember) => Uint8Array[]> = {
  "lines": (mallory) =>
    Array.from({ length: FLOOD }, (_, batch) => {
      const lines = Array.from({ length: AT_ONCE }, (_, n): ChatMessage => {
        const previous = batch * AT_ONCE + n;
        return { type: "line", line: mallory.line(previous + 1, "x".repeat(60)), previous };
      });
      return concatBytes(...lines.map(encodeChat));
    }),
  "whole HAVEs": () => {
    const logs = Array.from({ length: MAX_LOGS }, (_, number) => {
      const author = crypto.getRandomValues(new Uint8Array(32));
      return { author, instance: new Uint8Array(8), channel: 0 as const, direct: false, number };
    });
    return Array(FLOOD).fill(encodeChat({ type: "have", whole: true, logs }));
  },
};

for (const [what, bytesOf] of Object.entries(FLOODS)) {
  Deno.test(`who floods four with ${what} holds nobody up, and is sent away by each`, async () => {
    await using mesh = await Mesh.of(NAMES);
    const { members } = mesh;
    await using mallory = await Flooder.among(members);
    const talk = new Talk(members);
    const flooding = mallory.flood(bytesOf);
    const over = mallory.sentAway(members);
    await talk.until(over);
    await flooding;
    for (const error of await mallory.errors()) {
      assertStringIncludes(error?.message ?? "", "has sent you away: you said more than anybody");
    }
    const latencies = await talk.latencies();
    const [half, most] = [percentile(latencies, 0.5), percentile(latencies, 0.99)];
    const figures = `p50 ${half.toFixed(1)}, p99 ${most.toFixed(1)} ms`;
    console.log(`${what}: ${latencies.length} lines shown, ${figures}`);
    assertLess(half, HALF_MS);
    assertLess(most, MOST_MS);
    for (const member of members) {
      const others = NAMES.filter((name) => name !== member.name);
      assertEquals([...member.linked].toSorted(), others);
      assertEquals(departures(member), ["mallory"]);
    }
  });
}

Deno.test("a pipe of 20,000 lines into a chat comes whole, and its end waits for it", async () => {
  await using mesh = await Mesh.of(["alice", "bob"]);
  await using piper = new MeshMember("piper");
  piper.start("connect", mesh.members[0]!.address);
  await piper.linkedTo(["alice", "bob"]);
  await pipe(piper, "/quit");
  await assertPiped(mesh.members, piper);
  // What waits for its turn was not said while somebody was away.
  for (const { heard } of mesh.members) assertEquals(heard.filter(({ late }) => late), []);
});

Deno.test("who pipes to one as fast as it goes is not taken for a flood when others come", async () => {
  await using mesh = await Mesh.of(["alice"]);
  const [alice] = mesh.members as [MeshMember];
  await using piper = new MeshMember("piper");
  await using carol = new MeshMember("carol");
  piper.start("connect", alice.address);
  await piper.linkedTo(["alice"]);
  const piping = pipe(piper);
  await alice.until(() => alice.heard.length > 1_000, "a thousand lines");
  carol.start("listen", "--host", "127.0.0.1", "--port", "0", "--peer", alice.address);
  await piping;
  await assertPiped([alice], piper);
  assertEquals(departures(carol), []);
});

/** Says all that a pipe has, and then what comes behind it. */
async function pipe(piper: MeshMember, ...behind: string[]): Promise<void> {
  const lines = Array.from({ length: PIPED }, (_, n) => numberedLine(piper, n + 1));
  await piper.say(...lines, ...behind);
}

async function assertPiped(members: readonly MeshMember[], piper: MeshMember): Promise<void> {
  const last = numberedLine(piper, PIPED);
  await Promise.all(members.map((member) => member.hears(last, PIPED_WITHIN_MS)));
  for (const member of members) {
    assertEquals(member.heard.length, PIPED);
    assertOnceInOrder(member);
    assertEquals(member.events.filter(({ event }) => event === "flooding"), []);
  }
}

/** Those whose session a member saw lost, or end. */
function departures({ events }: MeshMember): string[] {
  return events.filter(({ event }) => event === "away" || event === "disconnected")
    .map(({ peer }) => peer);
}

/** One member, with a session with each of the others. */
class Flooder implements AsyncDisposable {
  readonly #ends: RawMember[];

  private constructor(ends: RawMember[]) {
    this.#ends = ends;
  }

  static async among(members: readonly MeshMember[]): Promise<Flooder> {
    const who = {
      identity: generateKeyPair(),
      instance: crypto.getRandomValues(new Uint8Array(8)),
    };
    const ends = await Promise.all(members.map(({ address }) => RawMember.join(address, who)));
    await Promise.all(members.map((member) => member.linkedTo(["mallory"])));
    return new Flooder(ends);
  }

  /** Says it to each as fast as they take it, until none does any more. */
  async flood(bytesOf: (mallory: RawMember) => Uint8Array[]): Promise<void> {
    const said = bytesOf(this.#ends[0]!);
    await Promise.all(this.#ends.map(async (end) => {
      try {
        for (const bytes of said) await end.write(bytes);
      } catch {
        // The session is over: `errors` tells how.
      }
    }));
  }

  /** Resolves when all have sent it away, and have told their users so. */
  async sentAway(members: readonly MeshMember[]): Promise<void> {
    const deadlineMs = SENT_AWAY_WITHIN_MS;
    await Promise.all(members.map(async (member) => {
      await member.event("flooding", ({ peer }) => peer === "mallory", { deadlineMs });
      await member.says("mallory says more than others can follow");
      await member.event("flooding", ({ sentAway }) => sentAway, { deadlineMs });
      await member.event("disconnected", ({ peer }) => peer === "mallory");
      await member.says("mallory is sent away");
    }));
  }

  errors(): Promise<(Error | undefined)[]> {
    return Promise.all(this.#ends.map((end) => end.ended()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends) await end[Symbol.asyncDispose]();
  }
}

/** Lines of the others, at a pace at which people talk, whether they are slow to come or not. */
class Talk {
  readonly #members: readonly MeshMember[];
  readonly #said = new Map<string, number>();

  constructor(members: readonly MeshMember[]) {
    this.#members = members;
  }

  async until(over: Promise<void>): Promise<void> {
    let going = true;
    const ended = over.finally(() => going = false);
    ended.catch(() => {});
    for (let n = 0; going; n++) {
      const member = this.#members[n % this.#members.length]!;
      const text = numberedLine(member, n);
      this.#said.set(text, performance.now());
      await member.say(text);
      // The pace of what is measured, not a wait for anything.
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    await ended;
  }

  /** Milliseconds from typed to shown, of each line at each of the others, all of which must come. */
  async latencies(): Promise<number[]> {
    for (const text of this.#said.keys()) {
      const others = this.#members.filter(({ name }) => !text.startsWith(`${name} `));
      await Promise.all(others.map((member) => member.hears(text)));
    }
    const shown = this.#members.flatMap(({ heard }) => heard)
      .filter(({ text }) => this.#said.has(text));
    assert(shown.length === this.#said.size * (this.#members.length - 1));
    return shown.map(({ text, at }) => at - this.#said.get(text)!);
  }
}
