import { assert, assertEquals } from "@std/assert";
import { concatBytes, encodeText } from "../../protocol/bytes.ts";
import { fingerprint } from "../../protocol/fingerprint.ts";
import { NAME_GRACE_MS, RELAY_DEAD_MS } from "../../protocol/limits.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import type { PeerInfo, PunchInfo, RendezvousMessage } from "../../protocol/rendezvous.ts";
import { settled } from "../fakes/clock.ts";
import type { ControlClient } from "../fakes/control_client.ts";
import { RelayRig } from "../fakes/relay_rig.ts";

const alicesKey = generateKeyPair();

/** That the relay refuses with this code, and closes. */
async function assertDismissed(client: ControlClient, code: string): Promise<void> {
  assertEquals((await client.until("Refused")).code, code);
  assertEquals(await client.receive(), null);
  client.close();
}

/** An introduction without what is random, and without the fields that were not told. */
function withoutSecrets({ circuit: _token, secret: _secret, ...rest }: PeerInfo): object {
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
}

Deno.test("A client is told where it is seen", async () => {
  await using rig = new RelayRig();
  using client = await rig.connect({ from: "[2001:db8::7]:5000" });
  assertEquals((await client.until("Welcome")).address, "[2001:db8::7]:5000");
});

Deno.test("Both sides of an introduction are told of each other", async () => {
  await using rig = new RelayRig();
  using bob = await rig.connect({ identity: alicesKey, from: "192.0.2.2:2" });
  await bob.until("Welcome");
  await bob.send({ type: "Register", username: "bob", candidates: ["10.0.0.2:8080"] });
  await bob.until("RegisterAck");
  const identity = generateKeyPair();
  using anna = await rig.connect({ identity });
  await anna.until("Welcome");
  const candidates = ["10.0.0.1:8080"];
  await anna.send({ type: "Connect", targetUsername: "bob", username: "anna", candidates });
  const [toAnna, toBob] = [await anna.until("PeerInfo"), await bob.until("PeerInfo")];
  assertEquals<object>(withoutSecrets(toAnna), {
    type: "PeerInfo",
    peer: "192.0.2.2:2",
    username: "bob",
    key: alicesKey.publicKey,
    candidates: ["10.0.0.2:8080"],
    initiator: true,
  });
  assertEquals<object>(withoutSecrets(toBob), {
    type: "PeerInfo",
    peer: "192.0.2.1:5000",
    username: "anna",
    key: identity.publicKey,
    candidates,
    initiator: false,
  });
  assert(toAnna.circuit!.toHex() !== toBob.circuit!.toHex());
});

const BOBS: PunchInfo = {
  udp: ["10.0.0.2:4000"],
  seen: ["192.0.2.2:4000", "192.0.2.2:4001"],
  mapping: "dependent",
};
const ANNAS: PunchInfo = {
  udp: ["10.0.0.1:5000", "[fd00::1]:5000"],
  seen: ["192.0.2.1:5000"],
  mapping: "independent",
};

function punchInfo({ udp, seen, mapping }: PeerInfo): PunchInfo {
  return { udp, seen, mapping };
}

Deno.test("What each side tells of itself for punching reaches the other as it is, with one secret", async () => {
  await using rig = new RelayRig();
  using bob = await rig.connect({ from: "192.0.2.2:2" });
  await bob.until("Welcome");
  await bob.send({ type: "Register", username: "bob", ...BOBS });
  await bob.until("RegisterAck");
  using anna = await rig.connect();
  await anna.until("Welcome");
  const secrets = new Set<string>();
  for (const circuit of [undefined, true, false]) {
    await anna.send({ type: "Connect", targetUsername: "bob", ...ANNAS, circuit });
    const [toAnna, toBob] = [await anna.until("PeerInfo"), await bob.until("PeerInfo")];
    assertEquals([punchInfo(toAnna), punchInfo(toBob)], [BOBS, ANNAS]);
    assertEquals(toAnna.secret!.length, 16);
    assertEquals(toAnna.secret!.toHex(), toBob.secret!.toHex());
    secrets.add(toAnna.secret!.toHex());
  }
  assertEquals(secrets.size, 3);
});

