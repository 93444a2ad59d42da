import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { dialSecure } from "../../peer/dial_secure.ts";
import { dialSession } from "../../peer/dialer.ts";
import { Listener } from "../../peer/listener.ts";
import {
  MemberRoute,
  type MemberRouteOptions,
  type MemberTarget,
  RELAY_AFTER_MS,
  STAGGER_MS,
} from "../../peer/member_route.ts";
import type { Found, KnownPeer, Route } from "../../peer/route.ts";
import type { Session } from "../../peer/session.ts";
import { type Address, formatAddress, parseAddress } from "../../protocol/address.ts";
import type { Connection } from "../../protocol/connection.ts";
import { IdentityError, RefusedError, UnreachableError } from "../../protocol/errors.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { connectionPair } from "../fakes/connection_pair.ts";

const [alice, bob, mallory] = [generateKeyPair(), generateKeyPair(), generateKeyPair()];
const RELAY = "relay.example:8080";

/** What becomes of a connection to an address. */
type Fate = "bob" | "mallory" | "nobody" | "silence";

/** The way through a relay, of which the test says where it leads. */
class RelayRoute implements Route {
  readonly asked: (KnownPeer | undefined)[] = [];
  readonly target: string;
  readonly #connect: () => Promise<Found>;

  constructor(target: string, connect: () => Promise<Found>) {
    this.target = target;
    this.#connect = connect;
  }

  connect(_signal: AbortSignal, peer?: KnownPeer): Promise<Found> {
    this.asked.push(peer);
    return this.#connect();
  }

  admit(): Promise<void> {
    throw new Error("The member's route admits");
  }
}

/** Somebody called bob, somebody who is not, and the way to bob. */
class Rig implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly controller = new AbortController();
  readonly fates: Record<string, Fate> = {};
  readonly dialled: string[] = [];
  readonly admitted: string[] = [];
  readonly relays: RelayRoute[] = [];
  relayLeadsTo: Fate = "nobody";
  own: Address[] = [];
  member: MemberTarget = { key: bob.publicKey, name: "bob", addresses: [], relay: undefined };
  readonly route: MemberRoute;
  readonly #bob = this.#listen(bob);
  readonly #mallory = this.#listen(mallory);

  constructor(given: Partial<MemberRouteOptions> = {}) {
    this.route = new MemberRoute({
      identity: alice,
      clock: this.clock,
      member: () => this.member,
      admit: (name) => Promise.resolve(void this.admitted.push(name)),
      ownAddresses: () => this.own,
      relay: { address: RELAY, route: (name) => this.#relay(name) },
      dial: (address, signal) => this.#dial(formatAddress(address), signal),
      ...given,
    });
  }

  /** Bob tells these addresses; what becomes of connections there. */
  tells(fates: Record<string, Fate>): void {
    Object.assign(this.fates, fates);
    this.member = {
      ...this.member,
      addresses: Object.keys(fates).map((each) => parseAddress(each)),
    };
  }

  connect(): Promise<Session> {
    const { clock, controller: { signal } } = this;
    const session = dialSession(this.route, { name: "alice", clock, signal });
    session.catch(() => {});
    return session;
  }

  connected(): Promise<Session> {
    return this.clock.until(this.connect(), 20_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.controller.abort(new Error("The test has ended"));
    await settled();
    this.#bob.close();
    this.#mallory.close();
    await settled();
  }

  #relay(name: string): Route {
    const route = new RelayRoute(name, async () => ({
      connection: await this.#secured(),
      better: (async function* () {})(),
      close: () => {},
    }));
    this.relays.push(route);
    return route;
  }

  async #secured() {
    if (this.relayLeadsTo !== "bob") throw new UnreachableError("Nobody is called bob there");
    const { signal } = this.controller;
    const dial = () => Promise.resolve(this.#take(this.#bob, "203.0.113.1:1"));
    const options = { identity: alice, clock: this.clock, signal, checkKey: () => {}, dial };
    return await dialSecure({ host: "203.0.113.1", port: 1 }, options);
  }

  #listen(identity: typeof bob): Listener {
    const admit = () => Promise.resolve();
    const name = () => "bob";
    return new Listener({ host: "127.0.0.1", port: 0, identity, name, admit, clock: this.clock });
  }

  #take(listener: Listener, address: string): Connection {
    const [ours, theirs] = connectionPair({ remotes: [address, "192.168.1.10:50000"] });
    listener.take(theirs);
    return ours;
  }

  #dial(address: string, signal: AbortSignal): Promise<Connection> {
    this.dialled.push(address);
    const fate = this.fates[address];
    if (fate === "bob") return Promise.resolve(this.#take(this.#bob, address));
    if (fate === "mallory") return Promise.resolve(this.#take(this.#mallory, address));
    if (fate !== "silence") {
      return Promise.reject(new UnreachableError(`Could not connect to ${address}: refused`));
    }
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  }
}

Deno.test("MemberRoute leads to a member at the first of its addresses that answers", async () => {
  await using rig = new Rig();
  rig.tells({ "10.0.0.1:1": "nobody", "10.0.0.2:1": "bob", "10.0.0.3:1": "bob" });
  const session = await rig.connected();
  assertEquals(session.remoteKey, bob.publicKey);
  assertEquals(rig.dialled.slice(0, 2), ["10.0.0.1:1", "10.0.0.2:1"]);
  assertEquals(rig.admitted, ["bob"]);
  assertEquals(rig.relays, [], "no relay is told");
});

