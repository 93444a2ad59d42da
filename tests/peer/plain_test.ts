import { assert, assertEquals } from "@std/assert";
import { Output } from "../../peer/output.ts";
import { PlainRoom } from "../../peer/plain.ts";
import { PlainWriter } from "../../peer/plain_writer.ts";
import { Sink } from "../../peer/terminal/sink.ts";
import type { PlainConnection } from "../../peer/plain_peer.ts";
import { encodeText } from "../../protocol/bytes.ts";
import { UnreachableError } from "../../protocol/errors.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { connectionPair, type MemoryConnection } from "../fakes/connection_pair.ts";

const OWN_ID = "m";
const LISTENING = { host: "192.168.1.5", port: 8080 };
/** Bytes that a connection holds before a write waits. */
const BUFFER_BYTES = 65_536;

/** Somebody at the other end of a connection to the room. */
class Guest {
  readonly #decoder = new TextDecoder();
  readonly far: MemoryConnection;
  readonly near: PlainConnection;
  text = "";

  constructor(remote: string, localHost = LISTENING.host) {
    const remotes: [string, string] = ["room", remote];
    const [far, near] = connectionPair({ bufferBytes: BUFFER_BYTES, remotes });
    this.far = far;
    this.near = Object.assign(near, { localHost });
  }

  /** Begins to read. */
  listen(): this {
    this.#read();
    return this;
  }

  async send(...lines: string[]): Promise<void> {
    await this.far.write(encodeText(lines.map((line) => `${line}\n`).join("")));
    await settled();
  }

  get lines(): string[] {
    return this.text.split("\n").slice(0, -1);
  }

  async #read(): Promise<void> {
    try {
      for (let next = await this.far.read(); next; next = await this.far.read()) {
        this.text += this.#decoder.decode(next, { stream: true });
      }
    } catch {
      // The room has closed it.
    }
  }
}

/** A room that listens, and all that it does. */
class Rig {
  readonly clock = new FakeClock();
  readonly said: string[] = [];
  readonly dialled: string[] = [];
  readonly left: string[] = [];
  /** Those that answer where they are dialled. */
  readonly there = new Map<string, Guest>();
  readonly room: PlainRoom;

  constructor(options: { joins?: boolean; json?: boolean } = {}) {
    const sink = new Sink({
      isTerminal: () => false,
      writeSync: (bytes) => {
        this.said.push(new TextDecoder().decode(bytes).trimEnd());
        return bytes.length;
      },
    });
    this.room = new PlainRoom({
      output: new Output({ stdout: sink, stderr: sink, color: false, json: options.json ?? false }),
      clock: this.clock,
      nodeId: OWN_ID,
      name: "Alice",
      joins: options.joins ?? true,
      listening: LISTENING,
      dial: ({ host, port }) => this.#dial(`${host}:${port}`),
      onLeft: (name) => void this.left.push(name),
    });
  }

  /** Somebody who reads, and comes. */
  async comes(remote: string, localHost?: string): Promise<Guest> {
    const guest = new Guest(remote, localHost).listen();
    this.room.enter(guest.near, "accepted");
    await settled();
    return guest;
  }

  async end(): Promise<void> {
    this.room.close();
    await settled();
    assertEquals(this.clock.pending, 0);
  }

  #dial(address: string): Promise<PlainConnection> {
    this.dialled.push(address);
    const guest = this.there.get(address);
    if (!guest) return Promise.reject(new UnreachableError(`Could not reach ${address}`));
    return Promise.resolve(guest.listen().near);
  }
}

function node(id: string, listen = "192.168.1.9:1", name = id): string {
  return JSON.stringify({ listen_addr: listen, node_id: id, uname: name });
}

/** The lists that it was told, each as the nodes' ids and addresses. */
function listsOf(guest: Guest): string[][] {
  return guest.lines.filter((line) => line.startsWith("PEERS|")).map((line) =>
    line.slice("PEERS|".length).split(";").map((text) => {
      const { node_id, listen_addr } = JSON.parse(text);
      return `${node_id} ${listen_addr}`;
    })
  );
}

