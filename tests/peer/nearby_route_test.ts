import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { Announcing } from "../../peer/announcing.ts";
import { EitherRoute } from "../../peer/either_route.ts";
import { dialSession } from "../../peer/dialer.ts";
import { Listener } from "../../peer/listener.ts";
import { SeveralError } from "../../peer/nearby_finder.ts";
import { NearbyRoute } from "../../peer/nearby_route.ts";
import type { Found, Route } from "../../peer/route.ts";
import type { Session } from "../../peer/session.ts";
import { formatAddress } from "../../protocol/address.ts";
import { encodeAnnouncement, instanceOf } from "../../protocol/announcement.ts";
import type { Connection } from "../../protocol/connection.ts";
import { IdentityError, P2pError, RefusedError, UnreachableError } from "../../protocol/errors.ts";
import { fingerprint } from "../../protocol/fingerprint.ts";
import { generateKeyPair, type KeyPair } from "../../protocol/noise.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { connectionPair } from "../fakes/connection_pair.ts";
import { MemoryTrust } from "../fakes/memory_trust.ts";
import { linksAt, MulticastNetwork } from "../fakes/multicast_network.ts";

const HERE = "192.168.1.10";
const [alice, bob, mallory] = [generateKeyPair(), generateKeyPair(), generateKeyPair()];

/** A network with people who listen and announce themselves, and the way to bob. */
class Rig implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly network = new MulticastNetwork();
  readonly trust = new MemoryTrust();
  readonly controller = new AbortController();
  readonly said: string[] = [];
  readonly warned: string[] = [];
  readonly dialled: string[] = [];
  /** Who answers at which address. */
  readonly at = new Map<string, Listener>();
  readonly #announcing: Announcing[] = [];
  readonly route = new NearbyRoute("bob", {
    identity: alice,
    trust: this.trust,
    clock: this.clock,
    say: (line) => this.said.push(line),
    warn: (line) => this.warned.push(line),
    open: this.network.at(HERE),
    links: () => linksAt(HERE),
    dialPeer: (address) => this.#dial(formatAddress(address)),
  });

  /** Somebody begins to announce a name, and this key; `identity` is who does answer there. */
  async announce(
    host: string,
    { identity = bob, key = identity.publicKey, name = "bob" }: {
      identity?: KeyPair;
      key?: Uint8Array;
      name?: string;
    } = {},
  ): Promise<Announcing> {
    this.at.set(`${host}:8080`, this.#listen(identity, name));
    const announcing = await Announcing.begin({
      name,
      key,
      port: 8080,
      clock: this.clock,
      open: this.network.at(host),
      links: () => linksAt(host),
      network: { subscribe: () => () => {} },
    });
    this.#announcing.push(announcing);
    await this.clock.advance(5_000);
    return announcing;
  }

  connect(route: Route = this.route): Promise<Session> {
    const { clock, controller: { signal } } = this;
    const session = dialSession(route, { name: "alice", clock, signal });
    session.catch(() => {});
    return this.clock.until(session, 10_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.controller.abort(new Error("The test has ended"));
    await settled();
    for (const each of this.#announcing) await each[Symbol.asyncDispose]();
    for (const listener of this.at.values()) listener.close();
    await settled();
    assertEquals(this.network.hearers, 0, "all have stopped to listen");
  }

  #listen(identity: KeyPair, name: string): Listener {
    const admit = () => Promise.resolve();
    return new Listener({
      host: "127.0.0.1",
      port: 0,
      identity,
      name: () => name,
      admit,
      clock: this.clock,
    });
  }

  #dial(address: string): Promise<Connection> {
    this.dialled.push(address);
    const listener = this.at.get(address);
    if (!listener) return Promise.reject(new UnreachableError(`Could not reach ${address}`));
    const [ours, theirs] = connectionPair({ remotes: [address, "192.168.1.10:50000"] });
    listener.take(theirs);
    return Promise.resolve(ours);
  }
}

async function refusal(rig: Rig, route?: Route): Promise<P2pError> {
  const error = await assertRejects(() => rig.connect(route));
  assertInstanceOf(error, P2pError);
  return error;
}

Deno.test("NearbyRoute leads to whoever announces the name, and remembers the key", async () => {
  await using rig = new Rig();
  await rig.announce("192.168.1.20");
  await rig.announce("192.168.1.30", { name: "carol", identity: mallory });
  const session = await rig.connect();
  assertEquals([session.remoteName, rig.dialled], ["bob", ["192.168.1.20:8080"]]);
  assertEquals(session.remoteKey, bob.publicKey);
  assertEquals(rig.trust.known.get("bob"), bob.publicKey);
});

