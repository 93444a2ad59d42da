import { Budget } from "../../protocol/budget.ts";
import { dialCircuit } from "../../peer/carrier/circuit.ts";
import { dialRelayPort } from "../../peer/carrier/node_tcp.ts";
import { acceptQuic, dialQuic } from "../../peer/carrier/quic.ts";
import { dialTcp, TcpConnection } from "../../peer/carrier/tcp.ts";
import { dialTls } from "../../peer/carrier/tls.ts";
import { systemClock } from "../../peer/clock.ts";
import { secureInitiator, secureResponder } from "../../protocol/secure.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Connection } from "../../protocol/connection.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { CIRCUIT_ANSWER, circuitPreface } from "../../protocol/preface.ts";
import { join } from "../../relay/copy.ts";
import { Turns } from "../../relay/turns.ts";
import { acceptTls } from "../fakes/accept_tls.ts";
import { connectionPair, seededRandom } from "../fakes/connection_pair.ts";
import { freeUdpPort } from "../fakes/udp_proxy.ts";
import { readExactly, testConnections } from "./connection.ts";

const LARGEST = 1_048_576;

async function tcpPair(hostname: string): Promise<[Connection, Connection]> {
  using socket = Deno.listen({ hostname, port: 0 });
  const [dialled, accepted] = await Promise.all([
    dialTcp({ host: hostname, port: socket.addr.port }, new AbortController().signal),
    socket.accept(),
  ]);
  return [dialled, new TcpConnection(accepted)];
}

/** A TCP connection from a port that others can connect from, too, as a relay's client has it. */
async function sharedPortPair(hostname: string): Promise<[Connection, Connection]> {
  using socket = Deno.listen({ hostname, port: 0 });
  return await Promise.all([
    dialRelayPort({ host: hostname, port: socket.addr.port }, new AbortController().signal),
    socket.accept().then((accepted) => new TcpConnection(accepted)),
  ]);
}

/** TLS over loopback: who dialled is its client. */
async function tlsPair(hostname: string): Promise<[Connection, Connection]> {
  using socket = Deno.listen({ hostname, port: 0 });
  async function accept(): Promise<Connection> {
    return await acceptTls(new TcpConnection(await socket.accept()));
  }
  const address = { host: hostname, port: socket.addr.port };
  const { signal } = new AbortController();
  return await Promise.all([
    dialTls(address, { sessionId: new Uint8Array(16), signal }),
    accept(),
  ]);
}

/** A QUIC connection over loopback. Who dials speaks last: nothing is settled before. */
async function quicPair(hostname: string): Promise<[Connection, Connection]> {
  const [near, far] = [freeUdpPort(hostname), freeUdpPort(hostname)];
  const { signal } = new AbortController();
  const ipv6 = hostname.includes(":");
  const clock = impatientClock;
  async function accept(): Promise<Connection> {
    const remote = { host: hostname, port: near };
    const accepted = await acceptQuic({ port: far, ipv6, remote, signal, clock });
    await accepted.write(Uint8Array.of(1));
    await readExactly(accepted, 1);
    return accepted;
  }
  async function dial(): Promise<Connection> {
    const remote = { host: hostname, port: far };
    const dialled = await dialQuic({ port: near, ipv6, remote, signal, clock });
    await readExactly(dialled, 1);
    await dialled.write(Uint8Array.of(1));
    return dialled;
  }
  return await Promise.all([dial(), accept()]);
}

/** No side waits long for the other after it has closed; retries take their time. */
const impatientClock: Clock = {
  now: systemClock.now,
  after: (ms, event) => systemClock.after(ms === 1_000 || ms === 50 ? ms / 50 : ms, event),
};

function noIpv6(): string | undefined {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return undefined;
  } catch (error) {
    return `no IPv6 on this machine (${(error as Error).message})`;
  }
}

async function secured(pair: [Connection, Connection]): Promise<[Connection, Connection]> {
  return await Promise.all([
    secureInitiator(pair[0], { identity: generateKeyPair(), clock: systemClock }),
    secureResponder(pair[1], new ReceiveBuffer(64), {
      identity: generateKeyPair(),
      clock: systemClock,
    }),
  ]);
}

