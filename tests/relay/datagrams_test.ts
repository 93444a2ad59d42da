import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { MAX_DATAGRAM_BYTES } from "../../protocol/limits.ts";
import { encodeRendezvous } from "../../protocol/rendezvous.ts";
import { decodeStunAnswer, encodeStunRequest, type StunAnswer } from "../../protocol/stun.ts";
import { serveDatagrams } from "../../relay/datagrams.ts";
import type { Holder } from "../../relay/names.ts";
import { settled } from "../fakes/clock.ts";
import { FakeDatagrams } from "../fakes/datagrams.ts";
import {
  type FakeRelayContext,
  fakeRelayContext,
  type FakeRelayOptions,
} from "../fakes/relay_context.ts";

const ANNA = "203.0.113.7:8";
const BOB = "198.51.100.4:9";
const EVE = "192.0.2.66:6666";
const ALLOWANCE = 512;

const registers = (name: string) => JSON.stringify({ Register: { username: name } });
const asksFor = (name: string) => JSON.stringify({ Connect: { target_username: name } });
const meets = (peer: string, name: string) =>
  `{"PeerInfo":{"peer":"${peer}","username":"${name}"}}`;

const TRANSACTION = Uint8Array.fromHex("b7e7a701bc34d686fa87dfae");

interface StunAnswers {
  main: StunAnswer | undefined;
  stun: StunAnswer | undefined;
}

/** A STUN request of no more than its header and these attributes. */
function stunRequest(attributes = ""): Uint8Array {
  const length = (attributes.length / 2).toString(16).padStart(4, "0");
  return Uint8Array.fromHex(`0001${length}2112a442${TRANSACTION.toHex()}${attributes}`);
}

function sum(...all: Map<string, number>[]): Map<string, number> {
  const total = new Map<string, number>();
  for (const [key, count] of all.flatMap((each) => [...each])) {
    total.set(key, (total.get(key) ?? 0) + count);
  }
  return total;
}

/** A relay's UDP side on sockets in memory. */
class Rig implements AsyncDisposable {
  readonly context: FakeRelayContext;
  readonly socket: FakeDatagrams;
  readonly stun: FakeDatagrams;
  readonly #served: Promise<void>;

  /** @param options.host what the sockets are bound to */
  constructor({ host = "::", ...options }: FakeRelayOptions & { host?: string } = {}) {
    this.context = fakeRelayContext(options);
    this.socket = new FakeDatagrams({ host, port: 8_080 });
    this.stun = new FakeDatagrams({ host, port: 8_081 });
    this.#served = serveDatagrams([{ main: this.socket, stun: this.stun }], this.context);
  }

  /** With Anna and Bob, who are registered. */
  static async withTwo(): Promise<Rig> {
    const rig = new Rig();
    await rig.says(ANNA, registers("anna"));
    await rig.says(BOB, registers("bob"));
    return rig;
  }

  says(from: string, ...contents: (string | Uint8Array)[]): Promise<string[]> {
    return this.socket.says(from, ...contents);
  }

  /** Lets a STUN request come there; resolves to what each of the two ports answers. */
  async asks(at: FakeDatagrams, from: string, request: Uint8Array): Promise<StunAnswers> {
    at.comes(from, request);
    await settled();
    const [main, stun] = [this.socket, this.stun].map((socket) => {
      const [sent] = socket.takeSent();
      assertEquals(sent?.to ?? from, from);
      return sent && decodeStunAnswer(sent.bytes, TRANSACTION);
    });
    return { main, stun };
  }

  /** Bytes that came from each IP address, over both ports. */
  get brought(): Map<string, number> {
    return sum(this.socket.brought, this.stun.brought);
  }

  /** Bytes that were sent to each IP address, over both ports. */
  get given(): Map<string, number> {
    return sum(this.socket.given, this.stun.given);
  }

  async advance(ms: number): Promise<string[]> {
    await this.context.clock.advance(ms);
    return await this.socket.answers();
  }

  get registered(): number {
    return this.context.counters.registrations.udp;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close();
    this.stun.close();
    await this.#served;
    assertEquals(this.registered, 0, "a name is left behind");
    assertEquals(this.context.clock.pending, 0, "a timer is left behind");
  }
}