Deno.test("What is told with a name replaces all that was told before", async () => {
  await using rig = new RelayRig();
  using bob = await rig.registered("bob");
  using anna = await rig.connect();
  await anna.until("Welcome");
  for (const told of [{ ...BOBS, candidates: ["10.0.0.2:8080"] }, ANNAS, {}]) {
    await bob.send({ type: "Register", username: "bob", ...told });
    await bob.until("RegisterAck");
    await anna.send({ type: "Connect", targetUsername: "bob" });
    const toAnna = await anna.until("PeerInfo");
    await bob.until("PeerInfo");
    const expected = { udp: undefined, seen: undefined, mapping: undefined, ...told };
    assertEquals<object>({ candidates: toAnna.candidates, ...punchInfo(toAnna) }, {
      candidates: undefined,
      ...expected,
    });
  }
});

Deno.test("A registration that is refused replaces nothing of what was told", async () => {
  await using rig = new RelayRig();
  using _carol = await rig.registered("carol");
  using bob = await rig.connect();
  await bob.until("Welcome");
  await bob.send({ type: "Register", username: "bob", ...BOBS });
  await bob.until("RegisterAck");
  await bob.send({ type: "Register", username: "carol", ...ANNAS });
  await bob.until("Refused");
  using anna = await rig.connect();
  await anna.until("Welcome");
  const toAnna = await anna.ask("bob");
  assertEquals(toAnna.type === "PeerInfo" && punchInfo(toAnna), BOBS);
});

Deno.test("Who wants no circuit is introduced without one, and takes none of the target's", async () => {
  await using rig = new RelayRig();
  using bob = await rig.registered("bob");
  using anna = await rig.connect();
  await anna.until("Welcome");
  for (let i = 0; i < 20; i++) {
    await anna.send({ type: "Connect", targetUsername: "bob", circuit: false });
    const [toAnna, toBob] = [await anna.until("PeerInfo"), await bob.until("PeerInfo")];
    assertEquals([toAnna.circuit, toBob.circuit], [undefined, undefined]);
    assertEquals([toAnna.initiator, toBob.initiator], [true, false]);
    await rig.clock.advance(1_000);
    for (const each of [anna, bob]) {
      await each.send({ type: "Ping" });
      await each.until("Pong");
    }
  }
  const answers: string[] = [];
  for (let i = 0; i < 16; i++) answers.push((await anna.ask("bob")).type);
  assertEquals(answers, Array(16).fill("PeerInfo"));
});

/** What comes of so many introductions without circuits, asked for at once. */
async function reintroduced(asker: ControlClient, target: string, count: number): Promise<number> {
  let introduced = 0;
  for (let i = 0; i < count; i++) {
    await asker.send({ type: "Connect", targetUsername: target, circuit: false });
    const answer = await asker.receive();
    assert(answer!.type === "PeerInfo" || answer!.type === "TargetBusy", answer!.type);
    if (answer!.type === "PeerInfo") introduced++;
    await asker.send({ type: "SessionFinished" });
  }
  return introduced;
}

Deno.test("Nobody floods a target with introductions without circuits, and others are introduced still", async () => {
  await using rig = new RelayRig({ limits: { rate: 1_000 } });
  using _bob = await rig.registered("bob");
  using _carol = await rig.registered("carol");
  using mallory = await rig.connect({ from: "192.0.2.66:1" });
  using again = await rig.connect({ from: "192.0.2.66:2" });
  for (const each of [mallory, again]) await each.until("Welcome");
  assertEquals(await reintroduced(mallory, "bob", 100), 4);
  assertEquals(await reintroduced(again, "bob", 100), 0);
  assertEquals(await reintroduced(mallory, "carol", 100), 4);
  using anna = await rig.connect();
  await anna.until("Welcome");
  assertEquals(await reintroduced(anna, "bob", 1), 1);
  assertEquals((await anna.ask("bob")).type, "PeerInfo");
  await rig.clock.advance(2_000);
  assertEquals(await reintroduced(mallory, "bob", 100), 2);
});

Deno.test("Many addresses together do not flood a target with introductions without circuits either", async () => {
  await using rig = new RelayRig({ limits: { rate: 1_000 } });
  using _bob = await rig.registered("bob");
  let introduced = 0;
  for (let i = 0; i < 20; i++) {
    using mallory = await rig.connect({ from: `192.0.2.${i}:1` });
    await mallory.until("Welcome");
    introduced += await reintroduced(mallory, "bob", 10);
  }
  assertEquals(introduced, 16);
  using anna = await rig.connect({ from: "198.51.100.1:1" });
  await anna.until("Welcome");
  assertEquals((await anna.ask("bob")).type, "PeerInfo");
});