Deno.test("MemberRoute dials the next address when one has been silent for a moment", async () => {
  await using rig = new Rig();
  rig.tells({ "10.0.0.1:1": "silence", "10.0.0.2:1": "silence", "10.0.0.3:1": "bob" });
  const connecting = rig.connect();
  await settled();
  assertEquals(rig.dialled.length, 1);
  await rig.clock.advance(STAGGER_MS);
  assertEquals(rig.dialled.length, 2);
  await rig.clock.advance(STAGGER_MS);
  assertEquals((await connecting).remote, "10.0.0.3:1");
});

Deno.test("MemberRoute: an address where another key answers hides no other", async () => {
  await using rig = new Rig();
  rig.tells({ "10.0.0.1:1": "mallory", "10.0.0.2:1": "bob" });
  assertEquals((await rig.connected()).remoteKey, bob.publicKey);
});

Deno.test("MemberRoute: where another key answers everywhere, nobody is reached", async () => {
  await using rig = new Rig();
  rig.tells({ "10.0.0.1:1": "mallory", "10.0.0.2:1": "mallory" });
  const error = await assertRejects(() => rig.connected(), UnreachableError);
  assertEquals(error.message, "Could not reach bob: another key answers there");
  assertInstanceOf(error.cause, IdentityError);
  assertEquals(rig.admitted, []);
});

Deno.test("MemberRoute does not dial our own listener", async () => {
  await using rig = new Rig();
  rig.own = [{ host: "10.0.0.1", port: 1 }];
  rig.tells({ "10.0.0.1:1": "bob", "10.0.0.1:2": "bob" });
  assertEquals((await rig.connected()).remote, "10.0.0.1:2");
  assertEquals(rig.dialled, ["10.0.0.1:2"]);
});

Deno.test("MemberRoute: a member without addresses is out of reach at once", async () => {
  await using rig = new Rig();
  const begun = rig.clock.now();
  const error = await assertRejects(() => rig.connected(), UnreachableError);
  assertEquals(error.message, "Could not reach bob: there is no address to reach it at");
  assertEquals(rig.clock.now(), begun);
});

Deno.test("MemberRoute asks our relay for who is registered there, when addresses are silent", async () => {
  await using rig = new Rig();
  rig.member = { ...rig.member, relay: RELAY.toUpperCase() };
  rig.relayLeadsTo = "bob";
  rig.tells({ "10.0.0.1:1": "silence" });
  const connecting = rig.connect();
  await rig.clock.advance(RELAY_AFTER_MS - 1);
  assertEquals(rig.relays[0]!.asked.length, 0);
  await rig.clock.advance(1);
  assertEquals((await connecting).remoteKey, bob.publicKey);
  assertEquals(rig.relays[0]!.asked[0]?.remoteKey, bob.publicKey, "its key is pinned");
});

Deno.test("MemberRoute asks our relay at once when all addresses have failed", async () => {
  await using rig = new Rig();
  rig.member = { ...rig.member, relay: RELAY };
  rig.relayLeadsTo = "bob";
  rig.tells({ "10.0.0.1:1": "nobody" });
  const begun = rig.clock.now();
  const connecting = rig.connect();
  await settled();
  await settled();
  assertEquals((await connecting).remote, "203.0.113.1:1");
  assertEquals(rig.clock.now(), begun);
});

Deno.test("MemberRoute does not ask the relay where an address leads to the member", async () => {
  await using rig = new Rig();
  rig.member = { ...rig.member, relay: RELAY };
  rig.tells({ "10.0.0.1:1": "bob" });
  await rig.connected();
  await rig.clock.advance(5_000);
  assertEquals(rig.relays[0]!.asked, []);
});

Deno.test("MemberRoute asks no relay but our own, and no address where all goes through it", async () => {
  await using other = new Rig();
  other.member = { ...other.member, relay: "elsewhere.example:8080" };
  await assertRejects(() => other.connected(), UnreachableError);
  assertEquals(other.relays, []);
  await using only = new Rig({ relayOnly: true });
  only.member = { ...only.member, relay: RELAY };
  only.relayLeadsTo = "bob";
  only.tells({ "10.0.0.1:1": "bob" });
  await only.connected();
  assertEquals(only.dialled, []);
});

Deno.test("MemberRoute: what the relay says counts where nothing leads to the member", async () => {
  await using rig = new Rig();
  rig.member = { ...rig.member, relay: RELAY };
  rig.tells({ "10.0.0.1:1": "nobody" });
  const error = await assertRejects(() => rig.connected(), UnreachableError);
  assertEquals(error.message, "Nobody is called bob there");
});

Deno.test("MemberRoute: whoever may not come in is not taken", async () => {
  await using rig = new Rig({ admit: () => Promise.reject(new RefusedError("sent away")) });
  rig.tells({ "10.0.0.1:1": "bob" });
  await assertRejects(() => rig.connected(), RefusedError, "sent away");
});

Deno.test("MemberRoute: a session that was lost goes on where its member is now", async () => {
  await using rig = new Rig();
  rig.tells({ "10.0.0.1:1": "bob" });
  const session = await rig.connected();
  rig.fates["10.0.0.1:1"] = "mallory";
  rig.tells({ "10.0.0.1:1": "mallory", "10.0.0.9:1": "bob" });
  const found = await rig.route.connect(rig.controller.signal, session);
  assertEquals(found.connection.remote, "10.0.0.9:1");
  found.connection.close();
});

Deno.test("MemberRoute: what calls the attempt off ends it at once, and leaves no timer", async () => {
  await using rig = new Rig();
  rig.tells({ "10.0.0.1:1": "silence", "10.0.0.2:1": "silence" });
  const connecting = rig.route.connect(rig.controller.signal);
  await settled();
  rig.controller.abort(new Error("Interrupted"));
  await assertRejects(() => connecting, Error, "Interrupted");
  await settled();
  assertEquals(rig.clock.pending, 0);
  assertEquals(rig.dialled.length, 1);
});