Deno.test("two UDP clients are introduced to each other, byte for byte as Peer-Punch does it", async () => {
  await using rig = new Rig();
  assertEquals(await rig.says(ANNA, '{"Register":{"username":"anna"}}'), [`${ANNA} "RegisterAck"`]);
  assertEquals(await rig.says(BOB, '{"Register":{"username":"bob"}}'), [`${BOB} "RegisterAck"`]);
  assertEquals(await rig.says(ANNA, '{"Connect":{"target_username":"bob"}}'), [
    `${ANNA} {"PeerInfo":{"peer":"198.51.100.4:9","username":"bob"}}`,
    `${BOB} {"PeerInfo":{"peer":"203.0.113.7:8","username":"anna"}}`,
  ]);
  assertEquals(rig.context.counters.introductions, 1);
});

Deno.test("UDP clients with IPv6 addresses are introduced with them", async () => {
  await using rig = new Rig();
  await rig.says("[2001:db8::1]:5", registers("anna"));
  await rig.says("[2001:db8:1::2]:6", registers("bob"));
  assertEquals(await rig.says("[2001:db8::1]:5", asksFor("bob")), [
    `[2001:db8::1]:5 ${meets("[2001:db8:1::2]:6", "bob")}`,
    `[2001:db8:1::2]:6 ${meets("[2001:db8::1]:5", "anna")}`,
  ]);
});

Deno.test("a name that nobody holds over UDP is not found", async () => {
  await using rig = await Rig.withTwo();
  assertEquals(await rig.says(ANNA, asksFor("carol")), [`${ANNA} "TargetNotFound"`]);
  const carol: Holder = {
    kind: "websocket",
    ip: "1.2.3.4",
    source: "1.2.3.4",
    name: undefined,
    replaced() {},
  };
  rig.context.names.register("carol", carol, 0);
  assertEquals(await rig.says(ANNA, asksFor("carol")), [`${ANNA} "TargetNotFound"`]);
  assertEquals(await rig.says(ANNA, asksFor("anna")), [`${ANNA} "TargetNotFound"`]);
});

Deno.test("who was introduced is busy until they say that they are done, or ask again themselves", async () => {
  await using rig = await Rig.withTwo();
  await rig.says(EVE, registers("eve"));
  await rig.says(ANNA, asksFor("bob"));
  assertEquals(await rig.says(EVE, asksFor("bob")), [`${EVE} "TargetBusy"`]);
  assertEquals(await rig.says(EVE, asksFor("anna")), [`${EVE} "TargetBusy"`]);
  assertEquals(await rig.says(BOB, '"SessionFinished"'), []);
  assertEquals((await rig.says(EVE, asksFor("bob"))).length, 2);
  assertEquals(await rig.says(EVE, asksFor("anna")), [`${EVE} "TargetBusy"`]);
  assertEquals(await rig.says(ANNA, asksFor("nobody")), [`${ANNA} "TargetNotFound"`]);
  assertEquals((await rig.says(EVE, asksFor("anna"))).length, 2);
});

Deno.test("who asks for the same target again is introduced again: an answer may have been lost", async () => {
  await using rig = await Rig.withTwo();
  const told = [`${ANNA} ${meets(BOB, "bob")}`, `${BOB} ${meets(ANNA, "anna")}`];
  assertEquals(await rig.says(ANNA, asksFor("bob")), told);
  assertEquals(await rig.says(ANNA, asksFor("bob")), told);
  assertEquals(await rig.says(BOB, asksFor("anna")), told.toReversed());
});

Deno.test("who is not registered introduces nobody", async () => {
  await using rig = await Rig.withTwo();
  assertEquals(await rig.says(EVE, asksFor("bob"), asksFor("nobody"), '"SessionFinished"'), []);
});

Deno.test("a Ping is answered by a Pong, and the rest by nothing", async () => {
  await using rig = await Rig.withTwo();
  assertEquals(await rig.says(ANNA, '"Ping"'), [`${ANNA} "Pong"`]);
  assertEquals(await rig.says(EVE, '"Ping"'), [`${EVE} "Pong"`]);
  const others = [
    '"Pong"',
    '"RegisterAck"',
    '"TargetBusy"',
    '"Dance"',
    '{"Hello":{}}',
    '{"DirectMessage":{"content":"hi"}}',
    meets(BOB, "bob"),
    "hello",
    "{",
    "",
    "[".repeat(1_000),
    '{"Register":{}}',
    new Uint8Array([0xff, 0xfe]),
    new Uint8Array(MAX_DATAGRAM_BYTES + 1).fill(0x20),
  ];
  for (const datagram of others) assertEquals(await rig.says(ANNA, datagram), []);
});

