import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { dialSession } from "../../peer/dialer.ts";
import { Listener } from "../../peer/listener.ts";
import { NameRoute } from "../../peer/name_route.ts";
import { HEAD_START_MS, UPGRADE_MS } from "../../peer/race.ts";
import type { Session } from "../../peer/session.ts";
import { formatAddress } from "../../protocol/address.ts";
import type { Connection } from "../../protocol/connection.ts";
import { IdentityError, P2pError, UnreachableError } from "../../protocol/errors.ts";
import { generateKeyPair, type KeyPair } from "../../protocol/noise.ts";
import { CIRCUIT_ANSWER, circuitPreface, errorPreface } from "../../protocol/preface.ts";
import type { PeerInfo } from "../../protocol/rendezvous.ts";
import { readExactly } from "../conformance/connection.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { connectionPair, type MemoryConnection } from "../fakes/connection_pair.ts";
import { MemoryTrust } from "../fakes/memory_trust.ts";
import { FakeOpening, reachAt } from "../fakes/fake_opening.ts";
import { ScriptedRelay } from "../fakes/scripted_relay.ts";

const alice = generateKeyPair();
const bob = generateKeyPair();
const TOKEN = new Uint8Array(16).fill(9);
const HERE = "192.168.1.20:9000";
const THERE = "203.0.113.7:9000";

/** What becomes of a connection to an address. */
type Fate = "bob" | "stranger" | "nobody" | "silence";

/** A relay, somebody who is called bob there, and the way to him. */
class Rig implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly relay = new ScriptedRelay(this.clock);
  readonly trust = new MemoryTrust();
  readonly controller = new AbortController();
  readonly said: string[] = [];
  /** What becomes of connections to each address. */
  readonly fates: Record<string, Fate> = {};
  /** Addresses in the order in which they were dialled. */
  readonly dialled: string[] = [];
  /** Our ends of all connections to addresses. */
  readonly connections: MemoryConnection[] = [];
  readonly listener = this.#listen(bob);
  readonly stranger = this.#listen(generateKeyPair());
  readonly route: NameRoute;
  /** Ports to punch from, as they are opened: none, unless a test wants some. */
  readonly openings: FakeOpening[] = [];
  /** Those who wait in silence, to be let through by a test. */
  readonly silent: MemoryConnection[] = [];

  constructor({ straight = false, relayOnly = false } = {}) {
    const open = () => {
      this.openings.push(new FakeOpening());
      return this.openings.at(-1)!;
    };
    this.route = new NameRoute("bob", {
      relay: { ...this.relay.relay, key: this.relay.identity.publicKey },
      ownName: "alice",
      identity: alice,
      trust: this.trust,
      clock: this.clock,
      say: (line) => this.said.push(line),
      dialRelay: this.relay.dial,
      dialPeer: (address) => this.#dial(formatAddress(address)),
      openStraight: straight ? open : undefined,
      relayOnly,
      random: () => 0.5,
    });
  }

  dial(): Promise<Session> {
    const { clock, controller: { signal } } = this;
    return dialSession(this.route, { name: "alice", signal, clock });
  }

  /** The relay's answer to the next look-up. */
  async introduce(changes: Partial<PeerInfo> = {}) {
    const side = await this.relay.welcomed();
    const asked = await side.until("Connect");
    assertEquals([asked.targetUsername, asked.username], ["bob", "alice"]);
    await side.send({
      type: "PeerInfo",
      peer: "203.0.113.7:1",
      username: "bob",
      key: bob.publicKey,
      candidates: [HERE],
      circuit: TOKEN,
      initiator: true,
      ...changes,
    });
    return side;
  }

  /** The relay's end of the circuit that we have dialled. */
  async circuit(): Promise<MemoryConnection> {
    const end = await this.relay.accept();
    const preface = circuitPreface(TOKEN);
    assertEquals(await readExactly(end, preface.length), preface);
    return end;
  }

  /** Joins the circuit to bob. */
  async join(listener = this.listener): Promise<MemoryConnection> {
    const end = await this.circuit();
    await end.write(CIRCUIT_ANSWER);
    listener.take(end);
    return end;
  }

  /** A session that goes straight to this address, as both sides have it. */
  async meetAt(address: string): Promise<{ session: Session; far: Session }> {
    this.fates[address] = "bob";
    const dialling = this.dial();
    await this.introduce();
    return { session: await dialling, far: await this.far() };
  }

  /** The session at bob's. */
  async far(): Promise<Session> {
    return (await this.listener.sessions.next())!;
  }

  async end(...sessions: Session[]): Promise<void> {
    const over = Promise.all(sessions.map((session) => session.end()));
    await this.clock.until(over, 60_000, 100);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.listener.close();
    this.stranger.close();
    await settled();
    assertEquals(this.clock.pending, 0, "timers are left");
    assert(this.connections.every((each) => each.closed), "connections are left open");
  }

  #listen(identity: KeyPair): Listener {
    const { clock } = this;
    const admit = () => Promise.resolve();
    return new Listener({ host: "127.0.0.1", port: 0, name: () => "bob", identity, admit, clock });
  }

  #dial(address: string): Promise<Connection> {
    this.dialled.push(address);
    const fate = this.fates[address] ?? "nobody";
    if (fate === "nobody") return Promise.reject(new UnreachableError("nobody listens there"));
    const [near, far] = connectionPair();
    this.connections.push(near);
    if (fate === "bob") this.listener.take(far);
    else if (fate === "stranger") this.stranger.take(far);
    else this.silent.push(far);
    return Promise.resolve(near);
  }
}

