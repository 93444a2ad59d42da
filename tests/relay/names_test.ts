import { assertEquals, assertStrictEquals } from "@std/assert";
import { NAME_GRACE_MS } from "../../protocol/limits.ts";
import { newCounters } from "../../relay/counters.ts";
import { type Holder, type HolderKind, Names } from "../../relay/names.ts";
import { sourceOf } from "../../relay/source.ts";

const ALICES_KEY = new Uint8Array(32).fill(1);
const MALLORYS_KEY = new Uint8Array(32).fill(2);

class TestHolder implements Holder {
  name: string | undefined;
  readonly source: string;
  timesReplaced = 0;

  constructor(
    readonly kind: HolderKind,
    readonly ip = "192.0.2.1",
    readonly key?: Uint8Array,
  ) {
    this.source = sourceOf(ip);
  }

  replaced(): void {
    this.timesReplaced++;
  }
}

class ControlHolder extends TestHolder {
  constructor(key: Uint8Array, ip?: string) {
    super("control", ip, key);
  }
}

class UdpHolder extends TestHolder {
  constructor(ip?: string) {
    super("udp", ip);
  }
}

class WebSocketHolder extends TestHolder {
  constructor(ip?: string) {
    super("websocket", ip);
  }
}

function rig(limits: { maxRegistrations?: number; registrationsPerAddress?: number } = {}) {
  const { registrations } = newCounters();
  const names = new Names({
    limits: { maxRegistrations: 100, registrationsPerAddress: 10, ...limits },
    registrations,
  });
  return { names, registrations };
}

Deno.test("A name is found over the carrier it was registered over, and over no other", () => {
  const { names } = rig();
  const alice = new ControlHolder(ALICES_KEY);
  assertEquals(names.register("alice", alice, 0), undefined);
  assertStrictEquals(names.find("alice", ControlHolder), alice);
  assertEquals(names.find("alice", UdpHolder), undefined);
  assertEquals(names.find("bob", ControlHolder), undefined);
});

Deno.test("Names are compared in NFC, and bad ones are refused", () => {
  const { names } = rig();
  const alice = new ControlHolder(ALICES_KEY);
  assertEquals(names.register("Jose\u0301", alice, 0), undefined);
  assertEquals(alice.name, "Jos\u00e9");
  assertStrictEquals(names.find("Jos\u00e9", ControlHolder), alice);
  assertStrictEquals(names.find("Jose\u0301", ControlHolder), alice);
  for (const bad of ["", " a", "a\u202e", "1.2.3.4:80", "p2p", "x".repeat(65), "\ud800"]) {
    assertEquals(names.register(bad, new UdpHolder(), 0), "BadName", bad);
    assertEquals(names.find(bad, UdpHolder), undefined);
  }
});

Deno.test("A name is not taken from its key, neither by another key nor by one without", () => {
  const { names } = rig();
  const alice = new ControlHolder(ALICES_KEY);
  names.register("alice", alice, 0);
  const thieves = [new ControlHolder(MALLORYS_KEY), new UdpHolder(), new WebSocketHolder()];
  for (const thief of thieves) assertEquals(names.register("alice", thief, 0), "NameTaken");
  assertStrictEquals(names.find("alice", ControlHolder), alice);
  assertEquals(alice.timesReplaced, 0);
});

Deno.test("The same key replaces its connection, which is told and can no longer free the name", () => {
  const { names, registrations } = rig();
  const [before, after] = [new ControlHolder(ALICES_KEY), new ControlHolder(ALICES_KEY)];
  names.register("alice", before, 0);
  assertEquals(names.register("alice", after, 0), undefined);
  assertEquals([before.timesReplaced, before.name], [1, undefined]);
  names.lost(before, 0);
  names.leave(before);
  assertStrictEquals(names.find("alice", ControlHolder), after);
  assertEquals(registrations.control, 1);
});

for (const keyless of [new UdpHolder(), new WebSocketHolder()]) {
  Deno.test(`A key takes a name from ${keyless.kind}`, () => {
    const { names, registrations } = rig();
    names.register("alice", keyless, 0);
    const alice = new ControlHolder(ALICES_KEY);
    assertEquals(names.register("alice", alice, 0), undefined);
    assertEquals(keyless.timesReplaced, 1);
    assertEquals(registrations, { control: 1, udp: 0, websocket: 0 });
  });
}

Deno.test("Over UDP another port of the same IP address takes a name, another address does not", () => {
  const { names } = rig();
  const before = new UdpHolder("192.0.2.1");
  names.register("anna", before, 0);
  assertEquals(names.register("anna", new UdpHolder("192.0.2.2"), 0), "NameTaken");
  const after = new UdpHolder("192.0.2.1");
  assertEquals(names.register("anna", after, 0), undefined);
  assertEquals(before.timesReplaced, 1);
  assertStrictEquals(names.find("anna", UdpHolder), after);
});

Deno.test("A WebSocket's name is no other's, from the same address either", () => {
  const { names } = rig();
  names.register("anna", new WebSocketHolder(), 0);
  assertEquals(names.register("anna", new WebSocketHolder(), 0), "NameTaken");
  assertEquals(names.register("anna", new UdpHolder(), 0), "NameTaken");
});

