import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  PlainPunch,
  type PlainPunchEvent,
  type PlainPunchOptions,
} from "../../peer/plain_punch.ts";
import { type Address, formatAddress, parseIpAddress } from "../../protocol/address.ts";
import { P2pError, RefusedError, UnreachableError } from "../../protocol/errors.ts";
import { MAX_DATAGRAM_BYTES } from "../../protocol/limits.ts";
import { decodeRendezvous } from "../../protocol/rendezvous.ts";
import { serveDatagrams } from "../../relay/datagrams.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { FakeDatagrams } from "../fakes/datagrams.ts";
import { fakeRelayContext } from "../fakes/relay_context.ts";
import { mulberry32 } from "../heavy/mulberry32.ts";

const RELAY = "198.51.100.200:8080";
const ANNA = "203.0.113.7:8";
const BOB = "198.51.100.4:9";
const EVE = "192.0.2.66:6666";

const REGISTER = `${RELAY} {"Register":{"username":"bob"}}`;
const meets = (peer: string, name: string) =>
  `{"PeerInfo":{"peer":"${peer}","username":"${name}"}}`;
const says = (content: string) => JSON.stringify({ DirectMessage: { content } });

const address = (text: string) => parseIpAddress(text)!;

/** One peer, whose datagrams and events are looked at. */
class Rig {
  readonly clock: FakeClock;
  readonly punch: PlainPunch;
  readonly #sent: string[] = [];
  readonly #events: string[] = [];

  constructor(options: Partial<PlainPunchOptions> = {}, clock = new FakeClock()) {
    this.clock = clock;
    this.punch = new PlainPunch({
      name: "bob",
      relay: address(RELAY),
      relayName: RELAY,
      clock: this.clock,
      send: (bytes, to) => {
        assert(bytes.length <= MAX_DATAGRAM_BYTES, "a datagram is too long");
        this.#sent.push(`${formatAddress(to)} ${new TextDecoder().decode(bytes)}`);
      },
      tell: (event) => this.#events.push(inWords(event)),
      ...options,
    });
    this.punch.over.catch(() => {});
  }

  /** One that is registered and waits. */
  static idle(): Rig {
    const rig = new Rig();
    rig.hears(RELAY, '"RegisterAck"');
    rig.take();
    return rig;
  }

  /** One that talks with Anna, who has come to it. */
  static talking(): Rig {
    const rig = Rig.idle();
    rig.hears(RELAY, meets(ANNA, "anna"));
    rig.hears(ANNA, '"Pong"');
    rig.take();
    return rig;
  }

  hears(from: string, content: string): void {
    this.punch.receive(new TextEncoder().encode(content), address(from));
  }