Deno.test("An asker whose name cannot be one is called by its fingerprint", async () => {
  await using rig = new RelayRig();
  using bob = await rig.registered("bob");
  const identity = generateKeyPair();
  using anna = await rig.connect({ identity });
  await anna.until("Welcome");
  for (const username of ["1.2.3.4:80", "\u202egnp", undefined]) {
    await anna.send({ type: "Connect", targetUsername: "bob", username });
    assertEquals((await bob.until("PeerInfo")).username, fingerprint(identity.publicKey));
  }
});

Deno.test("Answers come in the order of the questions, however they are cut into records", async () => {
  await using rig = new RelayRig();
  using bob = await rig.connect({ hello: null });
  const lines = encodeText(
    '{"Hello":{}}\n{"Register":{"username":"bob"}}\n{"Connect":{"target_username":"nobody"}}\n"Ping"\n',
  );
  for (const byte of lines) await bob.sendRaw(Uint8Array.of(byte));
  const types = ["Welcome", "RegisterAck", "TargetNotFound", "Pong"] as const;
  for (const type of types) await bob.until(type);
  await bob.sendRaw(concatBytes(lines.subarray(13), lines.subarray(13)));
  for (const type of [...types.slice(1), ...types.slice(1)]) await bob.until(type);
});

const malformed: [what: string, bytes: Uint8Array][] = [
  ["no JSON", encodeText("hello\n")],
  ["an empty line", encodeText("\n")],
  ["a message that is unknown", encodeText('{"Dance":{}}\n')],
  ["a relay's own message", encodeText('"RegisterAck"\n')],
  ["a second Hello", encodeText('{"Hello":{}}\n')],
  ["a Register without a name", encodeText('{"Register":{}}\n')],
  ["a name that is a number", encodeText('{"Register":{"username":7}}\n')],
  ["what is not UTF-8", Uint8Array.of(0x22, 0xff, 0x22, 0x0a)],
  ["deeply nested arrays", encodeText(`${"[".repeat(4_000)}\n`)],
  ["deeply nested objects", encodeText(`${'{"a":'.repeat(800)}\n`)],
  ["a line as long as a record", new Uint8Array(4_096).fill(0x20)],
];
for (const [what, bytes] of malformed) {
  Deno.test(`After ${what} the client is refused, and the others are served`, async () => {
    await using rig = new RelayRig();
    using bob = await rig.registered("bob");
    using mallory = await rig.connect();
    await mallory.until("Welcome");
    await mallory.sendRaw(bytes);
    await assertDismissed(mallory, "Malformed");
    await bob.send({ type: "Ping" });
    await bob.until("Pong");
  });
}

Deno.test("A line without end is refused before it is held, also when it comes in small pieces", async () => {
  await using rig = new RelayRig();
  using mallory = await rig.connect();
  await mallory.until("Welcome");
  for (let sent = 0; sent < 4_096; sent += 64) await mallory.sendRaw(new Uint8Array(64).fill(0x20));
  await assertDismissed(mallory, "Malformed");
});

Deno.test("A record larger than a message may be is refused before it has come", async () => {
  await using rig = new RelayRig();
  using mallory = await rig.connect();
  await mallory.until("Welcome");
  await mallory.sendRaw(new Uint8Array(5_000).fill(0x20));
  await assertDismissed(mallory, "Malformed");
});

Deno.test("Who does not begin with Hello is refused", async () => {
  await using rig = new RelayRig();
  using mallory = await rig.connect({ hello: { type: "Register", username: "mallory" } });
  await assertDismissed(mallory, "Malformed");
});

Deno.test("A closed relay serves those who know its password, and nobody else", async () => {
  await using rig = new RelayRig({ password: "open sesame" });
  for (const password of [undefined, "", "open", "open sesame "]) {
    using mallory = await rig.connect({ hello: { type: "Hello", password } });
    await assertDismissed(mallory, "Password");
  }
  using alice = await rig.connect({ hello: { type: "Hello", password: "open sesame" } });
  await alice.register("alice");
});

Deno.test("A name is refused to another key, and the asker goes on", async () => {
  await using rig = new RelayRig();
  using _alice = await rig.registered("alice");
  using mallory = await rig.connect();
  await mallory.until("Welcome");
  for (const [username, code] of [["alice", "NameTaken"], [" bad", "BadName"]] as const) {
    await mallory.send({ type: "Register", username });
    assertEquals((await mallory.until("Refused")).code, code);
  }
  await mallory.send({ type: "Register", username: "mallory" });
  await mallory.until("RegisterAck");
});

