import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import type { Address } from "../../../protocol/address.ts";
import type { Connection } from "../../../protocol/connection.ts";
import { InterruptedError, UnreachableError } from "../../../protocol/errors.ts";
import { acceptQuic, dialQuic, warmUpQuic } from "../../../peer/carrier/quic.ts";
import { CERTIFICATE, CERTIFICATE_NAME } from "../../../peer/carrier/quic_certificate.ts";
import { FakeClock } from "../../fakes/clock.ts";
import { seededRandom } from "../../fakes/connection_pair.ts";
import { freeUdpPort, UdpProxy, type UdpProxyOptions } from "../../fakes/udp_proxy.ts";
import { pattern, readAll, readExactly } from "../../conformance/connection.ts";

const HOST = "127.0.0.1";
/** Nobody is there. */
const NOBODY: Address = { host: HOST, port: 9 };
const never = new AbortController().signal;
/** Milliseconds after which the runtime itself sends a lost first packet again. */
const RESENT_AFTER_MS = 1_000;

const local = (port: number): Address => ({ host: HOST, port });

/** The two sides' first words: the listener's are the first that are heard. */
async function greet(accepting: Promise<Connection>, dialling: Promise<Connection>) {
  async function first(): Promise<Connection> {
    const accepted = await accepting;
    await accepted.write(pattern(50));
    assertEquals(await readExactly(accepted, 60), pattern(60));
    return accepted;
  }
  async function second(): Promise<Connection> {
    const dialled = await dialling;
    assertEquals(await readExactly(dialled, 50), pattern(50));
    await dialled.write(pattern(60));
    return dialled;
  }
  return await Promise.all([first(), second()]);
}

/** A connection over a line on which things are lost. */
async function overProxy(options: Omit<UdpProxyOptions, "target">) {
  const port = freeUdpPort();
  const proxy = new UdpProxy({ target: local(port), ...options });
  const accepting = acceptQuic({ port, ipv6: false, remote: proxy.far, signal: never });
  const dialling = dialQuic({
    port: freeUdpPort(),
    ipv6: false,
    remote: proxy.near,
    roundTripMs: 1,
    signal: never,
  });
  const started = performance.now();
  const [accepted, dialled] = await greet(accepting, dialling);
  return { proxy, accepted, dialled, milliseconds: performance.now() - started };
}

async function disposeAll(...each: AsyncDisposable[]): Promise<void> {
  await Promise.all(each.map((one) => one[Symbol.asyncDispose]()));
}

/** A socket as hole punching has it. */
async function punched(): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket("udp4");
  socket.bind(0, HOST);
  await once(socket, "listening");
  return { socket, port: socket.address().port };
}

Deno.test("QUIC takes over the ports of two sockets that have just been told to close", async () => {
  const [asker, target] = [await punched(), await punched()];
  asker.socket.close();
  target.socket.close();
  const [accepted, dialled] = await greet(
    acceptQuic({ port: asker.port, ipv6: false, remote: local(target.port), signal: never }),
    dialQuic({ port: target.port, ipv6: false, remote: local(asker.port), signal: never }),
  );
  assertEquals(accepted.remote, `${HOST}:${target.port}`);
  assertEquals(dialled.remote, `${HOST}:${asker.port}`);
  assertEquals([dialled.carrier, dialled.path], ["quic", "lan"]);
  await disposeAll(accepted, dialled);
});

Deno.test("a QUIC port that another program keeps is told, after half a second", async () => {
  const { socket, port } = await punched();
  const clock = new FakeClock();
  const started = clock.now();
  const dialling = dialQuic({ port, ipv6: false, remote: NOBODY, signal: never, clock });
  const error = await assertRejects(() => clock.until(dialling, 1_000), UnreachableError);
  assertEquals(error.message, `Could not use UDP port ${port}: another program has it`);
  assertEquals(clock.now() - started, 500);
  assertEquals(clock.pending, 0);
  socket.close();
});

