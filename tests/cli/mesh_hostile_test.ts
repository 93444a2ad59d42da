/** A member that means harm, among members that keep to the rules. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { percentile } from "../bench/statistics.ts";
import { MeshMember } from "../fakes/mesh_member.ts";
import { MeshVictims } from "../fakes/mesh_victims.ts";
import { openListener } from "../fakes/open_listener.ts";
import { beginning, RawMember } from "../fakes/raw_member.ts";
import { TcpProxy } from "../fakes/tcp_proxy.ts";
import { RawPeer } from "../fakes/raw_peer.ts";
import { RawServer } from "../fakes/raw_server.ts";
import { parseAddress } from "../../protocol/address.ts";
import { concatBytes } from "../../protocol/bytes.ts";
import { type ChatMessage, encodeChat } from "../../protocol/chat.ts";
import { ResetCode } from "../../protocol/connection.ts";
import {
  MAX_MEMBERS,
  MAX_OPENS_AT_ONCE,
  TAKEN_AT_ONCE,
  TAKEN_PER_SECOND,
} from "../../protocol/limits.ts";
import type { Line } from "../../protocol/line.ts";
import type { KeyedMember } from "../../protocol/member.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { encodeFrame, FrameType } from "../../protocol/session_frame.ts";

/** How often a third may be dialled in a second or two because of lies, however many they are. */
const MAX_DIALLED = 30;

/** Frames that are sent at once, as many as a record has room for. */
const PINGS = 4_000;
/** Milliseconds that half of the lines may take meanwhile. */
const HALF_AMONG_FRAMES_MS = 100;

/** Rounds of lines in which what was begun is over. */
const ROUNDS = 20;

/** What is forged of another, and told to alice as if it came from there. */
const FORGERIES: [
  what: string,
  forge: (mallory: RawMember, bob: MeshMember) => Promise<ChatMessage[]>,
][] = [
  ["with a signature of its own", async (mallory) => {
    const { author, instance } = await memberBob(mallory);
    return [{ type: "line", line: mallory.line(1, "forged", { author, instance }), previous: 0 }];
  }],
  ["altered on the way", async (mallory, bob) => {
    await bob.say("before it is altered");
    const line = await mallory.hears(
      (message) => message.type === "line" ? message.line : undefined,
      "bob's line",
    );
    const next = { ...line, number: line.number + 1 };
    return [
      { type: "line", line: next, previous: line.number },
      { type: "line", line: { ...next, text: "forged" }, previous: line.number },
    ];
  }],
  ["with a key that it says is bob's", async (mallory) => {
    const { author, instance } = await memberBob(mallory);
    const bob = mallory.record({ key: author, instance, name: "bob" });
    return [
      { type: "members", members: [bob] },
      { type: "line", line: mallory.line(1, "forged", { author, instance }), previous: 0 },
    ];
  }],
];

for (const [what, forge] of FORGERIES) {
  Deno.test(`a line of another ${what} is not shown, and the other is heard as before`, async () => {
    await using victims = await MeshVictims.start();
    const { alice, bob } = victims;
    await using mallory = await RawMember.join(alice.address);
    await alice.linkedTo(["mallory"]);
    for (const message of await forge(mallory, bob)) await mallory.send(message);
    await mallory.say(1, "am I heard?");
    await alice.hears("am I heard?");
    await victims.assertUnharmed();
    assert(!alice.has("forged") && !bob.has("forged"));
  });
}

Deno.test("a line that its own author never said ends the session", async () => {
  await using victims = await MeshVictims.start();
  const { alice, bob } = victims;
  await using mallory = await RawMember.join(alice.address);
  const instance = await mallory.hears(
    (message) => message.type === "member" ? message.member.instance : undefined,
    "who alice is",
  );
  const line = mallory.line(1_000, "forged", { author: mallory.remoteKey, instance });
  await mallory.send({ type: "line", line, previous: 0 });
  const error = await mallory.ended();
  assertEquals((error as { code?: string })?.code, "protocol", String(error));
  await victims.assertUnharmed();
  assert(!alice.has("forged") && !bob.has("forged"));
});

Deno.test("a line of somebody whom nobody knows is not taken", async () => {
  await using victims = await MeshVictims.start();
  const { alice, bob } = victims;
  await using mallory = await RawMember.join(alice.address);
  const line = mallory.line(1, "who am I?", { author: generateKeyPair().publicKey });
  await mallory.send({ type: "line", line, previous: 0 });
  await mallory.say(1, "and I?");
  await Promise.race([mallory.ended(), alice.hears("and I?")]);
  await victims.assertUnharmed();
  assert(!alice.has("who am I?") && !bob.has("who am I?"));
});