  /** What was sent, and told, since the last time. */
  take(): { sent: string[]; told: string[] } {
    return { sent: this.#sent.splice(0), told: this.#events.splice(0) };
  }

  /** What was sent because of this. */
  answers(from: string, content: string): string[] {
    this.take();
    this.hears(from, content);
    return this.take().sent;
  }

  async leave(): Promise<void> {
    await this.clock.until(this.punch.leave(), 1_000);
    assertEquals(this.clock.pending, 0, "a timer is left behind");
  }
}

function inWords(event: PlainPunchEvent): string {
  const { type, ...rest } = event;
  const fields = Object.values(rest).map((value) => {
    if (value instanceof Error) return value.message;
    return typeof value === "object" ? formatAddress(value as Address) : String(value);
  });
  return [type, ...fields].join(" ");
}

Deno.test("PlainPunch registers until it is heard, byte for byte as Peer-Punch does", async () => {
  const rig = new Rig();
  assertEquals(rig.take(), { sent: [REGISTER], told: [] });
  await rig.clock.advance(1_500);
  assertEquals(rig.take().sent, [REGISTER, REGISTER, REGISTER]);
  rig.hears(RELAY, '"RegisterAck"');
  assertEquals(rig.take(), { sent: [], told: ["registered false"] });
  await rig.clock.advance(20_000);
  assertEquals(rig.take().sent, []);
  assertEquals(rig.answers(RELAY, '"Ping"'), [`${RELAY} "Pong"`]);
  await rig.leave();
});

Deno.test("PlainPunch gives a relay up that has not answered for ten seconds", async () => {
  const rig = new Rig();
  await rig.clock.advance(9_900);
  assertEquals(rig.take().sent.length, 10);
  await rig.clock.advance(200);
  const error = await assertRejects(() => rig.punch.over, UnreachableError);
  assertEquals(error.message, `Could not reach the relay ${RELAY}: no answer`);
  assertEquals([rig.take().sent, rig.clock.pending], [[], 0]);
});

Deno.test("PlainPunch hears that its name is taken", async () => {
  const rig = new Rig();
  rig.hears(RELAY, '"TargetBusy"');
  await assertRejects(() => rig.punch.over, RefusedError, "refused the name bob");
  assertEquals(rig.clock.pending, 0);
});

Deno.test("PlainPunch asks for whom it visits, until the relay answers", async () => {
  const ask = `${RELAY} {"Connect":{"target_username":"anna"}}`;
  for (
    const [answer, Kind, words] of [
      ['"TargetNotFound"', UnreachableError, "Nobody is called anna at the relay"],
      ['"TargetBusy"', RefusedError, "anna is busy at the relay"],
      [undefined, UnreachableError, "Could not reach the relay"],
    ] as const
  ) {
    const rig = new Rig({ to: "anna" });
    assertEquals(rig.answers(RELAY, '"RegisterAck"'), [ask]);
    await rig.clock.advance(300);
    assertEquals(rig.take().sent, [ask]);
    if (answer) rig.hears(RELAY, answer);
    else await rig.clock.advance(10_000);
    await assertRejects(() => rig.punch.over, Kind, words);
    assertEquals(rig.take().sent.slice(-2), [
      `${RELAY} "SessionFinished"`,
      `${RELAY} "Goodbye"`,
    ]);
    assertEquals(rig.clock.pending, 0);
  }
});

Deno.test("PlainPunch pings every 100 ms until something comes, then talks", async () => {
  const rig = Rig.idle();
  rig.hears(RELAY, meets(ANNA, "anna"));
  assertEquals(rig.take(), { sent: [`${ANNA} "Ping"`], told: [`introduced anna ${ANNA}`] });
  assertEquals(rig.punch.say("too early"), false);
  await rig.clock.advance(1_000);
  assertEquals(rig.take().sent, Array(10).fill(`${ANNA} "Ping"`));
  rig.hears(ANNA, '"Ping"');
  assertEquals(rig.take(), {
    sent: [`${ANNA} "Ping"`, `${ANNA} "Pong"`],
    told: [`connected anna ${ANNA}`],
  });
  rig.hears(ANNA, says("hello"));
  assertEquals(rig.punch.say("hello anna"), true);
  assertEquals(rig.take(), {
    sent: [`${ANNA} {"DirectMessage":{"content":"hello anna"}}`],
    told: ["message anna hello"],
  });
  await rig.leave();
});

Deno.test("PlainPunch takes the way for open when anything comes from there, also what it does not know", async () => {
  const rig = Rig.idle();
  rig.hears(RELAY, meets(ANNA, "anna"));
  rig.hears(ANNA, "punch!");
  assertEquals(rig.take().told, [`introduced anna ${ANNA}`, `connected anna ${ANNA}`]);
  await rig.leave();
});

Deno.test("PlainPunch that hears nothing gives the way up after ten seconds, and waits for the next", async () => {
  const rig = Rig.idle();
  rig.hears(RELAY, meets(ANNA, "anna"));
  await rig.clock.advance(10_000);
  const { sent, told } = rig.take();
  assertEquals(sent.filter((each) => each === `${ANNA} "Ping"`).length, 52);
  assertEquals(
    told.at(-1),
    `missed anna Could not reach anna at ${ANNA}: no datagram came through`,
  );
  assertEquals(sent.at(-1), `${RELAY} "SessionFinished"`);
  rig.hears(RELAY, meets(EVE, "eve"));
  assertEquals(rig.take().told, [`introduced eve ${EVE}`]);
  await rig.leave();
});

Deno.test("PlainPunch that visits and hears nothing has not reached them", async () => {
  const rig = new Rig({ to: "anna" });
  rig.hears(RELAY, '"RegisterAck"');
  rig.hears(RELAY, meets(ANNA, "anna"));
  await rig.clock.advance(10_000);
  await assertRejects(() => rig.punch.over, UnreachableError, "no datagram came through");
});

Deno.test("PlainPunch answers to the port that datagrams come from, if it is not the one it was told", async () => {
  const elsewhere = "203.0.113.7:50000";
  const rig = Rig.idle();
  rig.hears(RELAY, meets(ANNA, "anna"));
  // Whom we talked with before may sit behind the same NAT, and says goodbye more than once.
  rig.hears(elsewhere, '"Goodbye"');
  rig.hears(elsewhere, "noise");
  assertEquals(rig.take().told, [`introduced anna ${ANNA}`]);
  rig.hears(elsewhere, '"Ping"');
  const { sent, told } = rig.take();
  assertEquals(told, [`connected anna ${elsewhere}`]);
  assertEquals(sent, [`${elsewhere} "Ping"`, `${elsewhere} "Pong"`]);
  // The one that it was told is the peer's in any case.
  assertEquals(rig.answers(ANNA, '"Ping"'), [`${ANNA} "Pong"`]);
  await rig.leave();
});

Deno.test("PlainPunch hears nobody but the relay and the peer", async () => {
  const rig = Rig.talking();
  const strangers = [EVE, "203.0.113.7:9", "198.51.100.200:9"];
  for (const from of strangers) {
    for (const what of [says("hi"), '"Ping"', '"Goodbye"', meets(EVE, "eve"), '"TargetBusy"']) {
      assertEquals(rig.answers(from, what), []);
    }
  }
  rig.hears(ANNA, meets(EVE, "eve"));
  rig.hears(RELAY, says("hi"));
  rig.hears(RELAY, "{");
  rig.hears(ANNA, says("x".repeat(MAX_DATAGRAM_BYTES)));
  assertEquals(rig.take(), { sent: [], told: [] });
  // Its NAT may have given it another port meanwhile.
  await rig.clock.advance(21_000);
  rig.hears("203.0.113.7:9", says("moved"));
  assertEquals(rig.take().told, ["message anna moved"]);
  assertEquals(rig.punch.say("hi"), true);
  assertEquals(rig.take().sent, [`203.0.113.7:9 ${says("hi")}`]);
  await rig.leave();
});

Deno.test("PlainPunch punches nowhere that no single peer can be", async () => {
  const rig = Rig.idle();
  for (
    const peer of [
      "224.0.0.1:9",
      "255.255.255.255:9",
      "0.0.0.0:9",
      "[ff02::1]:9",
      "[::]:9",
      "127.0.0.1:9",
    ]
  ) {
    rig.hears(RELAY, meets(peer, "anna"));
  }
  assertEquals(rig.take(), { sent: [], told: [] });
  await rig.leave();
});

Deno.test("PlainPunch keeps the way open, and a peer that is silent for a minute is gone", async () => {
  const rig = Rig.talking();
  await rig.clock.advance(30_000);
  assertEquals(rig.take().sent, [`${ANNA} "Ping"`, `${ANNA} "Ping"`]);
  rig.hears(ANNA, '"Pong"');
  await rig.clock.advance(59_000);
  assertEquals(rig.take().told, []);
  await rig.clock.advance(1_000);
  const { sent, told } = rig.take();
  assertEquals(told, ["left anna Lost anna: silent for 60 s"]);
  assertEquals(sent.at(-1), `${RELAY} "SessionFinished"`);
  assertEquals(rig.punch.say("anybody?"), false);
  await rig.leave();
});

Deno.test("PlainPunch is idle again when the other has said goodbye, and tells the relay more than once", async () => {
  const rig = Rig.talking();
  rig.hears(ANNA, '"Goodbye"');
  rig.hears(ANNA, '"Goodbye"');
  assertEquals(rig.take(), { sent: [`${RELAY} "SessionFinished"`], told: ["left anna"] });
  await rig.clock.advance(1_500);
  assertEquals(rig.take().sent, Array(2).fill(`${RELAY} "SessionFinished"`));
  rig.hears(RELAY, meets(EVE, "eve"));
  rig.hears(EVE, '"Ping"');
  assertEquals(rig.take().told, [`introduced eve ${EVE}`, `connected eve ${EVE}`]);
  await rig.leave();
});

Deno.test("PlainPunch that visits is over when the other leaves, or falls silent", async () => {
  for (const how of ["goodbye", "silence"]) {
    const rig = new Rig({ to: "anna" });
    rig.hears(RELAY, '"RegisterAck"');
    // Somebody else who asks for us meanwhile is not whom we want.
    rig.hears(RELAY, meets(EVE, "eve"));
    rig.hears(RELAY, meets(ANNA, "anna"));
    rig.hears(ANNA, '"Ping"');
    assertEquals(rig.take().told.slice(1), [`introduced anna ${ANNA}`, `connected anna ${ANNA}`]);
    if (how === "goodbye") rig.hears(ANNA, '"Goodbye"');
    else await rig.clock.advance(61_000);
    if (how === "goodbye") await rig.punch.over;
    else await assertRejects(() => rig.punch.over, UnreachableError, "silent for 60 s");
    assertEquals(rig.take().sent.slice(-2), [`${RELAY} "SessionFinished"`, `${RELAY} "Goodbye"`]);
    assertEquals(rig.clock.pending, 0);
  }
});

Deno.test("PlainPunch says goodbye to everybody more than once", async () => {
  const rig = Rig.talking();
  await rig.leave();
  await rig.punch.over;
  const { sent } = rig.take();
  const goodbyes = [`${ANNA} "Goodbye"`, `${RELAY} "SessionFinished"`, `${RELAY} "Goodbye"`];
  assertEquals(sent, [...goodbyes, ...goodbyes, ...goodbyes]);
  rig.hears(ANNA, says("wait!"));
  await rig.leave();
  assertEquals(rig.take(), { sent: [], told: [] });
});

Deno.test("PlainPunch that waits registers again with a relay that has lost it, and says so once", async () => {
  const rig = Rig.idle();
  await rig.clock.advance(25_000);
  assertEquals(rig.take(), { sent: [REGISTER], told: [] });
  rig.hears(RELAY, '"RegisterAck"');
  assertEquals(rig.take().told, []);
  await rig.clock.advance(25_000 + 60_000);
  assertEquals(rig.take().told, ["relayLost"]);
  rig.hears(RELAY, '"RegisterAck"');
  assertEquals(rig.take().told, ["registered true"]);
  await rig.leave();
});

Deno.test("PlainPunch says a long line in several datagrams that together are the line", async () => {
  const rig = Rig.talking();
  for (const line of ["", "x".repeat(3_000), 'ü🙂"\\\u0001'.repeat(300), "🙂".repeat(1_000)]) {
    assertEquals(rig.punch.say(line), true);
    const contents = rig.take().sent.map((each) => {
      const bytes = new TextEncoder().encode(each.slice(ANNA.length + 1));
      const message = decodeRendezvous(bytes);
      return message?.type === "DirectMessage" ? message.content : "";
    });
    assertEquals(contents.join(""), line);
  }
  assertThrows(() => rig.punch.say("x".repeat(20_000)), P2pError, "more than 16 datagrams");
  assertThrows(() => rig.punch.say("\u0001".repeat(18_000)), P2pError, "more than 16 datagrams");
  assertEquals(rig.take().sent, []);
  await rig.leave();
});

Deno.test("PlainPunch hears a flood only so far, and tells of it once", async () => {
  const rig = Rig.talking();
  for (let i = 0; i < 1_000; i++) rig.hears(ANNA, says(String(i)));
  const { told } = rig.take();
  assertEquals(told.filter((each) => each === "flooded anna").length, 1);
  assertEquals(told.length, 200);
  assertEquals(rig.answers(ANNA, '"Ping"'), []);
  await rig.clock.advance(1_000);
  for (let i = 0; i < 1_000; i++) rig.hears(ANNA, '"Ping"');
  assertEquals(rig.take().sent.length, 100);
  for (let i = 0; i < 1_000; i++) rig.hears(RELAY, '"Ping"');
  assert(rig.take().sent.length <= 200);
  await rig.leave();
});

/** Two peers and a relay on a network that loses datagrams. */
class LossyNetwork {
  readonly context = fakeRelayContext({});
  readonly #relay = new FakeDatagrams();
  readonly #stun = new FakeDatagrams();
  readonly #random: () => number;
  readonly #loss: number;
  readonly #peers = new Map<string, PlainPunch>();
  readonly #served: Promise<void>;
  readonly told = new Map<string, string[]>();