Deno.test("QUIC gets a port that is let go of a moment later", async () => {
  const { socket, port } = await punched();
  setTimeout(() => socket.close(), 20);
  const remote = local(freeUdpPort());
  const [accepted, dialled] = await greet(
    acceptQuic({ port, ipv6: false, remote, signal: never }),
    dialQuic({ port: remote.port, ipv6: false, remote: local(port), signal: never }),
  );
  await disposeAll(accepted, dialled);
});

for (
  const [what, loses] of [
    ["the first packet", (direction, index) => direction === "there" && index < 1],
    ["the first two packets", (direction, index) => direction === "there" && index < 2],
    ["the first answer", (direction, index) => direction === "back" && index < 2],
  ] as [string, NonNullable<UdpProxyOptions["loses"]>][]
) {
  Deno.test(`QUIC connects within a second though ${what} is lost`, async () => {
    const { proxy, accepted, dialled, milliseconds } = await overProxy({ loses });
    assertLess(milliseconds, RESENT_AFTER_MS);
    await disposeAll(accepted, dialled);
    await disposeAll(proxy);
  });
}

Deno.test("of several QUIC attempts that are there at once, one is kept by both sides", async () => {
  // Answers get through when three attempts have been made.
  let there = 0;
  const { proxy, accepted, dialled } = await overProxy({
    loses(direction) {
      if (direction === "there") there++;
      return direction === "back" && there < 3;
    },
  });
  await Promise.all([
    accepted.write(pattern(300_000)).then(() => accepted.closeWrite()),
    dialled.write(pattern(200_000)).then(() => dialled.closeWrite()),
    readAll(dialled).then((read) => assertEquals(read, pattern(300_000))),
    readAll(accepted).then((read) => assertEquals(read, pattern(200_000))),
  ]);
  await disposeAll(accepted, dialled);
  await disposeAll(proxy);
});

Deno.test("QUIC connects, and carries everything, over lines that lose every fifth packet", async () => {
  for (let seed = 1; seed <= 3; seed++) {
    const random = seededRandom(seed);
    const { proxy, accepted, dialled } = await overProxy({ loses: () => random() < 0.2 });
    await accepted.write(pattern(50_000, seed));
    assertEquals(await readExactly(dialled, 50_000), pattern(50_000, seed), `seed ${seed}`);
    proxy.loses = () => false;
    await disposeAll(accepted, dialled);
    await disposeAll(proxy);
  }
});

Deno.test("before QUIC's dialler answers, only a first message can be said", async () => {
  const [near, far] = [freeUdpPort(), freeUdpPort()];
  const accepting = acceptQuic({ port: far, ipv6: false, remote: local(near), signal: never });
  const dialling = dialQuic({ port: near, ipv6: false, remote: local(far), signal: never });
  const accepted = await accepting;
  await accepted.write(pattern(4_000));
  let written = false;
  const writing = accepted.write(pattern(1_000, 1)).then(() => written = true);
  const dialled = await dialling;
  assertEquals(await readExactly(dialled, 4_000), pattern(4_000));
  assertEquals(written, false);
  await dialled.write(pattern(5));
  await writing;
  assertEquals(await readExactly(dialled, 1_000), pattern(1_000, 1));
  assertEquals(await readExactly(accepted, 5), pattern(5));
  await disposeAll(accepted, dialled);
});

Deno.test("QUIC from another IP address than the one that was agreed is not heard", async () => {
  const port = freeUdpPort();
  await using line = new UdpProxy({ target: local(port), from: "127.0.0.9" });
  const accepting = acceptQuic({ port, ipv6: false, remote: line.far, signal: never });
  let accepted = false;
  accepting.then(() => accepted = true);
  const stranger = { port: freeUdpPort(), ipv6: false, remote: local(port) };
  const limit = AbortSignal.timeout(300);
  await assertRejects(() => dialQuic({ ...stranger, signal: limit }), UnreachableError);
  assertEquals(accepted, false);
  const pair = await greet(
    accepting,
    dialQuic({ port: freeUdpPort(), ipv6: false, remote: line.near, signal: never }),
  );
  await disposeAll(...pair);
});