Deno.test("a line that is said twice is shown once; one that jumps is asked for, once", async () => {
  await using victims = await MeshVictims.start();
  const { alice, bob } = victims;
  await using mallory = await RawMember.join(alice.address);
  await mallory.say(1, "one");
  const again = { ...mallory.line(1, "one") };
  for (let time = 0; time < 5; time++) {
    await mallory.send({ type: "line", line: again, previous: 0 });
  }
  for (const number of [7, 8, 9, 10]) await mallory.say(number, `${number}`);
  const position = await mallory.hears(
    (message) => isAsking(message) ? positionIn(message, mallory) : undefined,
    "a HAVE for the lines that are missing",
  );
  assertEquals(position, 1);
  await mallory.say(2, "two");
  await Promise.all([alice.hears("two"), bob.hears("two")]);
  for (const member of [alice, bob]) {
    const texts = member.heard.filter(({ from }) => from === "mallory").map(({ text }) => text);
    assertEquals(texts, ["one", "two"]);
  }
  const asked = mallory.received.filter((message) => {
    return isAsking(message) && positionIn(message, mallory) !== undefined;
  });
  assertEquals(asked.length, 1);
  await victims.assertUnharmed();
});

Deno.test("lies about who is where lead nobody astray, and nobody is dialled without end", async () => {
  await using victims = await MeshVictims.start();
  const { alice, bob } = victims;
  let dialled = 0;
  await using third = new RawServer(() => void dialled++);
  await using mallory = await RawMember.join(alice.address);
  await alice.linkedTo(["mallory"]);
  const places = [third.address, bob.address, alice.address].map(parseAddress);
  const invented = Array.from({ length: 60 }, (_, index) =>
    mallory.record({
      key: generateKeyPair().publicKey,
      instance: crypto.getRandomValues(new Uint8Array(8)),
      name: `nobody-${index}`,
      addresses: places,
    }));
  const itself = mallory.record({ key: mallory.remoteKey, addresses: places });
  const since = alice.events.length;
  for (let time = 0; time < 20; time++) {
    await mallory.send({ type: "members", members: [...invented, itself] });
    await victims.talk();
  }
  await victims.assertUnharmed();
  assertLess(dialled, MAX_DIALLED);
  const arrived = alice.events.slice(since).filter(({ event }) => event === "connected");
  assertEquals(arrived, []);
  assertEquals([...alice.linked].toSorted(), ["bob", "mallory"]);
  assertEquals([...bob.linked].toSorted(), ["alice"]);
});

Deno.test("who asks for lines that never were, or for all again and again, holds nobody up", async () => {
  await using victims = await MeshVictims.start();
  const { alice } = victims;
  await using mallory = await RawMember.join(alice.address);
  await alice.linkedTo(["mallory"]);
  const { author, instance } = await memberBob(mallory);
  const log = { author, instance, channel: 0 as const, direct: false };
  for (let time = 0; time < 200; time++) {
    const number = time % 2 === 0 ? 0xffff_ffff : 0;
    await mallory.send({ type: "have", whole: true, logs: [{ ...log, number }] });
  }
  await victims.assertUnharmed();
});

Deno.test("a line of somebody who is not here is not shown as that of whom its name belongs to", async () => {
  await using victims = await MeshVictims.start();
  const { alice, bob } = victims;
  const trent = await RawMember.join(alice.address, { name: "trent" });
  await alice.linkedTo(["trent"]);
  await trent[Symbol.asyncDispose]();
  await bob.leave();
  await using mallory = await RawMember.join(alice.address);
  await alice.linkedTo(["mallory"]);
  const stranger = mallory.record({ key: generateKeyPair().publicKey, name: "stranger" });
  await mallory.send({ type: "members", members: [stranger] });
  const spoken: [text: string, line: Line][] = [
    ["met, and gone", trent.line(1, "met, and gone", { name: "bob" })],
    ["never met", mallory.line(1, "never met", { author: stranger.key, name: "bob" })],
    ["nobody's name", trent.line(2, "nobody's name", { name: "tom" })],
  ];
  for (const [, line] of spoken) {
    await mallory.send({ type: "line", line, previous: line.number - 1 });
  }
  const authors = await Promise.all(spoken.map(([text]) => authorOf(text, alice)));
  assertEquals(authors, ["bob-2", "bob-2", "tom"]);
});