Deno.test("PlainRoom gives up who takes nothing for 20 s, and the others have their lines at once", async () => {
  const rig = new Rig({ joins: false });
  const { clock, room, left } = rig;
  const stuck = new Guest("1.2.3.4:1");
  room.enter(stuck.near, "accepted");
  const reader = new Guest("1.2.3.4:2").listen();
  room.enter(reader.near, "accepted");
  await settled();
  const line = "x".repeat(BUFFER_BYTES);
  for (let i = 0; i < 20; i++) await room.say(`${i} ${line}`);
  await settled();
  assertEquals(reader.lines.length, 20);
  await clock.advance(19_900);
  assertEquals(left, []);
  await clock.advance(200);
  assertEquals([left, room.size], [["1.2.3.4:1"], 1]);
  await rig.end();
});

Deno.test("PlainRoom lets who says more wait where 4 MiB wait for somebody, until that one is given up", async () => {
  const rig = new Rig({ joins: false });
  const stuck = new Guest("1.2.3.4:1");
  rig.room.enter(stuck.near, "accepted");
  await settled();
  let said = 0;
  const line = "x".repeat(1_000_000);
  const saying = (async () => {
    for (; said < 10; said++) await rig.room.say(line);
  })();
  await settled();
  assertEquals(said, 4);
  await rig.clock.advance(20_100);
  await saying;
  assertEquals(said, 10);
  await rig.end();
});

Deno.test("PlainRoom says JOIN first if it is to, and speaks to who says none after 300 ms", async () => {
  const rig = new Rig();
  const guest = await rig.comes("1.2.3.4:1");
  const saying = rig.room.say("hello");
  await rig.clock.advance(299);
  assertEquals(guest.lines, [
    'JOIN|{"remote_addr":null,"listen_addr":"192.168.1.5:8080","node_id":"m","uname":"Alice"}',
  ]);
  await rig.clock.advance(1);
  await saying;
  await settled();
  assertEquals(guest.lines.slice(1), ["hello"]);
  await rig.end();
});

Deno.test("PlainRoom tells who came of the others at once, and all of them 200 ms later", async () => {
  const rig = new Rig();
  const bob = await rig.comes("192.168.1.9:1000");
  await bob.send(`JOIN|${node("bob", "192.168.1.9:1")}`);
  await rig.clock.advance(1_000);
  assertEquals(listsOf(bob), []);
  const carol = await rig.comes("192.168.1.10:1000");
  await carol.send(`JOIN|${node("carol", "0.0.0.0:2")}`);
  const dan = await rig.comes("192.168.1.11:1000");
  await dan.send(`JOIN|${node("dan", "127.0.0.1:0")}`);
  assertEquals(listsOf(carol), [["bob 192.168.1.9:1"]]);
  assertEquals(listsOf(dan), [["bob 192.168.1.9:1", "carol 192.168.1.10:2"]]);
  assertEquals(listsOf(bob), []);
  await rig.clock.advance(200);
  assertEquals(listsOf(bob), [["carol 192.168.1.10:2"]]);
  await rig.end();
});

Deno.test("PlainRoom dials those that it is told of after 1 s, or 2 s if they are to dial first", async () => {
  const rig = new Rig();
  const hub = await rig.comes("192.168.1.9:1000");
  const list = [node("z", "192.168.1.10:1"), node("a", "192.168.1.11:1")].join(";");
  await hub.send(`PEERS|${list}`);
  await rig.clock.advance(5_000);
  assertEquals(rig.dialled, []);
  await hub.send(`JOIN|${node("hub")}`, `PEERS|${list}`);
  await rig.clock.advance(999);
  assertEquals(rig.dialled, []);
  await rig.clock.advance(1);
  assertEquals(rig.dialled, ["192.168.1.10:1"]);
  await rig.clock.advance(1_000);
  assertEquals(rig.dialled, ["192.168.1.10:1", "192.168.1.11:1"]);
  await hub.send(`PEERS|${list}`);
  await rig.clock.advance(50_000);
  assertEquals(rig.dialled.length, 2);
  await rig.end();
});

Deno.test("PlainRoom does not dial itself, who is here, this machine's programs for others, nor many", async () => {
  const rig = new Rig();
  const hub = await rig.comes("192.168.1.9:1000");
  const addresses = [
    "192.168.1.5:8080",
    "192.168.1.9:1",
    "127.0.0.1:22",
    "[::1]:22",
    "0.0.0.0:22",
    "224.0.0.1:5353",
    "255.255.255.255:1",
    "[ff02::1]:1",
    "[fe80::1]:1",
    "192.168.1.20:0",
  ];
  const list = addresses.map((each, i) => node(`z${i}`, each));
  const known = [node(OWN_ID, "192.168.1.30:1"), node("hub", "192.168.1.31:1")];
  await hub.send(`JOIN|${node("hub")}`, `PEERS|${[...list, ...known].join(";")}`);
  await rig.clock.advance(10_000);
  assertEquals(rig.dialled, []);
  await rig.end();
});

