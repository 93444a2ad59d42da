import { assert, assertEquals, assertMatch } from "@std/assert";
import { encodeText } from "../../protocol/bytes.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../../protocol/limits.ts";
import { RESERVED_DESCRIPTORS } from "../../relay/admission.ts";
import { FAREWELL_MS } from "../../relay/farewell.ts";
import { serveHttp } from "../../relay/http.ts";
import { REFUSAL_TEXTS } from "../../relay/refusal.ts";
import { settled } from "../fakes/clock.ts";
import type { MemoryConnection } from "../fakes/connection_pair.ts";
import { hear, RelayRig, say } from "../fakes/relay_rig.ts";

const ADVICE = "This is a p2p relay. Meet there with: p2p connect NAME --relay HOST:PORT\n";

const wrong: [first: string, answer: string][] = [
  ["p2p/1 session\n", "p2p/1 error this is a relay: name it with --relay\n"],
  [
    "p2p/2 relay\n",
    "p2p/1 error this relay speaks version 1 only: both sides need the same version\n",
  ],
  ["p2p/1 dance\n", "p2p/1 error unknown kind of connection: a relay takes relay and circuit\n"],
  ["p2p/1 error no\n", "p2p/1 error unknown kind of connection: a relay takes relay and circuit\n"],
  ["hello?\n", ADVICE],
  ["\x16\x03\x01\x02\x00", ADVICE],
];
for (const [first, answer] of wrong) {
  Deno.test(`A connection that begins with ${JSON.stringify(first)} is told what is wrong`, async () => {
    await using rig = new RelayRig();
    assertEquals(await say(rig.dial(), first), answer);
  });
}

Deno.test("HTTP is served by its own part, with what was read of it", async () => {
  let seen = "";
  await using rig = new RelayRig({
    services: {
      async http(connection, received) {
        seen = new TextDecoder().decode(received.peek());
        await connection.write(encodeText("HTTP/1.1 200 OK\r\n\r\n"));
      },
    },
  });
  assertEquals(await say(rig.dial(), "GET / HTTP/1.1\r\n"), "HTTP/1.1 200 OK\r\n\r\n");
  assertEquals(seen, "GET / HTTP/1.1\r\n");
});

Deno.test("A connection that says nothing for 10 s gets the advice, and is closed", async () => {
  await using rig = new RelayRig();
  const connection = rig.dial();
  const heard = hear(connection);
  await rig.clock.advance(HANDSHAKE_TIMEOUT_MS);
  assertEquals(await heard, ADVICE);
  await settled();
  assertEquals(rig.server.connections, 0);
});

for (
  const [what, first] of [
    ["its preface", "p2p/1 rel"],
    ["its handshake", "p2p/1 relay\n\x00\x20abc"],
  ] as const
) {
  Deno.test(`A connection that drips ${what} a byte a second is closed after 10 s`, async () => {
    await using rig = new RelayRig();
    const connection = rig.dial();
    await connection.write(encodeText(first));
    for (let second = 0; second < 10; second++) {
      await connection.write(encodeText("x"));
      await rig.clock.advance(1_000);
    }
    assertEquals(await hear(connection), "");
    await settled();
    assertEquals(rig.server.connections, 0);
  });
}

Deno.test("A client that proves its key and never says Hello is closed after 10 s", async () => {
  await using rig = new RelayRig();
  using client = await rig.connect({ hello: null });
  await rig.clock.advance(HANDSHAKE_TIMEOUT_MS);
  assertEquals(await client.receive(), null);
});

Deno.test("A preface line without end is closed as soon as it is too long", async () => {
  await using rig = new RelayRig();
  assertEquals(await say(rig.dial(), "p2p/1 relay" + "y".repeat(300)), "");
});