Deno.test("The same key on another connection replaces the one before, which is told", async () => {
  await using rig = new RelayRig();
  using before = await rig.registered("alice", { identity: alicesKey });
  using _after = await rig.registered("alice", { identity: alicesKey, from: "192.0.2.9:1" });
  await assertDismissed(before, "Replaced");
  await settled();
  using anna = await rig.connect();
  await anna.until("Welcome");
  const answer = await anna.ask("alice");
  assertEquals(answer.type === "PeerInfo" && answer.peer, "192.0.2.9:1");
});

Deno.test("A lost client's name is kept for its key, and nobody finds it meanwhile", async () => {
  await using rig = new RelayRig();
  const before = await rig.registered("alice", { identity: alicesKey });
  before.close();
  await settled();
  using mallory = await rig.connect();
  await mallory.until("Welcome");
  assertEquals((await mallory.ask("alice")).type, "TargetNotFound");
  await mallory.send({ type: "Register", username: "alice" });
  assertEquals((await mallory.until("Refused")).code, "NameTaken");
  {
    using _alice = await rig.registered("alice", { identity: alicesKey });
    assertEquals((await mallory.ask("alice")).type, "PeerInfo");
  }
  await rig.clock.advance(NAME_GRACE_MS);
  await mallory.send({ type: "Register", username: "alice" });
  await mallory.until("RegisterAck");
});

Deno.test("Goodbye frees the name at once", async () => {
  await using rig = new RelayRig();
  using alice = await rig.registered("alice");
  await alice.send({ type: "Goodbye" });
  assertEquals(await alice.receive(), null);
  using _other = await rig.registered("alice");
});

Deno.test("A client that is silent for 40 s is given up; one that pings is not", async () => {
  await using rig = new RelayRig();
  using silent = await rig.registered("silent");
  using alive = await rig.registered("alive");
  for (let waited = 0; waited < 3 * RELAY_DEAD_MS; waited += 15_000) {
    await alive.send({ type: "Ping" });
    await alive.until("Pong");
    await rig.clock.advance(15_000);
  }
  assertEquals(await silent.receive(), null);
  assertEquals((await alive.ask("silent")).type, "TargetNotFound");
});

Deno.test("A target that is asked for by too many is busy, until some of them are done", async () => {
  await using rig = new RelayRig();
  using _bob = await rig.registered("bob");
  const askers: ControlClient[] = [];
  const answers: RendezvousMessage["type"][] = [];
  for (let i = 0; i < 33; i++) {
    const asker = await rig.connect({ from: `192.0.2.${i}:1` });
    await asker.until("Welcome");
    answers.push((await asker.ask("bob")).type);
    askers.push(asker);
  }
  assertEquals(answers, [...Array(32).fill("PeerInfo"), "TargetBusy"]);
  await askers[0]!.send({ type: "SessionFinished" });
  await settled();
  assertEquals((await askers[32]!.ask("bob")).type, "PeerInfo");
  for (const asker of askers) asker.close();
});

Deno.test("One address alone cannot make a target busy for all others", async () => {
  await using rig = new RelayRig();
  using _bob = await rig.registered("bob");
  using mallory = await rig.connect({ from: "192.0.2.66:1" });
  await mallory.until("Welcome");
  const answers: string[] = [];
  for (let i = 0; i < 40; i++) answers.push((await mallory.ask("bob")).type);
  assertEquals(answers.filter((type) => type === "PeerInfo").length, 16);
  using anna = await rig.connect();
  await anna.until("Welcome");
  assertEquals((await anna.ask("bob")).type, "PeerInfo");
});

Deno.test("A few addresses together cannot make a target busy for all others either", async () => {
  await using rig = new RelayRig();
  using _bob = await rig.registered("bob");
  const floods: ControlClient[] = [];
  for (let i = 0; i < 3; i++) {
    const mallory = await rig.connect({ from: `192.0.2.${66 + i}:1` });
    await mallory.until("Welcome");
    floods.push(mallory);
  }
  for (let i = 0; i < 20; i++) {
    for (const mallory of floods) await mallory.ask("bob");
  }
  const answers: string[] = [];
  for (let i = 0; i < 3; i++) {
    using anna = await rig.connect({ from: `198.51.100.${i}:1` });
    await anna.until("Welcome");
    answers.push((await anna.ask("bob")).type);
  }
  assertEquals(answers, ["PeerInfo", "PeerInfo", "PeerInfo"]);
  for (const mallory of floods) mallory.close();
});