async function failing(work: Promise<unknown>): Promise<P2pError> {
  return await assertRejects(() => work, P2pError) as P2pError;
}

Deno.test("NameRoute: a direct way that works carries the session, and the relay is left at once", async () => {
  await using rig = new Rig();
  rig.fates[HERE] = "bob";
  const dialling = rig.dial();
  const side = await rig.introduce();
  const session = await dialling;
  assertEquals([session.remoteName, session.path], ["bob", "direct"]);
  assertEquals((await rig.far()).remoteName, "alice");
  await side.until("SessionFinished");
  await side.until("Goodbye");
  assertEquals([rig.relay.dialled, rig.trust.known.get("bob")], [1, bob.publicKey]);
  await rig.end(session);
});

Deno.test("NameRoute: a circuit that was first gives way to a better path, and streams do not notice", async () => {
  await using rig = new Rig();
  rig.fates[HERE] = "silence";
  const dialling = rig.dial();
  await rig.introduce();
  const joining = rig.join();
  await rig.clock.advance(HEAD_START_MS - 1);
  assertEquals(rig.relay.dialled, 1);
  await rig.clock.advance(1);
  const end = await joining;
  const session = await dialling;
  const far = await rig.far();
  assertEquals([session.path, session.remote], ["relayed", "relay relay.test:8080"]);
  const states: string[] = [];
  session.onState = far.onState = (state) => states.push(`${state} ${session.path}`);
  const stream = session.open("chat/1", "urgent");
  await stream.write(new Uint8Array(10).fill(1));
  const other = (await far.accept())!;
  rig.listener.take(rig.silent[0]!);
  await stream.write(new Uint8Array(10).fill(2));
  assertEquals((await other.read())![0], 1);
  assertEquals((await other.read())![0], 2);
  await settled();
  assertEquals(states, ["connected direct", "connected direct"]);
  assert(end.closed, "the circuit is still open");
  await rig.end(session, far);
});

Deno.test("NameRoute: the circuit is taken at once where no address leads to the peer", async () => {
  for (const candidates of [[], [HERE, THERE]]) {
    await using rig = new Rig();
    const dialling = rig.dial();
    await rig.introduce({ candidates });
    await rig.join();
    const session = await dialling;
    assertEquals([session.path, rig.dialled], ["relayed", candidates]);
    await rig.end(session, await rig.far());
  }
});

Deno.test("NameRoute: another key at an address is a wrong address, and learns nothing of us", async () => {
  await using rig = new Rig();
  rig.fates[HERE] = "stranger";
  const dialling = rig.dial();
  await rig.introduce();
  await rig.join();
  const session = await dialling;
  assertEquals([session.path, session.remoteKey], ["relayed", bob.publicKey]);
  await rig.end(session, await rig.far());
});

Deno.test("NameRoute: another key at the circuit's other end is somebody in between", async () => {
  await using rig = new Rig();
  const dialling = failing(rig.dial());
  await rig.introduce();
  await rig.join(rig.stranger);
  const error = await dialling;
  assertInstanceOf(error, IdentityError);
  assert(error.message.startsWith("Could not reach bob "), error.message);
});

Deno.test("NameRoute: a relay that tells another key for a known name is refused before anybody is dialled", async () => {
  await using rig = new Rig();
  rig.trust.known.set("bob", generateKeyPair().publicKey);
  const dialling = failing(rig.dial());
  await rig.introduce();
  assertInstanceOf(await dialling, IdentityError);
  assertEquals([rig.dialled, rig.relay.dialled], [[], 1]);
});