Deno.test("what a member leaves out of somebody else's lines is taken from whoever brings it", async () => {
  await using victims = await MeshVictims.start();
  const { alice } = victims;
  const trent = await RawMember.join(alice.address, { name: "trent" });
  await trent.say(1, "first");
  await alice.hears("first");
  await trent[Symbol.asyncDispose]();
  await alice.linkedWith(1);
  await using mallory = await RawMember.join(alice.address);
  await using carol = await RawMember.join(alice.address, { name: "carol" });
  await alice.linkedTo(["mallory", "carol"]);
  const [second, third] = [trent.line(2, "second"), trent.line(3, "third")];
  for (let time = 1; time <= 3; time++) {
    await mallory.send({ type: "line", line: third, previous: 1 });
    await mallory.hears(() => {
      const told = mallory.received.filter(isAsking).map((each) => positionIn(each, trent));
      return told.filter((number) => number === 1).length === time || undefined;
    }, "a HAVE that says that the second line is missing");
  }
  await carol.send({ type: "line", line: second, previous: 1 });
  await alice.hears("second");
  await mallory.send({ type: "line", line: third, previous: 2 });
  await alice.hears("third");
  assertEquals(alice.heard.map(({ text }) => text).slice(-3), ["first", "second", "third"]);
});

Deno.test("a name that somebody is shown under is not taken over by a member that renames itself", async () => {
  await using victims = await MeshVictims.start();
  const { alice } = victims;
  await using second = await RawMember.join(alice.address, { name: "bob" });
  await alice.linkedTo(["bob", "bob-2"]);
  await using mallory = await RawMember.join(alice.address);
  await alice.linkedTo(["bob", "bob-2", "mallory"]);
  for (const name of ["bob", "bob-2", "BOB", "alice"]) await mallory.send({ type: "nick", name });
  await mallory.say(1, "who am I?");
  await second.say(1, "and I?");
  assertEquals(await authorOf("who am I?", alice), "mallory");
  assertEquals(await authorOf("and I?", alice), "bob-2");
});

Deno.test("whom we came to may tell us to take NAME-2, and no other name", async () => {
  const identity = generateKeyPair();
  await using listener = openListener({ identity });
  await using alice = new MeshMember("alice");
  alice.start("connect", `127.0.0.1:${listener.port}`);
  const session = (await listener.sessions.next())!;
  const stream = (await session.accept())!;
  const names = ["bob", "alice-2"].map((name) => encodeChat({ type: "called", name }));
  await stream.write(concatBytes(beginning("mallory", identity), ...names));
  const { name } = await alice.event("called");
  assertEquals(name, "alice-2");
  await session.end();
});

Deno.test("nobody tells of so many that others whom we have not met are not believed", async () => {
  await using victims = await MeshVictims.start();
  const { alice } = victims;
  await using mallory = await RawMember.join(alice.address);
  await using carol = await RawMember.join(alice.address, { name: "carol" });
  await alice.linkedTo(["mallory", "carol"]);
  for (let time = 0; time < 10; time++) {
    const invented = Array.from({ length: MAX_MEMBERS }, () => somebody(mallory));
    await mallory.send({ type: "members", members: invented });
  }
  await mallory.say(1, "that was all");
  await alice.hears("that was all");
  const dave = somebody(carol);
  await carol.send({ type: "members", members: [dave] });
  const line = carol.line(1, "out of reach", { author: dave.key, instance: dave.instance });
  await carol.send({ type: "line", line, previous: 0 });
  await alice.hears("out of reach");
});

Deno.test("who says who it is again and again holds nobody up", async () => {
  await using victims = await MeshVictims.start();
  const { alice } = victims;
  await using mallory = await RawMember.join(alice.address);
  await alice.linkedTo(["mallory"]);
  const records = Array.from({ length: 5_000 }, (_, index) => {
    const addresses = [{ host: "10.0.0.1", port: index + 1 }];
    return encodeChat({ type: "member", member: mallory.record({ addresses }) });
  });
  let harmless = false;
  async function flood(): Promise<void> {
    while (!harmless) await mallory.write(concatBytes(...records));
  }
  async function beUnharmed(): Promise<void> {
    await victims.assertUnharmed();
    harmless = true;
  }
  await Promise.all([flood(), beUnharmed()]);
});