Deno.test("a datagram over the limit is answered by nothing, though it says something", async () => {
  await using rig = new Rig();
  const padded = registers("anna") + " ".repeat(MAX_DATAGRAM_BYTES);
  assertEquals(await rig.says(ANNA, padded), []);
  assertEquals(await rig.says(ANNA, padded.slice(0, MAX_DATAGRAM_BYTES)), [
    `${ANNA} "RegisterAck"`,
  ]);
});

Deno.test("a name held by another address is busy, unless the IP address is the same", async () => {
  await using rig = await Rig.withTwo();
  assertEquals(await rig.says(EVE, registers("bob")), [`${EVE} "TargetBusy"`]);
  assertEquals(rig.context.counters.refusals.NameTaken, 1);
  assertEquals(await rig.says("198.51.100.4:10", registers("bob")), [
    '198.51.100.4:10 "RegisterAck"',
  ]);
  assertEquals(rig.registered, 2);
  assertEquals((await rig.says(ANNA, asksFor("bob")))[1], `198.51.100.4:10 ${meets(ANNA, "anna")}`);
  assertEquals(await rig.says(BOB, asksFor("anna")), []);
});

Deno.test("names are compared in NFC, and those that are not usable are answered by nothing", async () => {
  await using rig = new Rig();
  await rig.says(ANNA, registers("anna"));
  await rig.says(BOB, registers("b\u00f6b"));
  assertEquals((await rig.says(ANNA, asksFor("bo\u0308b"))).length, 2);
  for (const name of ["", " x", "a\u0000b", "\u202e", "x".repeat(65), "1.2.3.4:5", "p2p"]) {
    assertEquals(await rig.says(EVE, registers(name)), []);
  }
  assertEquals(rig.context.counters.refusals.BadName, 7);
  assertEquals(rig.registered, 2);
});

Deno.test("a client takes another name, repeats its own, and says goodbye", async () => {
  await using rig = await Rig.withTwo();
  assertEquals(await rig.says(ANNA, registers("anna")), [`${ANNA} "RegisterAck"`]);
  assertEquals(await rig.says(ANNA, registers("ann")), [`${ANNA} "RegisterAck"`]);
  assertEquals(await rig.says(ANNA, registers("bob")), [`${ANNA} "TargetBusy"`]);
  assertEquals(await rig.says(BOB, asksFor("anna")), [`${BOB} "TargetNotFound"`]);
  assertEquals((await rig.says(BOB, asksFor("ann"))).length, 2);
  assertEquals(rig.registered, 2);
  assertEquals(await rig.says(ANNA, '"Goodbye"'), []);
  assertEquals(rig.registered, 1);
  assertEquals(await rig.says(EVE, registers("ann")), [`${EVE} "RegisterAck"`]);
});

Deno.test("who is silent is sent a Ping after 20 s and 40 s, and forgotten after 60 s", async () => {
  await using rig = new Rig();
  await rig.says(ANNA, registers("anna"));
  assertEquals(await rig.advance(19_999), []);
  assertEquals(await rig.advance(1_001), [`${ANNA} "Ping"`]);
  assertEquals(await rig.advance(18_999), []);
  assertEquals(await rig.advance(1_001), [`${ANNA} "Ping"`]);
  assertEquals(rig.registered, 1);
  assertEquals(await rig.advance(20_000), []);
  assertEquals(rig.registered, 0);
  assertEquals(rig.context.clock.pending, 0);
});

for (const sign of ['"Pong"', "anything", encodeStunRequest(new Uint8Array(12))]) {
  Deno.test(`${sign} is a sign of life`, async () => {
    await using rig = new Rig();
    await rig.says(ANNA, registers("anna"));
    for (let round = 0; round < 3; round++) {
      await rig.advance(41_000);
      await rig.says(ANNA, sign);
      assertEquals(rig.registered, 1);
    }
    assertEquals(await rig.advance(21_000), [`${ANNA} "Ping"`]);
    await rig.advance(41_000);
    assertEquals(rig.registered, 0);
  });
}