Deno.test("NameRoute: whom nobody knows, and who has no key, cannot be reached", async () => {
  {
    await using rig = new Rig();
    const dialling = failing(rig.dial());
    await (await rig.relay.welcomed()).send({ type: "TargetNotFound" });
    const error = await dialling;
    assertInstanceOf(error, UnreachableError);
    assertEquals(error.message, "Nobody is called bob at the relay relay.test:8080");
  }
  await using rig = new Rig();
  const dialling = failing(rig.dial());
  await rig.introduce({ key: undefined });
  assertInstanceOf(await dialling, UnreachableError);
});

Deno.test("NameRoute: where all ways fail it is told what became of the circuit, or that there was none", async () => {
  for (
    const [circuit, message] of [
      [TOKEN, ": circuit not opened: relay relay.test:8080: nobody came"],
      [undefined, " by way of the relay relay.test:8080: nobody listens there"],
    ] as const
  ) {
    await using rig = new Rig();
    const dialling = failing(rig.dial());
    await rig.introduce({ circuit: circuit });
    if (circuit) await (await rig.circuit()).write(errorPreface("nobody came"));
    const error = await dialling;
    assertInstanceOf(error, UnreachableError);
    assertEquals(error.message, `Could not reach bob${message}`);
    assert(error.hint);
  }
});

Deno.test("NameRoute dials no more than 16 addresses, each once, and none that can only be wrong", async () => {
  await using rig = new Rig();
  const wrong = [
    "127.0.0.1:1",
    "[::1]:1",
    "0.0.0.0:1",
    "[::]:1",
    "224.0.0.1:1",
    "255.255.255.255:1",
    "169.254.1.1:1",
    "[fe80::1]:1",
    "[ff02::1]:1",
    "[::ffff:127.0.0.1]:1",
  ];
  const dialling = rig.dial();
  await rig.introduce({ candidates: [...wrong, HERE, HERE, THERE, "host.example:1"] });
  await rig.join();
  await rig.end(await dialling, await rig.far());
  assertEquals(rig.dialled, [HERE, THERE]);
});

Deno.test("NameRoute: a peer that goes by another name is told of", async () => {
  await using rig = new Rig();
  await rig.route.admit("bob", bob.publicKey);
  assertEquals(rig.said, []);
  rig.trust.known.clear();
  await rig.route.admit("robert", bob.publicKey);
  assertEquals(rig.said, ["Who is called bob at the relay goes by the name robert"]);
  assertEquals([...rig.trust.known.keys()], ["robert", "bob"]);
});

Deno.test("NameRoute: a session that is lost goes on where the peer was, though the relay is gone", async () => {
  await using rig = new Rig();
  const { session, far } = await rig.meetAt(HERE);
  await settled();
  rig.relay.down = true;
  const back = Promise.withResolvers<void>();
  session.onState = (state) => state === "connected" && back.resolve();
  rig.connections[0]!.cut();
  await rig.clock.until(back.promise, 1_000);
  assertEquals([rig.dialled, session.path], [[HERE, HERE], "direct"]);
  await rig.end(session, far);
});

Deno.test("NameRoute: a session that is lost is looked up anew, and goes on over a circuit", async () => {
  await using rig = new Rig();
  const { session, far } = await rig.meetAt(HERE);
  rig.fates[HERE] = "nobody";
  const back = Promise.withResolvers<void>();
  session.onState = (state) => state === "connected" && back.resolve();
  rig.connections[0]!.cut();
  const introduced = rig.introduce({ candidates: [THERE] });
  await rig.clock.until(introduced, 1_000);
  await rig.join();
  await back.promise;
  assertEquals([session.path, rig.dialled.slice(1)], ["relayed", [HERE, THERE]]);
  await rig.end(session, far);
});

Deno.test("NameRoute: a session never goes on with another key, whatever the relay says", async () => {
  await using rig = new Rig();
  const { session, far } = await rig.meetAt(HERE);
  rig.fates[HERE] = "stranger";
  rig.connections[0]!.cut();
  await rig.clock.until(rig.introduce({ key: generateKeyPair().publicKey }), 1_000);
  await settled();
  assertEquals(session.state, "away");
  rig.fates[HERE] = "bob";
  const back = Promise.withResolvers<void>();
  session.onState = (state) => state === "connected" && back.resolve();
  rig.relay.down = true;
  await rig.clock.until(back.promise, 5_000);
  await rig.end(session, far);
});