Deno.test("whose lines are more than others can follow has them taken at 500 a second, and all", async () => {
  await using victims = await MeshVictims.start();
  const { alice } = victims;
  await using mallory = await RawMember.join(alice.address);
  await alice.linkedTo(["mallory"]);
  const count = TAKEN_AT_ONCE + 3 * TAKEN_PER_SECOND;
  const lines = Array.from({ length: count }, (_, previous) => {
    return encodeChat({ type: "line", line: mallory.line(previous + 1, `${previous}`), previous });
  });
  const began = performance.now();
  const saying = mallory.write(concatBytes(...lines));
  await victims.assertUnharmed();
  await saying;
  await alice.hears(`${count - 1}`);
  assertLess(2_500, performance.now() - began);
  const heard = alice.heard.filter(({ from }) => from === "mallory").map(({ text }) => text);
  assertEquals(heard, Array.from({ length: count }, (_, n) => `${n}`));
  assertEquals(alice.events.filter(({ event }) => event === "flooding"), []);
});

Deno.test("who opens streams and drops them without end is told so, and holds nobody up", async () => {
  await using victims = await MeshVictims.start();
  const { alice } = victims;
  await using mallory = await RawMember.join(alice.address);
  await alice.linkedTo(["mallory"]);
  for (let n = 0; n < 2 * MAX_OPENS_AT_ONCE; n++) {
    mallory.session.open("files/1", "bulk").reset(ResetCode.cancelled);
  }
  const error = await mallory.ended();
  assertEquals((error as { code?: string })?.code, "protocol", String(error));
  await victims.assertUnharmed();
});

Deno.test("who sends small frames without end leaves the others their turn", async () => {
  await using victims = await MeshVictims.start();
  await using mallory = await RawPeer.dial(victims.alice.address);
  await mallory.greet();
  const ping = encodeFrame({ type: FrameType.ping, stream: 0, payload: new Uint8Array(8) });
  const pings = concatBytes(...Array(PINGS).fill(ping));
  const read = mallory.ended();
  let harmless = false;
  async function flood(): Promise<void> {
    while (!harmless) {
      await mallory.connection.write(pings);
      // This process has others to hear, too.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
  async function beUnharmed(): Promise<void> {
    try {
      assertLess(percentile(await victims.talk(ROUNDS), 0.5), HALF_AMONG_FRAMES_MS);
    } finally {
      harmless = true;
    }
  }
  await Promise.all([flood(), beUnharmed()]);
  mallory.connection.close();
  await read;
});

Deno.test("whoever tells of a detour to somebody who is here does not have it taken", async () => {
  await using victims = await MeshVictims.start();
  const { alice, bob } = victims;
  await using detour = new TcpProxy(parseAddress(bob.address).port);
  await using mallory = await RawMember.join(alice.address);
  const addresses = [{ host: "127.0.0.1", port: detour.port }];
  const { author: key } = await memberBob(mallory);
  const instance = new Uint8Array(8).fill(0xff);
  const invented = mallory.record({ key, instance, name: "bob", addresses });
  await mallory.send({ type: "members", members: [invented] });
  while (detour.taken === 0) await victims.talk();
  await victims.talk(ROUNDS);
  const since = [alice.events.length, bob.events.length];
  detour.cut();
  await victims.assertUnharmed();
  assertEquals([alice.events.slice(since[0]), bob.events.slice(since[1])], [[], []]);
});

/** As whose a member is shown a line. */
async function authorOf(text: string, member: MeshMember): Promise<string | undefined> {
  await member.hears(text);
  return member.heard.find((each) => each.text === text)?.from;
}

/** Somebody whom nobody has met, and who signs as its teller does. */
function somebody(teller: RawMember): KeyedMember {
  const instance = crypto.getRandomValues(new Uint8Array(8));
  return teller.record({ key: generateKeyPair().publicKey, instance, name: "somebody" });
}

/** Who bob is, as alice tells. */
async function memberBob(mallory: RawMember) {
  return await mallory.hears((message) => {
    if (message.type !== "members") return undefined;
    const bob = message.members.find(({ name }) => name === "bob");
    return bob && { author: bob.key, instance: bob.instance };
  }, "MEMBERS with bob");
}

/** Whether it is a HAVE that asks for what is missing, not the one that comes first. */
function isAsking(message: ChatMessage): message is ChatMessage & { type: "have" } {
  return message.type === "have" && !message.whole;
}

/** How far a HAVE says that the other side has got with mallory's own lines. */
function positionIn(have: ChatMessage & { type: "have" }, mallory: RawMember): number | undefined {
  const mine = mallory.identity.publicKey.toHex();
  return have.logs.find(({ author }) => author.toHex() === mine)?.number;
}