Deno.test("who could not be heard while the machine slept is asked before they are forgotten", async () => {
  await using rig = new Rig();
  await rig.says(ANNA, registers("anna"));
  rig.context.clock.holdUp(3_600_000);
  assertEquals(await rig.advance(0), [`${ANNA} "Ping"`]);
  await rig.says(ANNA, '"Pong"');
  await rig.advance(15_000);
  assertEquals(rig.registered, 1);
});

Deno.test("a relay with a password takes no registrations over UDP, and answers STUN", async () => {
  await using rig = new Rig({ password: "sesame" });
  assertEquals(await rig.says(ANNA, registers("anna")), []);
  assertEquals(rig.context.counters.refusals.Password, 1);
  assertEquals((await rig.says(ANNA, encodeStunRequest(new Uint8Array(12)))).length, 1);
});

Deno.test("a relay that drains takes no registrations, and introduces whom it has", async () => {
  await using rig = await Rig.withTwo();
  rig.context.drain();
  assertEquals(await rig.says(EVE, registers("eve")), []);
  assertEquals(rig.context.counters.refusals.Draining, 1);
  assertEquals((await rig.says(ANNA, asksFor("bob"))).length, 2);
});

Deno.test("a full relay takes no more names over UDP", async () => {
  await using rig = new Rig({ limits: { maxRegistrations: 1, registrationsPerAddress: 1 } });
  await rig.says(ANNA, registers("anna"));
  assertEquals(await rig.says(BOB, registers("bob")), []);
  assertEquals(await rig.says("203.0.113.7:80", registers("hanna")), []);
  assertEquals(rig.context.counters.refusals.Full, 2);
  assertEquals(rig.registered, 1);
});

Deno.test("who speaks too fast is answered by nothing, and nobody else notices", async () => {
  await using rig = new Rig({ limits: { rate: 10 } });
  const pings = Array<string>(100).fill('"Ping"');
  assertEquals((await rig.says(ANNA, ...pings)).length, 40);
  assertEquals(rig.context.counters.refusals.TooFast, 60);
  assertEquals(await rig.says("203.0.113.7:9", '"Ping"'), []);
  assertEquals(await rig.says(BOB, '"Ping"'), [`${BOB} "Pong"`]);
  assert(rig.context.admission.maySpeak("203.0.113.7", 0), "its connections are slowed down, too");
  await rig.context.clock.advance(1_000);
  assertEquals((await rig.says(ANNA, ...pings)).length, 10);
});

for (
  const [family, from, host, unspecified] of [
    ["IPv4", EVE, "192.0.2.66", "0.0.0.0"],
    ["IPv6", "[2001:db8::1]:6666", "2001:db8::1", "::"],
  ] as const
) {
  const mapped = { host, port: 6_666 };

  Deno.test(`a STUN request over ${family} is told where it came from, and the other port, at both`, async () => {
    await using rig = new Rig();
    const request = encodeStunRequest(TRANSACTION);
    assertEquals(await rig.asks(rig.socket, from, request), {
      main: { mapped, other: { host: unspecified, port: 8_081 } },
      stun: undefined,
    });
    assertEquals(await rig.asks(rig.stun, from, request), {
      main: undefined,
      stun: { mapped, other: { host: unspecified, port: 8_080 } },
    });
  });

  Deno.test(`a STUN request over ${family} for another port is answered from the other one`, async () => {
    await using rig = new Rig();
    const request = encodeStunRequest(TRANSACTION, { changePort: true });
    assertEquals(await rig.asks(rig.socket, from, request), {
      main: undefined,
      stun: { mapped, other: { host: unspecified, port: 8_081 } },
    });
    assertEquals(await rig.asks(rig.stun, from, request), {
      main: { mapped, other: { host: unspecified, port: 8_080 } },
      stun: undefined,
    });
  });
}

Deno.test("a relay that is bound to one address names it with its other port", async () => {
  await using rig = new Rig({ host: "198.51.100.200" });
  const { main } = await rig.asks(rig.socket, EVE, encodeStunRequest(TRANSACTION));
  assertEquals(main?.other, { host: "198.51.100.200", port: 8_081 });
});

Deno.test("a STUN request that is too short for it is not told the other port", async () => {
  await using rig = new Rig();
  const { main } = await rig.asks(rig.socket, EVE, stunRequest());
  assertEquals(main, { mapped: { host: "192.0.2.66", port: 6_666 }, other: undefined });
});