Deno.test("NameRoute: an abort ends everything, at whatever point", async () => {
  for (const when of ["before", "relay", "asked", "direct", "circuit"]) {
    await using rig = new Rig();
    const reason = new Error("enough");
    rig.fates[HERE] = "silence";
    if (when === "before") rig.controller.abort(reason);
    const dialling = rig.dial().catch((error) => error);
    if (when === "asked") await rig.relay.welcomed();
    if (when === "direct" || when === "circuit") await rig.introduce();
    if (when === "circuit") {
      await rig.clock.advance(HEAD_START_MS);
      await rig.circuit();
    }
    await settled();
    rig.controller.abort(reason);
    assertEquals(await dialling, reason);
  }
});

Deno.test("NameRoute: a session that ends while a better way is tried leaves nothing behind", async () => {
  await using rig = new Rig();
  rig.fates[HERE] = "silence";
  const dialling = rig.dial();
  const side = await rig.introduce();
  const joining = rig.join();
  await rig.clock.advance(HEAD_START_MS);
  await joining;
  const session = await dialling;
  const ending = rig.end(session, await rig.far());
  await side.until("SessionFinished");
  await ending;
  assertEquals(rig.connections.map((each) => each.closed), [true]);
});

Deno.test("NameRoute: nobody waits for a better way for ever", async () => {
  await using rig = new Rig();
  rig.fates[HERE] = "silence";
  const dialling = rig.dial();
  const side = await rig.introduce();
  const joining = rig.join();
  await rig.clock.advance(HEAD_START_MS);
  await joining;
  const session = await dialling;
  await rig.clock.advance(UPGRADE_MS);
  await side.until("SessionFinished");
  assertEquals([rig.connections[0]!.closed, session.path], [true, "relayed"]);
  await rig.end(session, await rig.far());
});

/** What the relay tells of the peer's UDP port. */
const PUNCHABLE: Partial<PeerInfo> = {
  udp: ["192.168.2.10:9"],
  seen: ["198.51.100.2:9"],
  mapping: "independent",
  secret: new Uint8Array(16).fill(3),
  candidates: [],
};

/** A session over a circuit, while a straight way is looked for. */
async function meetByCircuit(rig: Rig, changes: Partial<PeerInfo> = {}) {
  const dialling = rig.dial();
  while (rig.openings.length === 0) await settled();
  rig.openings[0]!.learn(reachAt(4000));
  const introduced = rig.introduce({ ...PUNCHABLE, ...changes });
  const joining = rig.join();
  await rig.clock.advance(HEAD_START_MS);
  await joining;
  return { session: await dialling, far: await rig.far(), side: await introduced };
}

Deno.test("NameRoute: a way that was punched takes over from the circuit, and the relay is left", async () => {
  await using rig = new Rig({ straight: true });
  const { session, far, side } = await meetByCircuit(rig);
  const [opening] = rig.openings;
  assertEquals(opening!.asked?.peer.mapping, "independent");
  const [near, end] = connectionPair();
  rig.listener.take(end);
  opening!.succeed(near);
  await side.until("SessionFinished");
  await settled();
  assertEquals([session.state, near.closed, rig.openings.length], ["connected", false, 1]);
  await rig.end(session, far);
});

Deno.test("NameRoute: what is punched proves the same key as any other way", async () => {
  await using rig = new Rig({ straight: true });
  const { session, far, side } = await meetByCircuit(rig);
  const [near, end] = connectionPair();
  rig.stranger.take(end);
  rig.openings[0]!.succeed(near);
  await settled();
  assertEquals([near.closed, session.path], [true, "relayed"]);
  // It is tried once more, from another port.
  rig.openings[1]!.learn(reachAt(4001));
  const asked = await side.until("Connect");
  assertEquals([asked.circuit, asked.seen], [false, ["203.0.113.2:4001"]]);
  await rig.end(session, far);
});

Deno.test("NameRoute: where no straight way can be it is told why, and the relay is left", async () => {
  await using rig = new Rig({ straight: true });
  const { session, far, side } = await meetByCircuit(rig, { mapping: "blocked" });
  rig.openings[0]!.fail();
  await side.until("SessionFinished");
  await side.until("Goodbye");
  await settled();
  assertEquals(session.relayedBecause, "UDP is blocked on the other side");
  for (let second = 0; second < 65; second++) await rig.clock.advance(1_000);
  assertEquals([rig.openings.length, session.state], [1, "connected"]);
  await rig.end(session, far);
});