/** Both ends of a circuit through what a relay joins them with. */
async function circuitPair(
  pair: () => Promise<[Connection, Connection]>,
): Promise<[Connection, Connection]> {
  const relay = { host: "relay.test", port: 8080 };
  const token = new Uint8Array(16).fill(3);
  const [[near, nearEnd], [far, farEnd]] = await Promise.all([pair(), pair()]);
  const { signal } = new AbortController();
  const dial = (inner: Connection) =>
    dialCircuit({ relay, token, signal, dial: () => Promise.resolve(inner) });
  const circuits = await Promise.all([dial(near), dial(far)]) as [Connection, Connection];
  const ends = await Promise.all([nearEnd, farEnd].map(async (connection) => {
    await readExactly(connection, circuitPreface(token).length);
    return { connection, received: new Uint8Array(0) };
  }));
  const options = { clock: systemClock, greeting: CIRCUIT_ANSWER, rate: Infinity, idleMs: 60_000 };
  const joined = join(ends[0]!, ends[1]!, {
    ...options,
    onBytes: () => {},
    turns: new Turns(systemClock),
    buffers: new Budget(64 * 1_048_576),
  });
  // Whoever is done with both ends is done with what the relay does, too.
  const open = new Set(circuits);
  for (const circuit of circuits) {
    const dispose = circuit[Symbol.asyncDispose].bind(circuit);
    circuit[Symbol.asyncDispose] = async () => {
      await dispose();
      open.delete(circuit);
      if (open.size === 0) await joined;
    };
  }
  return circuits;
}

const random = seededRandom(7);

function randomChunk(atHand: number): number {
  return 1 + Math.floor(random() * atHand);
}

testConnections({
  name: "memory",
  largest: LARGEST,
  pair: () => Promise.resolve(connectionPair()),
});
testConnections({
  name: "memory in random pieces",
  largest: LARGEST,
  pair: () => Promise.resolve(connectionPair({ chunk: randomChunk })),
});
testConnections({ name: "TCP over IPv4", largest: LARGEST, pair: () => tcpPair("127.0.0.1") });
testConnections({
  name: "TCP over IPv6",
  largest: LARGEST,
  pair: () => tcpPair("::1"),
  skip: noIpv6(),
});
testConnections({
  name: "secure over memory",
  largest: LARGEST,
  pair: () => secured(connectionPair()),
});
testConnections({
  name: "secure over memory in random pieces",
  largest: LARGEST,
  pair: () => secured(connectionPair({ chunk: randomChunk })),
});
testConnections({
  name: "secure over memory byte by byte",
  largest: 65_600,
  pair: () => secured(connectionPair({ chunk: () => 1 })),
});
testConnections({
  name: "secure over TCP",
  largest: LARGEST,
  pair: async () => secured(await tcpPair("127.0.0.1")),
});
testConnections({
  name: "circuit over memory in random pieces",
  largest: LARGEST,
  pair: () => circuitPair(() => Promise.resolve(connectionPair({ chunk: randomChunk }))),
});
testConnections({
  name: "circuit over TCP",
  largest: LARGEST,
  pair: () => circuitPair(() => tcpPair("127.0.0.1")),
});
testConnections({
  name: "secure over a circuit over TCP",
  largest: LARGEST,
  pair: async () => secured(await circuitPair(() => tcpPair("127.0.0.1"))),
});
testConnections({
  name: "TCP from a shared port over IPv4",
  largest: LARGEST,
  pair: () => sharedPortPair("127.0.0.1"),
});
testConnections({
  name: "TCP from a shared port over IPv6",
  largest: LARGEST,
  pair: () => sharedPortPair("::1"),
  skip: noIpv6(),
});
testConnections({
  name: "secure over TCP from a shared port",
  largest: LARGEST,
  pair: async () => secured(await sharedPortPair("127.0.0.1")),
});
testConnections({
  name: "TLS over IPv4",
  largest: LARGEST,
  pair: () => tlsPair("127.0.0.1"),
});
testConnections({
  name: "TLS over IPv6",
  largest: LARGEST,
  pair: () => tlsPair("::1"),
  skip: noIpv6(),
});
testConnections({
  name: "secure over TLS",
  largest: LARGEST,
  pair: async () => secured(await tlsPair("127.0.0.1")),
});
testConnections({ name: "QUIC over IPv4", largest: LARGEST, pair: () => quicPair("127.0.0.1") });
testConnections({
  name: "QUIC over IPv6",
  largest: LARGEST,
  pair: () => quicPair("::1"),
  skip: noIpv6(),
});
testConnections({
  name: "secure over QUIC",
  largest: LARGEST,
  pair: async () => secured(await quicPair("127.0.0.1")),
});