Deno.test("a STUN request for another address is answered by nothing, with another port or without", async () => {
  await using rig = new Rig();
  for (const at of [rig.socket, rig.stun]) {
    for (const flags of ["00000004", "00000006"]) {
      const answers = await rig.asks(at, EVE, stunRequest(`00030004${flags}80220000`));
      assertEquals(answers, { main: undefined, stun: undefined });
    }
  }
});

Deno.test("a STUN request that is not understood is told so by the port that it went to", async () => {
  await using rig = new Rig();
  rig.socket.comes(EVE, stunRequest("00030004000000027fff0000"));
  await settled();
  assertEquals([rig.socket.takeSent().length, rig.stun.takeSent().length], [1, 0]);
});

Deno.test("the second port takes STUN alone, and is no sign of life", async () => {
  await using rig = new Rig();
  await rig.says(ANNA, registers("anna"));
  for (const message of [registers("eve"), '"Ping"', asksFor("anna"), '"Goodbye"']) {
    assertEquals(await rig.stun.says(ANNA, message), []);
  }
  assertEquals(rig.registered, 1);
  for (let seconds = 0; seconds < 60; seconds++) {
    rig.stun.comes(ANNA, encodeStunRequest(TRANSACTION));
    await rig.context.clock.advance(1_000);
  }
  assertEquals(rig.registered, 0);
});

Deno.test("both ports together hear no source faster than one", async () => {
  await using rig = new Rig({ limits: { rate: 10 } });
  for (let i = 0; i < 40; i++) {
    rig.socket.comes(EVE, encodeStunRequest(TRANSACTION));
    rig.stun.comes(EVE, encodeStunRequest(TRANSACTION));
  }
  await settled();
  assertEquals(rig.socket.takeSent().length + rig.stun.takeSent().length, 40);
});

Deno.test("the allowance of an address is one for both ports", async () => {
  await using rig = new Rig({ limits: { rate: Infinity } });
  for (let round = 0; round < 100; round++) {
    rig.socket.comes(EVE, stunRequest());
    rig.stun.comes(EVE, stunRequest());
  }
  await settled();
  // Each answer is 12 bytes longer than its request.
  const answers = rig.socket.takeSent().length + rig.stun.takeSent().length;
  assertEquals(answers, Math.floor(ALLOWANCE / 12));
});

Deno.test("STUN that is no request is answered by nothing", async () => {
  await using rig = new Rig();
  const request = encodeStunRequest(new Uint8Array(12));
  const response = request.slice();
  response.set([0x01, 0x01]);
  for (const bytes of [response, request.subarray(0, 30), new Uint8Array(20), new Uint8Array(1)]) {
    assertEquals(await rig.says(EVE, bytes), []);
  }
});

/** Every sort of datagram, in its shortest form: what an attacker would forge. */
const sorts: Record<string, string | Uint8Array> = {
  "a registration": registers("v"),
  "a name that is taken": registers("bob"),
  "a request for nobody": asksFor("x"),
  "a request for Bob": asksFor("bob"),
  "a Ping": '"Ping"',
  "SessionFinished": '"SessionFinished"',
  "a STUN request": Uint8Array.fromHex("000100002112a442000000000000000000000000"),
  "a STUN request for another port": stunRequest("0003000400000002"),
  "a STUN request of ours": encodeStunRequest(TRANSACTION),
  "a STUN request without the cookie": new Uint8Array(20).with(1, 1),
  "a STUN request with an unknown attribute": Uint8Array.fromHex(
    "000100042112a4420000000000000000000000007fff0000",
  ),
  "garbage": "?",
};

for (const [what, datagram] of Object.entries(sorts)) {
  Deno.test(`however often ${what} comes, its sender gets no more than it brought and the allowance`, async () => {
    await using rig = new Rig({ limits: { rate: Infinity } });
    await rig.says(BOB, registers("bob"));
    await rig.says(EVE, registers("eve"));
    const { brought, given } = rig;
    for (let round = 0; round < 200; round++) {
      rig.stun.comes(EVE, datagram);
      await rig.says(EVE, datagram, '"SessionFinished"');
    }
    for (const ip of ["192.0.2.66", "198.51.100.4"]) {
      const more = (rig.given.get(ip) ?? 0) - (given.get(ip) ?? 0);
      const paid = (rig.brought.get(ip) ?? 0) - (brought.get(ip) ?? 0);
      // What was left over of the registrations may be spent, too.
      assert(more <= paid + ALLOWANCE + 40, `${more} bytes to ${ip} for ${paid}`);
    }
  });
}