Deno.test("A full relay refuses newcomers with the reason, and keeps those that it serves", async () => {
  await using rig = new RelayRig({ limits: { maxConnections: 2 } });
  using alice = await rig.registered("alice");
  using bob = await rig.connect();
  await bob.until("Welcome");
  const refused = Array.from({ length: 20 }, () => say(rig.dial(), "p2p/1 relay\n"));
  for (const answer of await Promise.all(refused)) {
    assertEquals(answer, `p2p/1 error ${REFUSAL_TEXTS.Full}\n`);
  }
  assertEquals((await bob.ask("alice")).type, "PeerInfo");
  await alice.until("PeerInfo");
  bob.close();
  await settled();
  using carol = await rig.connect();
  await carol.until("Welcome");
  assertEquals(rig.events, [["refused", { reason: "Full", count: 1 }]]);
});

Deno.test("A full relay still says over HTTP how it is, and takes no WebSocket", async () => {
  await using rig = new RelayRig({ limits: { maxConnections: 1 }, services: { http: serveHttp } });
  using _alice = await rig.registered("alice");
  const ask = (path: string, headers = "") =>
    say(rig.dial(), `GET ${path} HTTP/1.1\r\nHost: r\r\n${headers}\r\n`);
  assertMatch(await ask("/health"), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok\n$/);
  assertMatch(await ask("/metrics"), /^p2p_relay_refusals_total\{reason="Full"\} 2$/m);
  const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  assertMatch(await ask("/ws", upgrade), /^HTTP\/1\.1 503 [^]*\r\n\r\nthe relay is full/);
  const silent = rig.dial();
  await rig.clock.advance(FAREWELL_MS);
  assertEquals(await silent.read(), null);
});

Deno.test("A flood of newcomers takes no more descriptors than are kept for turning them away", async () => {
  await using rig = new RelayRig({ descriptorLimit: RESERVED_DESCRIPTORS + 1 });
  using alice = await rig.registered("alice");
  const flood: MemoryConnection[] = [];
  for (let i = 0; i < 500; i++) {
    flood.push(rig.dial({ from: `192.0.2.${i % 250}:1` }));
    await settled();
    assert(rig.server.connections < RESERVED_DESCRIPTORS / 2, String(rig.server.connections));
  }
  await alice.send({ type: "Ping" });
  await alice.until("Pong");
  for (const connection of flood) connection.close();
});

Deno.test("One address has no more connections than are allowed; another one is let in", async () => {
  await using rig = new RelayRig({ limits: { connectionsPerAddress: 2 } });
  using _first = await rig.connect();
  using _second = await rig.connect();
  const answer = await say(rig.dial(), "p2p/1 relay\n");
  assertEquals(answer, `p2p/1 error ${REFUSAL_TEXTS.TooMany}\n`);
  using other = await rig.connect({ from: "192.0.2.2:5000" });
  await other.until("Welcome");
});

Deno.test("drain() tells newcomers and those that are there, and ends when all are gone", async () => {
  await using rig = new RelayRig();
  using alice = await rig.registered("alice");
  const drained = rig.server.drain();
  const answer = await say(rig.dial(), "p2p/1 relay\n");
  assertEquals(answer, `p2p/1 error ${REFUSAL_TEXTS.Draining}\n`);
  assertEquals((await alice.until("Refused")).code, "Draining");
  assertEquals(await alice.receive(), null);
  alice.close();
  await drained;
  assertEquals(rig.open, false);
});

Deno.test("drain() waits for a client that does not close no longer than a second", async () => {
  await using rig = new RelayRig();
  using _alice = await rig.registered("alice");
  const drained = rig.server.drain();
  await rig.clock.until(drained, 1_500);
});

Deno.test("A failure that nobody expected ends its connection only", async () => {
  const rig = new RelayRig({ services: { http: () => Promise.reject(new Error("a bug")) } });
  assertEquals(await say(rig.dial(), "GET / HTTP/1.1\r\n"), "");
  assertEquals(rig.warnings.splice(0), ["Connection failed: Error: a bug"]);
  using alice = await rig.connect();
  await alice.until("Welcome");
  await rig[Symbol.asyncDispose]();
});