Deno.test("PlainRoom lets who was dialled for others say JOIN within 10 s, and hears nothing before", async () => {
  const rig = new Rig();
  const silent = new Guest("192.168.1.10:1");
  rig.there.set("192.168.1.10:1", silent);
  const hub = await rig.comes("192.168.1.9:1000");
  await hub.send(`JOIN|${node("hub")}`, `PEERS|${node("z", "192.168.1.10:1")}`);
  await rig.clock.advance(1_000);
  await rig.room.say("hello");
  await rig.clock.advance(9_900);
  assertEquals(silent.lines.length, 1);
  assertEquals(rig.room.size, 2);
  await rig.clock.advance(200);
  assertEquals([rig.room.size, rig.left], [1, []]);
  await rig.end();
});

Deno.test("PlainRoom keeps both of two with one node id from two machines", async () => {
  const rig = new Rig();
  const bob = await rig.comes("192.168.1.9:1000");
  await bob.send(`JOIN|${node("b", "192.168.1.9:1", "bob")}`);
  const liar = await rig.comes("192.168.1.66:1000");
  await liar.send(`JOIN|${node("b", "192.168.1.9:1", "bob")}`);
  await rig.room.say("hello");
  await settled();
  assertEquals(rig.room.members.others.map(({ name }) => name), ["bob", "bob-2"]);
  assert(bob.lines.includes("hello") && liar.lines.includes("hello"));
  await rig.end();
});

Deno.test("PlainRoom says a line once to who comes by two connections while it is said", async () => {
  const rig = new Rig();
  const [one, two] = [await rig.comes("192.168.1.9:1"), await rig.comes("192.168.1.9:2")];
  const saying = rig.room.say("once");
  await one.send(`JOIN|${node("b")}`);
  await two.send(`JOIN|${node("b")}`);
  await saying;
  await settled();
  assertEquals([...one.lines, ...two.lines].filter((line) => line === "once").length, 1);
  const three = await rig.comes("192.168.1.9:3");
  const sayingMore = rig.room.say("more");
  await three.send(`JOIN|${node("b")}`);
  await sayingMore;
  await settled();
  assertEquals([...two.lines, ...three.lines].filter((line) => line === "more").length, 1);
  await rig.end();
});

Deno.test("PlainRoom tells that the address is gone under which a second connection was shown", async () => {
  const rig = new Rig({ joins: false, json: true });
  const [one, two] = [await rig.comes("192.168.1.9:1"), await rig.comes("192.168.1.9:2")];
  await one.send(`JOIN|${node("b")}`);
  await two.send(`JOIN|${node("b")}`, "hello");
  const events = rig.said.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  assertEquals(events.map(({ event, peer, name, from }) => [event, peer ?? from, name]), [
    ["connected", "192.168.1.9:1", undefined],
    ["connected", "192.168.1.9:2", undefined],
    ["renamed", "192.168.1.9:1", "b"],
    ["disconnected", "192.168.1.9:2", undefined],
    ["message", "b", undefined],
  ]);
  await rig.end();
});

Deno.test("PlainRoom tells those on other machines where to reach one on its own", async () => {
  const rig = new Rig();
  const neighbour = await rig.comes("127.0.0.1:1000", "127.0.0.1");
  await neighbour.send(`JOIN|${node("b", "127.0.0.1:1")}`);
  const near = await rig.comes("127.0.0.1:1001", "127.0.0.1");
  await near.send(`JOIN|${node("c", "127.0.0.1:0")}`);
  const far = await rig.comes("192.168.1.9:1000");
  await far.send(`JOIN|${node("d", "192.168.1.9:0")}`);
  assertEquals(listsOf(near), [["b 127.0.0.1:1"]]);
  assertEquals(listsOf(far), [["b 192.168.1.5:1"]]);
  await rig.end();
});