Deno.test("NearbyRoute takes half a second longer with a new name than with a known one", async () => {
  await using rig = new Rig();
  await rig.announce("192.168.1.20");
  const begun = rig.clock.now();
  await rig.connect();
  const first = rig.clock.now() - begun;
  assert(first >= 500 && first <= 650, `${first} ms`);
  await rig.clock.advance(5_000);
  const again = rig.clock.now();
  await rig.connect();
  assert(rig.clock.now() - again <= 150, `${rig.clock.now() - again} ms`);
});

Deno.test("NearbyRoute asks nobody's address when two announce a new name, and lists both", async () => {
  await using rig = new Rig();
  await rig.announce("192.168.1.20");
  await rig.announce("192.168.1.66", { identity: mallory });
  const error = await refusal(rig);
  assertInstanceOf(error, SeveralError);
  assertStringIncludes(error.message, "192.168.1.20:8080 (key ");
  assertStringIncludes(error.message, "192.168.1.66:8080 (key ");
  assertEquals(rig.dialled, []);
});

Deno.test("NearbyRoute takes one who announces itself twice for one", async () => {
  await using rig = new Rig();
  await rig.announce("192.168.1.20");
  await rig.announce("192.168.1.21");
  assertEquals((await rig.connect()).remoteKey, bob.publicKey);
});

Deno.test("NearbyRoute leads to the known key, and warns of others who announce its name", async () => {
  await using rig = new Rig();
  rig.trust.known.set("bob", bob.publicKey);
  await rig.announce("192.168.1.20");
  const connecting = rig.connect();
  await settled();
  // Before bob can answer.
  const other = {
    instance: instanceOf("bob", "0123456789ab"),
    name: "bob",
    key: mallory.publicKey,
    port: 8080,
    addresses: ["192.168.1.66"],
  };
  rig.network.send(encodeAnnouncement(other), "192.168.1.66");
  assertEquals((await connecting).remoteKey, bob.publicKey);
  assertEquals(rig.dialled, ["192.168.1.20:8080"]);
  assertEquals(rig.warned.length, 1);
  assertStringIncludes(rig.warned[0]!, fingerprint(mallory.publicKey));
});

Deno.test("NearbyRoute refuses a known name that only another key announces, undialled", async () => {
  await using rig = new Rig();
  rig.trust.known.set("bob", bob.publicKey);
  await rig.announce("192.168.1.66", { identity: mallory });
  assertInstanceOf(await refusal(rig), IdentityError);
  assertEquals(rig.dialled, []);
});

Deno.test("NearbyRoute shows our key to nobody who announces a key that is not his", async () => {
  await using rig = new Rig();
  await rig.announce("192.168.1.66", { identity: mallory, key: bob.publicKey });
  const error = await refusal(rig);
  assertInstanceOf(error, IdentityError);
  assertStringIncludes(error.message, "another key answers there");
  assertEquals(rig.trust.known.size, 0);
});

Deno.test("NearbyRoute says so when nobody announces the name, after 1.5 s and two questions", async () => {
  await using rig = new Rig();
  const begun = rig.clock.now();
  const error = await refusal(rig);
  assertInstanceOf(error, UnreachableError);
  assertEquals(error.message, "Nobody on this network announces the name bob");
  assertStringIncludes(error.hint!, "p2p listen --announce");
  assertEquals(rig.clock.now() - begun, 1_500);
  assertEquals(rig.network.sent.length, 2);
});

Deno.test("NearbyRoute says so when who announces the name cannot be reached", async () => {
  await using rig = new Rig();
  await rig.announce("192.168.1.20");
  rig.at.get("192.168.1.20:8080")!.close();
  rig.at.delete("192.168.1.20:8080");
  const error = await refusal(rig);
  assertInstanceOf(error, UnreachableError);
  assertStringIncludes(error.message, "Could not reach bob on this network");
  assertStringIncludes(error.hint!, "firewall");
});

Deno.test("NearbyRoute: a session that was lost finds its peer at its new address", async () => {
  await using rig = new Rig();
  const announcing = await rig.announce("192.168.1.20");
  const session = await rig.connect();
  await announcing[Symbol.asyncDispose]();
  // The same listener, which knows the session, has moved.
  rig.at.set("192.168.1.40:8080", rig.at.get("192.168.1.20:8080")!);
  rig.at.delete("192.168.1.20:8080");
  const moved = await Announcing.begin({
    name: "bob",
    key: bob.publicKey,
    port: 8080,
    clock: rig.clock,
    open: rig.network.at("192.168.1.40"),
    links: () => linksAt("192.168.1.40"),
    network: { subscribe: () => () => {} },
  });
  const found = await rig.clock.until(rig.route.connect(rig.controller.signal, session), 5_000);
  assertEquals(rig.dialled.at(-1), "192.168.1.40:8080");
  found.connection.close();
  await moved[Symbol.asyncDispose]();
});