Deno.test("A flood is told TooFast and slowed down; other addresses are served", async () => {
  await using rig = new RelayRig({ limits: { rate: 5 } });
  using mallory = await rig.connect({ from: "192.0.2.66:1" });
  await mallory.until("Welcome");
  for (let i = 0; i < 30; i++) await mallory.send({ type: "Ping" });
  let pongs = 0;
  let answer = await mallory.receive();
  for (; answer?.type === "Pong"; answer = await mallory.receive()) pongs++;
  assertEquals([pongs, answer?.type === "Refused" && answer.code], [20, "TooFast"]);
  using alice = await rig.registered("alice");
  await alice.send({ type: "Ping" });
  await alice.until("Pong");
  await rig.clock.advance(1_000);
  await mallory.until("Pong");
});

Deno.test("Who sends messages in crumbs is slowed down, however few messages they make", async () => {
  await using rig = new RelayRig({ limits: { rate: 5 } });
  using mallory = await rig.connect();
  await mallory.until("Welcome");
  for (let i = 0; i < 40; i++) await mallory.sendRaw(encodeText(" "));
  await mallory.send({ type: "Ping" });
  const answer = mallory.receive();
  let answered = false;
  answer.then(() => answered = true);
  await settled();
  assertEquals(answered, false);
  await rig.clock.until(answer, 10_000);
});

Deno.test("A record full of messages that come too fast is dropped at once, and its client heard again", async () => {
  await using rig = new RelayRig({ limits: { rate: 5 } });
  using mallory = await rig.connect();
  await mallory.until("Welcome");
  await mallory.sendRaw(encodeText('"Ping"\n'.repeat(500)));
  for (let i = 0; i < 20; i++) await mallory.until("Pong");
  assertEquals((await mallory.until("Refused")).code, "TooFast");
  mallory.close();
  await rig.clock.advance(1_000);
  assertEquals(rig.server.connections, 0);
});

Deno.test("An address that asks too fast may still begin anew: its Hello is heard", async () => {
  await using rig = new RelayRig({ limits: { rate: 1 } });
  using mallory = await rig.connect();
  for (let i = 0; i < 10; i++) await mallory.send({ type: "Ping" });
  using alice = await rig.connect();
  await alice.until("Welcome");
  await alice.send({ type: "Ping" });
  const refusal = await alice.until("Refused");
  assertEquals(refusal.code, "TooFast");
});

Deno.test("Of 1,000 names from one address as many are given as are allowed", async () => {
  await using rig = new RelayRig({ limits: { rate: 100_000, connectionsPerAddress: 2_000 } });
  const clients = await Promise.all(Array.from({ length: 1_000 }, () => rig.connect()));
  const codes: string[] = [];
  for (const [index, client] of clients.entries()) {
    await client.until("Welcome");
    await client.send({ type: "Register", username: `n${index}` });
    const answer = await client.receive();
    codes.push(answer?.type === "Refused" ? answer.code : answer!.type);
  }
  assertEquals(codes, [...Array(64).fill("RegisterAck"), ...Array(936).fill("TooMany")]);
  using other = await rig.connect({ from: "192.0.2.2:1" });
  await other.register("other");
  for (const client of clients) client.close();
});

Deno.test("A client that does not read is dropped, and what waits for it stays small", async () => {
  await using rig = new RelayRig({ limits: { rate: 1_000_000 } });
  using deaf = await rig.registered("deaf", { bufferBytes: 4_096 });
  using asker = await rig.connect({ from: "192.0.2.7:1" });
  await asker.until("Welcome");
  const candidates = Array.from(
    { length: 16 },
    (_, i) => `[2001:db8:1111:2222:3333:4444:5555:${6_000 + i}]:8080`,
  );
  let asked = 0;
  for (let found = true; found; asked++) {
    await asker.send({ type: "Connect", targetUsername: "deaf", candidates });
    found = (await asker.receive())!.type === "PeerInfo";
    await asker.send({ type: "SessionFinished" });
    assert(asked < 200, "it is never dropped");
  }
  assert(asked > 50, `dropped after ${asked}`);
  deaf.close();
});