Deno.test("whatever comes, and from wherever, nobody gets more than they brought and the allowance", async () => {
  const from = fc.constantFrom(
    ANNA,
    BOB,
    EVE,
    "192.0.2.66:7",
    "[2001:db8::1]:1",
    "[2001:db8::2]:1",
  );
  const datagram = fc.constantFrom(...Object.values(sorts), registers("a"), asksFor("a"));
  const events = fc.array(fc.tuple(from, datagram, fc.constantFrom(0, 0, 0, 500), fc.boolean()), {
    minLength: 50,
    maxLength: 150,
  });
  await fc.assert(
    fc.asyncProperty(events, async (all) => {
      await using rig = new Rig({ limits: { rate: Infinity } });
      for (const [address, bytes, wait, second] of all) {
        await (second ? rig.stun : rig.socket).says(address, bytes);
        await rig.context.clock.advance(wait);
      }
      const windows = 1 + Math.ceil((rig.context.clock.now() - 1_000) / 60_000);
      for (const [ip, given] of rig.given) {
        const source = ip.includes(":") ? /^2001:db8::/ : new RegExp(`^${ip}$`);
        const total = (sums: Map<string, number>) =>
          [...sums].reduce((sofar, [each, bytes]) => source.test(each) ? sofar + bytes : sofar, 0);
        assert(given > 0 && total(rig.given) <= total(rig.brought) + windows * ALLOWANCE);
      }
    }),
    { numRuns: 40 },
  );
});

/** Sends the shortest of STUN requests until what its sender may be given beyond it is spent. */
async function spendAllowance(rig: Rig, from: string): Promise<void> {
  const request = Uint8Array.fromHex("000100002112a442000000000000000000000000");
  while ((await rig.says(from, request)).length > 0) await rig.context.clock.advance(100);
}

Deno.test("a target whose allowance is spent is busy, and neither side is told of the other", async () => {
  await using rig = await Rig.withTwo();
  await spendAllowance(rig, BOB);
  assertEquals(await rig.says(ANNA, asksFor("bob")), [`${ANNA} "TargetBusy"`]);
  assertEquals(rig.context.counters.introductions, 0);
  await rig.advance(58_000);
  assertEquals((await rig.says(ANNA, asksFor("bob"))).length, 2);
});

Deno.test("an asker whose allowance is spent is told nothing, and nobody of them", async () => {
  await using rig = await Rig.withTwo();
  await spendAllowance(rig, ANNA);
  // What the last request brought, which was not answered, pays for another.
  await rig.says(ANNA, Uint8Array.fromHex("000100002112a442000000000000000000000000"));
  assertEquals(await rig.says(ANNA, asksFor("bob")), []);
  assertEquals(rig.context.counters.introductions, 0);
});

Deno.test("ten thousand clients are kept, pinged and forgotten", async () => {
  await using rig = new Rig();
  for (let each = 0; each < 10_000; each++) {
    rig.socket.comes(`10.0.${each >> 8}.${each & 255}:9`, registers(`peer ${each}`));
  }
  assertEquals((await rig.socket.answers()).length, 10_000);
  assertEquals(rig.registered, 10_000);
  assertEquals((await rig.advance(21_000)).length, 10_000);
  await rig.advance(41_000);
  assertEquals(rig.registered, 0);
});

Deno.test("what forged addresses can make a relay keep is bounded", async () => {
  await using rig = new Rig({ limits: { maxRegistrations: 1_000 } });
  for (let each = 0; each < 5_000; each++) {
    rig.socket.comes(`10.0.${each >> 8}.${each & 255}:9`, registers(`peer ${each}`));
  }
  await rig.socket.answers();
  assertEquals(rig.registered, 500);
  assertEquals(rig.context.counters.refusals.Full, 4_500);
});

Deno.test("a socket that closes leaves no names and no timer behind", async () => {
  const rig = await Rig.withTwo();
  await rig[Symbol.asyncDispose]();
  assertEquals(rig.context.names.size, 0);
});

Deno.test("messages of ours with more fields are the same over UDP", async () => {
  await using rig = new Rig();
  const candidates = ["192.168.1.2:8080"];
  assertEquals(
    await rig.says(ANNA, encodeRendezvous({ type: "Register", username: "anna", candidates })),
    [`${ANNA} "RegisterAck"`],
  );
});