Deno.test("NearbyRoute: what calls the search off ends it at once", async () => {
  await using rig = new Rig();
  const session = dialSession(rig.route, {
    name: "alice",
    clock: rig.clock,
    signal: rig.controller.signal,
  });
  await settled();
  rig.controller.abort(new Error("Interrupted"));
  await assertRejects(() => session, Error, "Interrupted");
});

/** A route of which the test says what becomes. */
class Scripted implements Route {
  readonly target = "bob";
  tries = 0;
  aborted = false;
  admitted = 0;
  readonly outcome = Promise.withResolvers<Found>();

  connect(signal: AbortSignal): Promise<Found> {
    this.tries++;
    signal.addEventListener("abort", () => {
      this.aborted = true;
      this.outcome.reject(signal.reason);
    });
    return this.outcome.promise;
  }

  admit(): Promise<void> {
    this.admitted++;
    return Promise.resolve();
  }
}

/** Something that was found, and whether it was closed. */
function found(): Found & { closed: boolean } {
  const each = {
    closed: false,
    connection: { close: () => each.closed = true },
    better: (async function* () {})(),
    close: () => {},
  };
  return each as unknown as Found & { closed: boolean };
}

function either(known: boolean) {
  const [relayed, nearby] = [new Scripted(), new Scripted()];
  const keysOf = () => Promise.resolve(known ? [bob.publicKey] : []);
  const { signal } = new AbortController();
  const route = new EitherRoute(relayed, nearby, { keysOf });
  return { relayed, nearby, route, signal };
}

Deno.test("EitherRoute: with a known name the first wins, and the other is called off", async () => {
  for (const first of ["relayed", "nearby"] as const) {
    const { route, signal, ...routes } = either(true);
    const taken = route.connect(signal);
    await settled();
    assertEquals([routes.relayed.tries, routes.nearby.tries], [1, 1]);
    const won = found();
    routes[first].outcome.resolve(won);
    assertEquals(await taken, won);
    const other = first === "nearby" ? "relayed" : "nearby";
    assertEquals([routes[first].aborted, routes[other].aborted], [false, true]);
    await route.admit("bob", bob.publicKey);
    assertEquals([routes[first].admitted, routes[other].admitted], [1, 0]);
  }
});

Deno.test("EitherRoute closes what comes too late", async () => {
  const { route, relayed, nearby, signal } = either(true);
  const [won, late] = [found(), found()];
  const taken = route.connect(signal);
  nearby.outcome.resolve(won);
  relayed.outcome.resolve(late);
  await taken;
  await settled();
  assert(won.closed !== late.closed);
});

Deno.test("EitherRoute: a new name is the relay's to tell", async () => {
  const { route, relayed, nearby, signal } = either(false);
  const taken = route.connect(signal);
  await settled();
  assertEquals([relayed.tries, nearby.tries], [1, 0]);
  const won = found();
  relayed.outcome.resolve(won);
  assertEquals(await taken, won);
  assertEquals(nearby.tries, 0);
});

Deno.test("EitherRoute: who is not at the relay is looked for on the network", async () => {
  const { route, relayed, nearby, signal } = either(false);
  relayed.outcome.reject(new UnreachableError("Nobody is called bob at the relay"));
  const won = found();
  nearby.outcome.resolve(won);
  assertEquals(await route.connect(signal), won);
});

for (
  const [known, relayed, nearby, wanted] of [
    [false, new RefusedError("password"), undefined, "password"],
    [false, new IdentityError("changed"), undefined, "changed"],
    [false, new UnreachableError("not there"), new UnreachableError("nor here"), "not there"],
    [false, new UnreachableError("not there"), new SeveralError("two"), "two"],
    [true, new UnreachableError("not there"), new UnreachableError("nor here"), "not there"],
    [true, new UnreachableError("not there"), new IdentityError("changed"), "changed"],
    [true, new UnreachableError("not there"), new P2pError("port taken"), "not there"],
    [true, new IdentityError("there"), new IdentityError("here"), "there"],
  ] as const
) {
  const name = `${known ? "a known" : "a new"} name, ${relayed.message}, ${nearby?.message}`;
  Deno.test(`EitherRoute tells the more telling: ${name}`, async () => {
    const { route, signal, ...routes } = either(known);
    routes.relayed.outcome.reject(relayed);
    if (nearby) routes.nearby.outcome.reject(nearby);
    await assertRejects(() => route.connect(signal), Error, wanted);
    assertEquals(routes.nearby.tries, nearby ? 1 : 0);
  });
}