/** The try that is under way fails, and each that follows in the same round. */
async function failRound(rig: Rig, side: Awaited<ReturnType<Rig["introduce"]>>): Promise<void> {
  for (let tries = 1;; tries++) {
    rig.openings.at(-1)!.fail();
    await settled();
    if (tries === 3) break;
    rig.openings.at(-1)!.learn(reachAt(4000 + rig.openings.length));
    await side.until("Connect");
    await side.send({ type: "PeerInfo", ...infoOf(PUNCHABLE) });
    await settled();
  }
  await side.until("SessionFinished");
}

/** The next round begins, and the relay introduces us. */
async function beginRound(rig: Rig) {
  rig.openings.at(-1)!.learn(reachAt(4000 + rig.openings.length));
  const side = await rig.relay.welcomed();
  assertEquals((await side.until("Connect")).circuit, false);
  await side.send({ type: "PeerInfo", ...infoOf(PUNCHABLE) });
  await settled();
  return side;
}

Deno.test("NameRoute: where a straight way could be it is looked for again, ever less often", async () => {
  await using rig = new Rig({ straight: true });
  const { session, far, side } = await meetByCircuit(rig);
  await failRound(rig, side);
  assertEquals(session.relayedBecause, "no datagram came through");
  for (const seconds of [15, 30, 60, 120, 240, 480, 900, 900]) {
    const before = rig.openings.length;
    for (let each = 1; each < seconds; each++) await rig.clock.advance(1_000);
    assertEquals(rig.openings.length, before);
    await rig.clock.advance(1_000);
    assertEquals(rig.openings.length, before + 1);
    await failRound(rig, await beginRound(rig));
  }
  await rig.clock.advance(900_000);
  const later = await beginRound(rig);
  const [near, end] = connectionPair();
  rig.listener.take(end);
  rig.openings.at(-1)!.succeed(near);
  await later.until("SessionFinished");
  assertEquals(session.relayedBecause, undefined);
  await rig.end(session, far);
});

function infoOf(changes: Partial<PeerInfo>): PeerInfo {
  return {
    peer: "203.0.113.7:1",
    username: "bob",
    key: bob.publicKey,
    initiator: true,
    ...changes,
  };
}

Deno.test("NameRoute: a way that has just fallen silent is left alone while there is a circuit", async () => {
  await using rig = new Rig();
  const { session, far } = await rig.meetAt(HERE);
  const away = Promise.withResolvers<void>();
  session.onState = (state) => state === "away" && away.resolve();
  await session.open("chat/1", "urgent").write(new Uint8Array(1));
  rig.connections[0]!.stall();
  await session.open("chat/1", "urgent").write(new Uint8Array(1));
  await rig.clock.until(away.promise, 30_000, 100);
  const introduced = rig.introduce();
  const joined = rig.join();
  await rig.clock.until(Promise.all([introduced, joined]), 2_000);
  await settled();
  assertEquals([session.path, rig.dialled], ["relayed", [HERE]]);
  await rig.end(session, far);
});

Deno.test("NameRoute: where all is to go through the relay nothing else is tried", async () => {
  await using rig = new Rig({ straight: true, relayOnly: true });
  rig.fates[HERE] = "bob";
  const dialling = rig.dial();
  await rig.introduce();
  await rig.join();
  const session = await dialling;
  assertEquals([session.path, rig.dialled, rig.openings], ["relayed", [], []]);
  await rig.end(session, await rig.far());
});

Deno.test("NameRoute: a punched way that fell silent is looked for again as soon as it may be taken", async () => {
  await using rig = new Rig({ straight: true });
  const { session, far, side } = await meetByCircuit(rig);
  const [near, end] = connectionPair();
  rig.listener.take(end);
  rig.openings[0]!.succeed(near);
  await side.until("SessionFinished");
  const away = Promise.withResolvers<void>();
  session.onState = (state) => state === "away" && away.resolve();
  await session.open("chat/1", "urgent").write(new Uint8Array(1));
  near.stall();
  await session.open("chat/1", "urgent").write(new Uint8Array(1));
  await rig.clock.until(away.promise, 30_000, 100);
  const back = Promise.all([rig.introduce(PUNCHABLE), rig.join()]);
  await rig.clock.until(back, 2_000);
  await settled();
  const dialled = rig.relay.dialled;
  for (let second = 0; second < 56; second++) await rig.clock.advance(1_000);
  assertEquals([rig.relay.dialled, session.path], [dialled, "relayed"]);
  const later = await rig.clock.until(rig.relay.welcomed(), 5_000);
  rig.openings.at(-1)!.learn(reachAt(4001));
  assertEquals((await rig.clock.until(later.until("Connect"), 1_000)).circuit, false);
  await rig.end(session, far);
});
