import { assertEquals, assertRejects } from "@std/assert";
import { InterruptedError, UnreachableError } from "../../../protocol/errors.ts";
import { dialRelayPort, openSimultaneously } from "../../../peer/carrier/node_tcp.ts";
import { dialTcp, RELAY } from "../../../peer/carrier/tcp.ts";
import { FakeClock } from "../../fakes/clock.ts";

const HOST = "127.0.0.1";
const never = new AbortController().signal;

/** A TCP port of this machine that nobody has. */
function freePort(): number {
  using socket = Deno.listen({ hostname: HOST, port: 0 });
  return socket.addr.port;
}

Deno.test("dialRelayPort() fails in the words of every dial to a relay", async () => {
  const addresses = [
    { host: HOST, port: freePort() },
    { host: "localhost", port: freePort() },
    { host: "no-such-host.invalid", port: 80 },
  ];
  for (const address of addresses) {
    const error = await assertRejects(() => dialRelayPort(address, never), UnreachableError);
    const other = await assertRejects(() => dialTcp(address, never, RELAY), UnreachableError);
    assertEquals([error.message, error.hint], [other.message, other.hint]);
  }
});

Deno.test("dialRelayPort() tries a host name's addresses in turn", async () => {
  using socket = Deno.listen({ hostname: HOST, port: 0 });
  // Where the name stands for ::1 as well, nobody listens there.
  const accepting = socket.accept();
  const connection = await dialRelayPort({ host: "localhost", port: socket.addr.port }, never);
  using accepted = await accepting;
  assertEquals((accepted.remoteAddr as Deno.NetAddr).port, connection.localPort);
  assertEquals(connection.remote, `${HOST}:${socket.addr.port}`);
  await connection[Symbol.asyncDispose]();
});

Deno.test("others can connect from the port of dialRelayPort()", async () => {
  using relay = Deno.listen({ hostname: HOST, port: 0 });
  using peer = Deno.listen({ hostname: HOST, port: 0 });
  const [control, atRelay] = await Promise.all([
    dialRelayPort({ host: HOST, port: relay.addr.port }, never),
    relay.accept(),
  ]);
  // A peer that listens is the same as one that connects at the same time.
  const [connection, atPeer] = await Promise.all([
    openSimultaneously({
      localPort: control.localPort,
      remote: { host: HOST, port: peer.addr.port },
      signal: never,
    }),
    peer.accept(),
  ]);
  assertEquals((atPeer.remoteAddr as Deno.NetAddr).port, control.localPort);
  assertEquals([connection.carrier, connection.path], ["tcp", "lan"]);
  await connection[Symbol.asyncDispose]();
  await control[Symbol.asyncDispose]();
  atRelay.close();
  atPeer.close();
});

Deno.test("a dial that is aborted throws what its user gave as the reason", async () => {
  const reason = new InterruptedError("Interrupted");
  const signal = AbortSignal.abort(reason);
  const address = { host: HOST, port: freePort() };
  assertEquals(await dialRelayPort(address, signal).catch((error) => error), reason);
  const options = { localPort: freePort(), remote: address, signal };
  assertEquals(await openSimultaneously(options).catch((error) => error), reason);
});

Deno.test("a simultaneous open goes on while it is refused, for four seconds", async () => {
  const clock = new FakeClock();
  const started = clock.now();
  const remote = { host: HOST, port: freePort() };
  const opening = openSimultaneously({ localPort: freePort(), remote, signal: never, clock });
  const error = await assertRejects(() => clock.until(opening, 10_000), UnreachableError);
  assertEquals(error.message, `Could not reach ${HOST}:${remote.port}: no answer`);
  assertEquals(Math.round((clock.now() - started) / 100), 40);
  assertEquals(clock.pending, 0);
});

Deno.test("a simultaneous open connects when the other side comes", async () => {
  const port = freePort();
  const remote = { host: HOST, port };
  const opening = openSimultaneously({ localPort: freePort(), remote, signal: never });
  await assertRejects(() => Deno.connect({ hostname: HOST, port }));
  using socket = Deno.listen({ hostname: HOST, port });
  const [connection, accepted] = await Promise.all([opening, socket.accept()]);
  await connection[Symbol.asyncDispose]();
  accepted.close();
});