  constructor(seed: number, loss: number) {
    this.#random = mulberry32(seed);
    this.#loss = loss;
    this.#served = serveDatagrams([{ main: this.#relay, stun: this.#stun }], this.context);
  }

  add(at: string, options: Partial<PlainPunchOptions>): PlainPunch {
    const told: string[] = [];
    this.told.set(at, told);
    const punch = new PlainPunch({
      name: "bob",
      relay: address(RELAY),
      relayName: RELAY,
      clock: this.context.clock,
      send: (bytes, to) => this.#carry(bytes, at, formatAddress(to)),
      tell: (event) => told.push(inWords(event)),
      ...options,
    });
    this.#peers.set(at, punch);
    return punch;
  }

  async advance(ms: number): Promise<void> {
    for (const end = this.context.clock.now() + ms; this.context.clock.now() < end;) {
      await this.context.clock.advance(10);
      for (const { to, bytes } of this.#relay.takeSent()) this.#carry(bytes, RELAY, to);
      await settled();
    }
  }

  async close(): Promise<void> {
    this.#relay.close();
    this.#stun.close();
    await this.#served;
  }

  #carry(bytes: Uint8Array, from: string, to: string): void {
    if (this.#random() < this.#loss) return;
    if (to === RELAY) this.#relay.comes(from, bytes);
    else this.#peers.get(to)?.receive(bytes, address(from));
  }
}

Deno.test("PlainPunch: two meet at our relay though a third of all datagrams is lost", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const network = new LossyNetwork(seed, 0.3);
    const bob = network.add(BOB, { name: "bob" });
    await network.advance(5_000);
    const anna = network.add(ANNA, { name: "anna", to: "bob" });
    await network.advance(10_000);
    assertEquals(network.told.get(ANNA)!.at(-1), `connected bob ${BOB}`, `seed ${seed}`);
    assertEquals(network.told.get(BOB)!.at(-1), `connected anna ${ANNA}`, `seed ${seed}`);
    anna.leave();
    await network.advance(1_000);
    // Three goodbyes may all be lost, too: then it is the silence that tells.
    await network.advance(61_000);
    assert(network.told.get(BOB)!.some((each) => each.startsWith("left anna")), `seed ${seed}`);
    await anna.over;
    bob.leave();
    await network.advance(1_000);
    await bob.over;
    await network.close();
  }
});

Deno.test("PlainPunch: both may ask for each other", async () => {
  const network = new LossyNetwork(1, 0);
  const bob = network.add(BOB, { name: "bob", to: "anna" });
  const anna = network.add(ANNA, { name: "anna", to: "bob" });
  await network.advance(1_000);
  assertEquals(network.told.get(ANNA)!.at(-1), `connected bob ${BOB}`);
  assertEquals(network.told.get(BOB)!.at(-1), `connected anna ${ANNA}`);
  assert(anna.say("one talk"));
  assert(bob.say("and no more"));
  await network.advance(100);
  assertEquals(network.told.get(BOB)!.filter((each) => /message/.test(each)).length, 1);
  anna.leave();
  await network.advance(1_000);
  await Promise.all([anna.over, bob.over]);
  await network.close();
});