/** A dialler that does as a test likes. */
class RawDialler implements AsyncDisposable {
  readonly port = freeUdpPort();
  readonly #endpoint = new Deno.QuicEndpoint({ hostname: HOST, port: this.port });
  readonly #conns: Deno.QuicConn[] = [];

  async dial(port: number, protocol = "p2p/1"): Promise<Deno.QuicConn> {
    const conn = await Deno.connectQuic({
      endpoint: this.#endpoint,
      hostname: HOST,
      port,
      serverName: CERTIFICATE_NAME,
      caCerts: [CERTIFICATE],
      alpnProtocols: [protocol],
    });
    this.#conns.push(conn);
    return conn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#endpoint.close();
    await Promise.allSettled(this.#conns.map((conn) => conn.closed));
  }
}

Deno.test("QUIC: who comes with another protocol does not keep the other side from coming", async () => {
  await using stranger = new RawDialler();
  const [port, own] = [freeUdpPort(), freeUdpPort()];
  const accepting = acceptQuic({ port, ipv6: false, remote: local(own), signal: never });
  for (let i = 0; i < 3; i++) await assertRejects(() => stranger.dial(port, "another"));
  const dialling = dialQuic({ port: own, ipv6: false, remote: local(port), signal: never });
  await disposeAll(...await greet(accepting, dialling));
});

Deno.test("QUIC's dialler can open no streams", async () => {
  await using dialler = new RawDialler();
  const port = freeUdpPort();
  const remote = local(dialler.port);
  const accepting = acceptQuic({ port, ipv6: false, remote, signal: never });
  const conn = await dialler.dial(port);
  await assertRejects(() => conn.createBidirectionalStream(), RangeError);
  await assertRejects(() => conn.createUnidirectionalStream(), RangeError);
  await disposeAll(await accepting);
});

Deno.test("of QUIC attempts that all answer, only the first is heard, and no more than four are held", async () => {
  await using dialler = new RawDialler();
  const port = freeUdpPort();
  const remote = local(dialler.port);
  const accepting = acceptQuic({ port, ipv6: false, remote, signal: never });
  const conns: Deno.QuicConn[] = [];
  for (let i = 0; i < 4; i++) conns.push(await dialler.dial(port));
  const accepted = await accepting;
  // The fifth ends while it connects, or just after.
  await Promise.allSettled([dialler.dial(port).then((conn) => conn.closed)]);
  await accepted.write(pattern(10));
  const writers = await Promise.all(conns.map(async (conn) => {
    const { value } = await conn.incomingBidirectionalStreams.getReader().read();
    return value!.writable.getWriter();
  }));
  await Promise.all(writers.map((writer, index) => writer.write(Uint8Array.of(index))));
  const [first] = await readExactly(accepted, 1);
  await Promise.all(conns.map(async (conn, index) => {
    if (index !== first) await conn.closed;
  }));
  await writers[first!]!.write(pattern(20));
  assertEquals(await readExactly(accepted, 20), pattern(20));
  await disposeAll(accepted);
});

Deno.test("what was written before close() arrives", async () => {
  for (let round = 0; round < 5; round++) {
    const { proxy, accepted, dialled } = await overProxy({});
    const [from, to] = round % 2 === 0 ? [accepted, dialled] : [dialled, accepted];
    const read = readAll(to);
    await from.write(pattern(200_000, round));
    from.close();
    assertEquals(await read, pattern(200_000, round));
    await disposeAll(from, to);
    await disposeAll(proxy);
  }
});

Deno.test("what is said last to a side that has ended its own direction arrives", async () => {
  const [near, far] = [freeUdpPort(), freeUdpPort()];
  const [accepted, dialled] = await greet(
    acceptQuic({ port: far, ipv6: false, remote: local(near), signal: never }),
    dialQuic({ port: near, ipv6: false, remote: local(far), signal: never }),
  );
  await accepted.write(pattern(1_000));
  await accepted.closeWrite();
  await readExactly(dialled, 1_000);
  await dialled.write(pattern(100));
  dialled.close();
  assertEquals(await readAll(accepted), pattern(100));
  await disposeAll(accepted, dialled);
});

Deno.test("QUIC that nobody answers ends when its signal aborts, in words", async () => {
  const options = () => ({ port: freeUdpPort(), ipv6: false, remote: NOBODY });
  for (const start of [acceptQuic, dialQuic]) {
    const limit = AbortSignal.timeout(20);
    const error = await assertRejects(
      () => start({ ...options(), signal: limit }),
      UnreachableError,
    );
    assertEquals(error.message, "Could not reach 127.0.0.1:9: no answer");
    assert(error.hint);
    const user = new AbortController();
    const reason = new InterruptedError("Interrupted");
    setTimeout(() => user.abort(reason), 20);
    assertEquals(await start({ ...options(), signal: user.signal }).catch((e) => e), reason);
    assertEquals(await start({ ...options(), signal: user.signal }).catch((e) => e), reason);
  }
});

Deno.test("QUIC with somebody who is gone after the punch is given up, though nobody aborts it", async () => {
  for (const start of [acceptQuic, dialQuic]) {
    const clock = new FakeClock();
    const options = { port: freeUdpPort(), ipv6: false, remote: NOBODY, signal: never, clock };
    const error = await clock.until(start(options).catch((error) => error), 5_100);
    assert(error instanceof UnreachableError);
    assertEquals(error.message, "Could not reach 127.0.0.1:9: no answer");
    assertEquals(clock.pending, 0);
  }
});

Deno.test("QUIC waits for a port no longer than its signal allows", async () => {
  const { socket, port } = await punched();
  const user = new AbortController();
  const reason = new InterruptedError("Interrupted");
  const accepting = acceptQuic({ port, ipv6: false, remote: NOBODY, signal: user.signal });
  user.abort(reason);
  assertEquals(await accepting.catch((error) => error), reason);
  socket.close();
});

Deno.test("QUIC can be closed before it is known which attempt counts", async () => {
  const [near, far] = [freeUdpPort(), freeUdpPort()];
  const accepting = acceptQuic({ port: far, ipv6: false, remote: local(near), signal: never });
  const user = new AbortController();
  const dialling = dialQuic({
    port: near,
    ipv6: false,
    remote: local(far),
    signal: user.signal,
  });
  const accepted = await accepting;
  const reading = assertRejects(() => accepted.read(), UnreachableError);
  accepted.close();
  await reading;
  await assertRejects(() => accepted.write(pattern(1)), UnreachableError);
  await disposeAll(accepted);
  user.abort(new InterruptedError("Interrupted"));
  await assertRejects(() => dialling, InterruptedError);
});

Deno.test("QUIC is lost in words where the other side goes before it has said anything", async () => {
  const [near, far] = [freeUdpPort(), freeUdpPort()];
  const accepting = acceptQuic({ port: far, ipv6: false, remote: local(near), signal: never });
  const user = new AbortController();
  const remote = local(far);
  const dialling = dialQuic({ port: near, ipv6: false, remote, signal: user.signal });
  const accepted = await accepting;
  user.abort(new InterruptedError("Interrupted"));
  await assertRejects(() => dialling, InterruptedError);
  const error = await assertRejects(() => accepted.read(), UnreachableError);
  assertEquals(error.message, "Connection lost: the other side did not answer");
  await disposeAll(accepted);
});

Deno.test("QUIC is warmed up with nothing left over", async () => {
  await warmUpQuic();
});
