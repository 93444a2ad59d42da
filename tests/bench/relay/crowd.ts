/**
 * A crowd at a relay, in one process: `control ADDRESS COUNT` registers so many peers over control
 * sessions, has some of them introduced, and prints `CrowdFigures`; `udp ADDRESS COUNT` registers so
 * many over UDP, each from an address of its own. Both stay until they are killed.
 */
import { parseAddress } from "../../../protocol/address.ts";
import { encodeRendezvous } from "../../../protocol/rendezvous.ts";
import { ControlClient, type Told } from "../../fakes/control_client.ts";
import { secondsSince } from "../harness.ts";
import { percentile } from "../statistics.ts";

export interface CrowdFigures {
  /** Seconds until all were registered. */
  seconds: number;
  /** Milliseconds from asking to both sides' introduction, while all are registered. */
  introductionP50: number;
  introductionP99: number;
}

/** Peers that register at once. */
const LANES = 64;
const INTRODUCTIONS = 1_000;
/** Milliseconds between Pings of each peer. */
const PING_MS = 12_000;
/** Milliseconds after which a datagram without an answer is sent again. */
const AGAIN_MS = 200;
/** UDP sockets open at once. */
const UDP_LANES = 200;

/** Runs `work` for every number below `count`, a few at a time. */
async function inLanes(
  count: number,
  lanes: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: lanes }, async () => {
    while (next < count) await work(next++);
  }));
}

/** What a machine with both families behind a NAT tells of itself. */
function told(index: number): Told {
  const ip = `${index >> 8}.${index & 255}`;
  const own = [`192.168.${ip}`, `10.7.${ip}`, `[2001:db8:7:${index.toString(16)}::${1 + index}]`];
  return {
    candidates: own.map((each) => `${each}:8080`),
    udp: own.map((each) => `${each}:${10_000 + index}`),
    seen: [1, 2, 3, 4].map((step) => `198.51.${ip}:${20_000 + index + step}`),
    mapping: "sequential",
  };
}

async function control(relay: string, count: number): Promise<CrowdFigures> {
  const started = performance.now();
  const clients: ControlClient[] = [];
  const pinging = setInterval(() => pingAll(clients), PING_MS);
  await inLanes(count, LANES, async (index) => {
    clients[index] = await ControlClient.registered(relay, `peer-${index}`, { told: told(index) });
  });
  clearInterval(pinging);
  const seconds = secondsSince(started);
  const times = [];
  for (let i = 0; i < INTRODUCTIONS; i++) {
    times.push(await introduce(clients, i % count, (i * 7_919 + 1) % count));
  }
  setInterval(() => pingAll(clients), PING_MS);
  return {
    seconds,
    introductionP50: percentile(times, 0.5),
    introductionP99: percentile(times, 0.99),
  };
}

function pingAll(clients: ControlClient[]): void {
  for (const client of clients) client?.send({ type: "Ping" });
}

async function introduce(
  clients: ControlClient[],
  from: number,
  to: number,
): Promise<number> {
  const started = performance.now();
  await clients[from]!.send({ type: "Connect", targetUsername: `peer-${to}` });
  await Promise.all([introduction(clients[from]!), introduction(clients[to]!)]);
  const milliseconds = performance.now() - started;
  await clients[from]!.send({ type: "SessionFinished" });
  return milliseconds;
}

async function introduction(client: ControlClient): Promise<void> {
  for (;;) {
    const message = await client.receive();
    if (message?.type === "PeerInfo") return;
    if (message?.type !== "Pong") throw new Error(`No introduction: ${JSON.stringify(message)}`);
  }
}

async function udp(relay: string, count: number): Promise<{ seconds: number }> {
  const started = performance.now();
  const { host, port } = parseAddress(relay);
  await inLanes(count, UDP_LANES, async (index) => {
    // Each from an address of its own: 127.1.0.0 and up all are this machine.
    const hostname = `127.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
    const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    const message = encodeRendezvous({ type: "Register", username: `peer-${index}` });
    const say = () => socket.send(message, { transport: "udp", hostname: host, port });
    await say();
    // A datagram may be lost where so many are under way.
    const again = setInterval(say, AGAIN_MS);
    await socket.receive();
    clearInterval(again);
    socket.close();
  });
  return { seconds: secondsSince(started) };
}

if (import.meta.main) {
  const [carrier, relay, count] = Deno.args;
  const figures = await (carrier === "udp" ? udp : control)(relay!, Number(count));
  console.log(JSON.stringify(figures));
  // Until it is killed.
  setInterval(() => {}, 60_000);
}
