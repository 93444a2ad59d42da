/** QUIC on a line that goes silent, which its runtime's own clock decides on: ten seconds each. */
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { UnreachableError } from "../../protocol/errors.ts";
import { acceptQuic, dialQuic } from "../../peer/carrier/quic.ts";
import { freeUdpPort, UdpProxy } from "../fakes/udp_proxy.ts";
import { pattern, readExactly } from "../conformance/connection.ts";

const never = new AbortController().signal;
/** Milliseconds after which silence ends a connection, and by which that may be late. */
const IDLE_MS = 10_000;
const LATE_MS = 2_000;
/** Milliseconds between two signs of life; the idle time begins anew with the first unanswered one. */
const KEEP_ALIVE_MS = 5_000;

async function pair() {
  const port = freeUdpPort();
  const proxy = new UdpProxy({ target: { host: "127.0.0.1", port } });
  const accepting = acceptQuic({ port, ipv6: false, remote: proxy.far, signal: never });
  const dialling = dialQuic({
    port: freeUdpPort(),
    ipv6: false,
    remote: proxy.near,
    signal: never,
  });
  const accepted = await accepting;
  await accepted.write(pattern(10));
  const dialled = await dialling;
  await dialled.write(await readExactly(dialled, 10));
  await readExactly(accepted, 10);
  return { proxy, accepted, dialled };
}

Deno.test("QUIC keeps a line that nobody uses, and gives up one that is silent", async () => {
  const { proxy, accepted, dialled } = await pair();
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS + LATE_MS));
  await accepted.write(pattern(5));
  assertEquals(await readExactly(dialled, 5), pattern(5));
  proxy.loses = () => true;
  const silent = performance.now();
  await Promise.all([accepted, dialled].map(async (connection) => {
    const error = await assertRejects(() => connection.read(), UnreachableError);
    assertEquals(error.message, "Connection lost: nothing came for 10 s");
    const waited = performance.now() - silent;
    // What came last may have come a while ago.
    assert(waited > IDLE_MS - KEEP_ALIVE_MS, `given up after ${waited} ms`);
    assertLess(waited, IDLE_MS + KEEP_ALIVE_MS + LATE_MS);
    await assertRejects(() => connection.write(pattern(1)), UnreachableError);
  }));
  await Promise.all([accepted, dialled, proxy].map((each) => each[Symbol.asyncDispose]()));
});

Deno.test("a write into silence, and a close that nobody hears, end", async () => {
  const { proxy, accepted, dialled } = await pair();
  proxy.loses = () => true;
  await assertRejects(() => accepted.write(new Uint8Array(64_000_000)), UnreachableError);
  const started = performance.now();
  await Promise.all([accepted, dialled].map((each) => each[Symbol.asyncDispose]()));
  assertLess(performance.now() - started, LATE_MS);
  await proxy[Symbol.asyncDispose]();
});