Deno.test("A lost connection's name is kept for its key, cannot be found, and falls free", () => {
  const { names, registrations } = rig();
  const alice = new ControlHolder(ALICES_KEY);
  names.register("alice", alice, 0);
  names.lost(alice, 1_000);
  assertEquals(names.find("alice", ControlHolder), undefined);
  assertEquals(registrations.control, 1);
  const thief = new ControlHolder(MALLORYS_KEY);
  assertEquals(names.register("alice", thief, 1_000 + NAME_GRACE_MS - 1), "NameTaken");
  assertEquals(names.register("alice", thief, 1_000 + NAME_GRACE_MS), undefined);
  assertStrictEquals(names.find("alice", ControlHolder), thief);
  assertEquals(registrations.control, 1);
});

Deno.test("The same key takes a kept name back", () => {
  const { names, registrations } = rig();
  const alice = new ControlHolder(ALICES_KEY);
  names.register("alice", alice, 0);
  names.lost(alice, 0);
  const back = new ControlHolder(ALICES_KEY, "198.51.100.1");
  assertEquals(names.register("alice", back, 5_000), undefined);
  assertStrictEquals(names.find("alice", ControlHolder), back);
  // The time of the keeping is over without effect.
  names.register("bob", new UdpHolder(), NAME_GRACE_MS + 1);
  assertStrictEquals(names.find("alice", ControlHolder), back);
  assertEquals(registrations, { control: 1, udp: 1, websocket: 0 });
});

Deno.test("Who leaves, and who is lost without a key, frees the name at once", () => {
  const { names } = rig();
  const alice = new ControlHolder(ALICES_KEY);
  names.register("alice", alice, 0);
  names.leave(alice);
  const anna = new WebSocketHolder();
  assertEquals(names.register("alice", anna, 0), undefined);
  names.lost(anna, 0);
  assertEquals(names.size, 0);
});

Deno.test("A holder has one name: another one frees the first, a refused one does not", () => {
  const { names } = rig();
  const alice = new ControlHolder(ALICES_KEY);
  names.register("alice", alice, 0);
  names.register("taken", new ControlHolder(MALLORYS_KEY), 0);
  assertEquals(names.register("taken", alice, 0), "NameTaken");
  assertStrictEquals(names.find("alice", ControlHolder), alice);
  assertEquals(names.register("alicia", alice, 0), undefined);
  assertEquals(names.find("alice", ControlHolder), undefined);
  assertEquals(names.size, 2);
});

Deno.test("Of 1,000 names that one address registers it gets as many as are allowed", () => {
  const { names } = rig({ maxRegistrations: 10_000, registrationsPerAddress: 64 });
  const answers = Array.from(
    { length: 1_000 },
    (_, i) => names.register(`n${i}`, new UdpHolder("2001:db8:1:2::" + i.toString(16)), 0),
  );
  assertEquals(answers.filter((answer) => answer === undefined).length, 64);
  assertEquals(new Set(answers.slice(64)), new Set(["TooMany"]));
  assertEquals(names.register("other", new UdpHolder("2001:db8:1:3::1"), 0), undefined);
});

Deno.test("Names that are kept count for their address, until they fall free", () => {
  const { names } = rig({ registrationsPerAddress: 1 });
  const alice = new ControlHolder(ALICES_KEY);
  names.register("alice", alice, 0);
  names.lost(alice, 0);
  assertEquals(names.register("other", new WebSocketHolder(), 1), "TooMany");
  assertEquals(names.register("alice", new ControlHolder(ALICES_KEY), 1), undefined);
  assertEquals(names.register("other", new WebSocketHolder(), NAME_GRACE_MS + 1), "TooMany");
});

Deno.test("A full table refuses new names, and lets those who have one change it", () => {
  const { names } = rig({ maxRegistrations: 2 });
  const alice = new ControlHolder(ALICES_KEY);
  names.register("alice", alice, 0);
  names.register("anna", new UdpHolder(), 0);
  assertEquals(names.register("bob", new UdpHolder(), 0), "Full");
  assertEquals(names.register("alicia", alice, 0), undefined);
  assertEquals(names.register("anna", new ControlHolder(MALLORYS_KEY), 0), undefined);
  assertEquals(names.size, 2);
});

Deno.test("Names over UDP never fill the table: who has proven an address finds room", () => {
  const { names, registrations } = rig({ maxRegistrations: 10 });
  const refusals = Array.from(
    { length: 20 },
    (_, i) => names.register(`udp ${i}`, new UdpHolder(`198.51.100.${i}`), 0),
  );
  assertEquals(refusals.filter((refusal) => refusal === "Full").length, 15);
  for (let i = 0; i < 5; i++) {
    const holder = i % 2 ? new WebSocketHolder() : new ControlHolder(ALICES_KEY);
    assertEquals(names.register(`proven ${i}`, holder, 0), undefined);
  }
  assertEquals(names.register("more", new ControlHolder(ALICES_KEY), 0), "Full");
  assertEquals(registrations, { control: 3, udp: 5, websocket: 2 });
});

Deno.test("Names that are registered over UDP in an address's name leave it as many as before", () => {
  const { names } = rig({ registrationsPerAddress: 2 });
  const forged = Array.from({ length: 3 }, (_, i) => names.register(`${i}`, new UdpHolder(), 0));
  assertEquals(forged, [undefined, undefined, "TooMany"]);
  const alice = new ControlHolder(ALICES_KEY);
  assertEquals(names.register("alice", alice, 0), undefined);
  assertEquals(names.register("0", new ControlHolder(ALICES_KEY), 0), undefined);
  assertEquals(names.register("1", new ControlHolder(ALICES_KEY), 0), "TooMany");
});