Deno.test("PlainWriter writes nothing behind its end, and what was sent before it", async () => {
  const guest = new Guest("1.2.3.4:1").listen();
  const clock = new FakeClock();
  const writer = new PlainWriter(guest.near, clock);
  writer.send(encodeText("first\n"));
  const ended = writer.end();
  await writer.send(encodeText("late\n"));
  await ended;
  await settled();
  assertEquals([guest.lines, writer.closed, clock.pending], [["first"], false, 0]);
  writer.close();
});

Deno.test("PlainRoom lets go who says that it is this very program, and shows nothing of it", async () => {
  const rig = new Rig();
  const self = await rig.comes("192.168.1.5:1000");
  await self.send(`JOIN|${node(OWN_ID)}`, "hello");
  await settled();
  assertEquals([rig.room.size, rig.said, rig.left], [0, [], []]);
  await rig.end();
});

Deno.test("PlainRoom calls somebody as its first JOIN says, whatever more it says", async () => {
  const rig = new Rig({ joins: false });
  const bob = await rig.comes("192.168.1.9:1000");
  await bob.send(
    `JOIN|${node("b", "192.168.1.9:1", "bob")}`,
    `JOIN|${node("c", "1.2.3.4:1", "carol")}`,
  );
  assertEquals(rig.said, [
    "Connected to 192.168.1.9:1000 (direct, NOT encrypted)",
    "192.168.1.9:1000 is now called bob",
  ]);
  assertEquals(rig.room.members.others.map(({ node, listen }) => [node, listen]), [
    ["b", "192.168.1.9:1"],
  ]);
  await rig.end();
});

Deno.test("PlainRoom hears a hundred lists at once, and five a second from then on", async () => {
  const rig = new Rig();
  const hub = await rig.comes("192.168.1.9:1000");
  const list = (port: number) => `PEERS|${node(`z${port}`, `192.168.1.10:${port}`)}`;
  await hub.send(`JOIN|${node("hub")}`, ...Array(100).fill("PEERS|"), list(1));
  await rig.clock.advance(1_000);
  assertEquals(rig.dialled, []);
  await hub.send(list(2));
  await rig.clock.advance(1_000);
  assertEquals(rig.dialled, ["192.168.1.10:2"]);
  await rig.end();
});

Deno.test("PlainRoom joins whom the user named again, a minute after it was lost", async () => {
  const rig = new Rig();
  rig.room.join({ host: "192.168.1.9", port: 1 });
  await settled();
  assertEquals(rig.said, ["Could not reach 192.168.1.9:1; trying again"]);
  const first = new Guest("192.168.1.9:1");
  rig.there.set("192.168.1.9:1", first);
  await rig.clock.advance(60_000);
  await rig.clock.advance(60_000);
  assertEquals(rig.dialled.length, 2);
  first.far.close();
  await settled();
  rig.there.set("192.168.1.9:1", new Guest("192.168.1.9:1"));
  await rig.clock.advance(60_000);
  assertEquals([rig.dialled.length, rig.room.size], [3, 1]);
  await rig.end();
});

Deno.test("PlainRoom is deserted when all have gone, and all that they told of were dialled", async () => {
  const rig = new Rig();
  let deserted = false;
  rig.room.deserted.then(() => deserted = true);
  const hub = await rig.comes("192.168.1.9:1000");
  const carol = new Guest("192.168.1.10:1");
  rig.there.set("192.168.1.10:1", carol);
  await hub.send(`JOIN|${node("hub")}`, `PEERS|${node("z", "192.168.1.10:1", "carol")}`);
  hub.far.close();
  await settled();
  assertEquals([rig.left, deserted], [["hub"], false]);
  await rig.clock.advance(1_000);
  await carol.send(`JOIN|${node("z", "192.168.1.10:1", "carol")}`, "hi");
  assertEquals(rig.said.at(-1), "carol: hi");
  carol.far.close();
  await settled();
  assert(deserted);
  await rig.end();
});

Deno.test("PlainRoom.leave() waits for what was said to be written, five seconds at most", async () => {
  const rig = new Rig({ joins: false });
  const stuck = new Guest("1.2.3.4:1");
  rig.room.enter(stuck.near, "accepted");
  await settled();
  await rig.room.say("x".repeat(BUFFER_BYTES));
  const leaving = rig.room.leave();
  await rig.clock.advance(4_900);
  assert(!rig.room.closed);
  await rig.clock.until(leaving, 200);
  assert(rig.room.closed);
  await rig.end();
});
