import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { KnownPeers } from "../../peer/known_peers.ts";
import { RelayClient } from "../../peer/relay_client.ts";
import { RelayRefusal } from "../../peer/relay_refusal.ts";
import { Trust } from "../../peer/trust.ts";
import { concatBytes, encodeText } from "../../protocol/bytes.ts";
import {
  IdentityError,
  P2pError,
  ProtocolError,
  RefusedError,
  UnreachableError,
} from "../../protocol/errors.ts";
import { RELAY_DEAD_MS, RELAY_PING_MS } from "../../protocol/limits.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { errorPreface } from "../../protocol/preface.ts";
import type { RendezvousMessage } from "../../protocol/rendezvous.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { type RelaySide, ScriptedRelay } from "../fakes/scripted_relay.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const WHERE = "relay.test:8080";
const identity = generateKeyPair();

class Place implements Disposable {
  readonly clock = new FakeClock();
  readonly relay = new ScriptedRelay(this.clock);
  readonly controller = new AbortController();
  readonly #folder = new TemporaryFolder();
  readonly known = new KnownPeers(this.#folder.path);

  connect(changes: { key?: Uint8Array; password?: string } = {}): Promise<RelayClient> {
    return RelayClient.connect({
      relay: { ...this.relay.relay, ...changes },
      identity,
      trust: new Trust(this.known),
      signal: this.controller.signal,
      clock: this.clock,
      dial: this.relay.dial,
    });
  }

  /** A client that was welcomed, and the relay's side of it. */
  async both(): Promise<{ client: RelayClient; side: RelaySide }> {
    const [client, side] = await Promise.all([this.connect(), this.relay.welcomed()]);
    await client.welcome;
    return { client, side };
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
    assertEquals(this.clock.pending, 0, "timers are left");
  }
}

async function failing(work: Promise<unknown>): Promise<P2pError> {
  return await assertRejects(() => work, P2pError) as P2pError;
}

Deno.test("RelayClient says Hello at once, with the password, and learns where it is seen", async () => {
  using place = new Place();
  const connecting = place.connect({ password: "sesame" });
  const side = await place.relay.session();
  assertEquals(await side.until("Hello"), { type: "Hello", password: "sesame" });
  await using client = await connecting;
  await side.send({ type: "Welcome", address: "203.0.113.7:40312" });
  assertEquals(await client.welcome, "203.0.113.7:40312");
});

Deno.test("RelayClient.connect() keeps the relay's key under its address, and refuses another one before it shows ours", async () => {
  using place = new Place();
  const { client } = await place.both();
  await client.leave();
  const [entry] = await place.known.entries();
  assertEquals([entry!.name, entry!.key], [WHERE, place.relay.identity.publicKey]);
  place.relay.identity = generateKeyPair();
  const refused = place.relay.session().catch((error) => error);
  const error = await failing(place.connect());
  assertInstanceOf(error, IdentityError);
  assert(error.hint!.includes(`p2p forget ${WHERE}`), error.hint);
  assertInstanceOf(await refused, UnreachableError);
});

Deno.test("RelayClient.connect() takes the key that was given for the only one, and keeps none", async () => {
  using place = new Place();
  const { publicKey: key } = place.relay.identity;
  const [client] = await Promise.all([place.connect({ key }), place.relay.welcomed()]);
  await client.leave();
  assertEquals(await place.known.entries(), []);
  place.relay.session().catch(() => {});
  const error = await failing(place.connect({ key: generateKeyPair().publicKey }));
  assertInstanceOf(error, IdentityError);
  assert(error.message.includes(WHERE), error.message);
});

Deno.test("RelayClient.connect() says that a peer is no relay, and what is not p2p at all", async () => {
  for (
    const [bytes, words] of [
      [errorPreface("this is a peer, not a relay"), `No relay at ${WHERE}: a peer listens there`],
      [encodeText("HTTP/1.1 400 Bad Request\r\n"), `Could not connect to the relay ${WHERE}: `],
    ] as const
  ) {
    using place = new Place();
    const connecting = failing(place.connect());
    await (await place.relay.accept()).write(bytes);
    const error = await connecting;
    assertInstanceOf(error, ProtocolError);
    assert(error.message.startsWith(words) && error.hint, error.message);
  }
});

Deno.test("RelayClient.register() and introduce() resolve with the answers, in the order asked", async () => {
  using place = new Place();
  const { client, side } = await place.both();
  const candidates = Array.from({ length: 20 }, (_, index) => `192.0.2.1:${index + 1}`);
  const registered = client.register("anna", candidates);
  const found = client.introduce({ target: "bob", username: "anna", circuit: true });
  const missing = failing(client.introduce({ target: "carol", username: "anna", circuit: true }));
  assertEquals((await side.until("Register")).candidates, candidates.slice(0, 16));
  const asked = await side.until("Connect");
  assertEquals([asked.targetUsername, asked.username], ["bob", "anna"]);
  await side.until("Connect");
  const answer = { type: "PeerInfo", peer: "192.0.2.9:7", username: "bob", initiator: true };
  await side.send({ type: "RegisterAck" });
  await side.send(answer as RendezvousMessage);
  await side.send({ type: "TargetNotFound" });
  await registered;
  assertEquals((await found).peer, "192.0.2.9:7");
  const error = await missing;
  assertInstanceOf(error, UnreachableError);
  assertEquals(error.message, `Nobody is called carol at the relay ${WHERE}`);
  await client.leave();
});

Deno.test("RelayClient: introductions may stand between answers, and end with the session", async () => {
  using place = new Place();
  const { client, side } = await place.both();
  const registered = client.register("anna", []);
  for (const username of ["bob", "carol"]) {
    await side.send({ type: "PeerInfo", peer: "192.0.2.9:7", username, initiator: false });
  }
  await side.send({ type: "RegisterAck" });
  await registered;
  assertEquals((await client.introductions.next())!.username, "bob");
  assertEquals((await client.introductions.next())!.username, "carol");
  await client.leave();
  assertEquals(await client.introductions.next(), undefined);
});

const REFUSALS: [code: string, ends: boolean, lasts: boolean][] = [
  ["NameTaken", false, true],
  ["BadName", false, true],
  ["TooMany", false, false],
  ["TooFast", false, false],
  ["Password", true, true],
  ["Malformed", true, true],
  ["Full", true, false],
  ["Draining", true, false],
  ["Replaced", true, false],
  ["SomethingNew", true, false],
];
for (const [code, ends, lasts] of REFUSALS) {
  Deno.test(`RelayClient: ${code} is a refusal with a hint${ends ? ", and the end" : ""}`, async () => {
    using place = new Place();
    const { client, side } = await place.both();
    const registering = failing(client.register("anna", []));
    await side.until("Register");
    await side.send({ type: "Refused", code, text: "for a test" });
    const error = await registering as RelayRefusal;
    assertInstanceOf(error, RelayRefusal);
    assertEquals([error.code, error.lasts, error.replaced], [
      "refused",
      lasts,
      code === "Replaced",
    ]);
    // What the relay says to people is needed only where we do not know better.
    assertEquals(error.message.endsWith("for a test"), code === "SomethingNew", error.message);
    assert(error.hint);
    if (ends) assertEquals(await client.ended, error);
    else {
      const again = client.register("anna2", []);
      await side.send({ type: "RegisterAck" });
      await again;
    }
    await client.leave();
  });
}

Deno.test("RelayClient: a target that is busy is a refusal", async () => {
  using place = new Place();
  const { client, side } = await place.both();
  const asking = failing(client.introduce({ target: "bob", username: "anna", circuit: true }));
  await side.send({ type: "TargetBusy" });
  assertInstanceOf(await asking, RefusedError);
  await client.leave();
});

Deno.test("RelayClient pings after 15 s in which it said nothing, answers pings, and gives up after 40 s of silence", async () => {
  using place = new Place();
  const { client, side } = await place.both();
  await side.send({ type: "Ping" });
  await side.until("Pong");
  let pinged = false;
  const ping = side.until("Ping").then(() => pinged = true);
  await place.clock.advance(RELAY_PING_MS - 1);
  assert(!pinged);
  await place.clock.advance(1);
  await ping;
  await side.send({ type: "Pong" });
  await settled();
  await place.clock.advance(RELAY_PING_MS);
  await side.until("Ping");
  let ended = false;
  client.ended.then(() => ended = true);
  await place.clock.advance(RELAY_DEAD_MS - RELAY_PING_MS - 1);
  assert(!ended);
  await place.clock.advance(1);
  const error = await client.ended;
  assert(error.message.includes("no sign of life for 40 s"), error.message);
  await assertRejects(() => client.register("anna", []), UnreachableError);
});

Deno.test("RelayClient gives up when an answer does not come within 10 s", async () => {
  for (const what of ["welcome", "register"] as const) {
    using place = new Place();
    const [client, side] = await Promise.all([place.connect(), place.relay.session()]);
    if (what === "register") await side.send({ type: "Welcome", address: "203.0.113.7:1" });
    await settled();
    const waiting = what === "welcome" ? client.welcome : client.register("anna", []);
    const failure = failing(waiting);
    await place.clock.advance(9_999);
    assertEquals(side.connection.closed, false);
    await place.clock.advance(1);
    assert((await failure).message.includes("does not answer"));
  }
});

const WRONG: [what: string, bytes: Uint8Array][] = [
  ["is no JSON", encodeText("hello\n")],
  ["answers what was not asked", encodeText('"RegisterAck"\n')],
  ["is longer than a line may be", concatBytes(encodeText('"'), new Uint8Array(4_096).fill(0x61))],
];
for (const [what, bytes] of WRONG) {
  Deno.test(`RelayClient ends with a ProtocolError when a message ${what}`, async () => {
    using place = new Place();
    const { client, side } = await place.both();
    await side.secure.write(bytes);
    const error = await client.ended;
    assertInstanceOf(error, ProtocolError);
    assert(error.message.startsWith(`Lost the relay ${WHERE}: `), error.message);
  });
}

Deno.test("RelayClient takes no notice of messages that it does not know", async () => {
  using place = new Place();
  const { client, side } = await place.both();
  await side.secure.write(encodeText('"News"\n{"More":{"of":"it"}}\n'));
  const registered = client.register("anna", []);
  await side.send({ type: "RegisterAck" });
  await registered;
  await client.leave();
});

Deno.test("RelayClient says when the relay is lost, and fails what was asked", async () => {
  using place = new Place();
  const { client, side } = await place.both();
  const asking = failing(client.introduce({ target: "bob", username: "anna", circuit: true }));
  await side.until("Connect");
  side.connection.close();
  const error = await asking;
  assertEquals(error, await client.ended);
  assertEquals(error.message, `Lost the relay ${WHERE}: it closed the connection`);
});

Deno.test("RelayClient.leave() says that introductions are done with, and goodbye; so does an abort", async () => {
  for (const how of ["leave", "abort"]) {
    using place = new Place();
    const { client, side } = await place.both();
    const asking = client.introduce({ target: "bob", username: "anna", circuit: true }).catch((
      error,
    ) => error);
    await side.until("Connect");
    const reason = new UnreachableError("enough");
    if (how === "abort") place.controller.abort(reason);
    else client.leave();
    await side.until("SessionFinished");
    await side.until("Goodbye");
    assertEquals(await side.receive().catch(() => null), null);
    const error = await asking;
    if (how === "abort") assertEquals(error, reason);
    else assertInstanceOf(error, UnreachableError);
  }
});

Deno.test("RelayClient.check(): after a change of network a relay that does not answer is given up in 3 s", async () => {
  for (const answers of [true, false]) {
    using place = new Place();
    const { client, side } = await place.both();
    await place.clock.advance(1);
    client.check();
    await side.until("Ping");
    if (answers) await side.send({ type: "Pong" });
    await place.clock.advance(3_000);
    const ended = await Promise.race([client.ended, settled()]);
    if (answers) assertEquals(ended, undefined);
    else assert(ended?.message.endsWith("the network has changed"), ended?.message);
    await client.leave();
  }
});
