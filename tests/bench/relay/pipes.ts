/**
 * Both ends of pipes that another program joins, in one process. `circuits ADDRESS COUNT MEBIBYTES`
 * opens circuits of a relay; `join ADDRESS 1 MEBIBYTES` has a plain joiner (`raw_join.ts`) join two
 * connections. Sends the bytes through each pipe and prints the seconds until all have arrived.
 */
import { parseAddress } from "../../../protocol/address.ts";
import { CIRCUIT_ANSWER, circuitPreface } from "../../../protocol/preface.ts";
import { ControlClient, tokenOf } from "../../fakes/control_client.ts";
import { secondsSince } from "../harness.ts";

const CHUNK_BYTES = 262_144;

interface Pipe {
  from: Deno.Conn;
  to: Deno.Conn;
}

async function dial(address: string): Promise<Deno.Conn> {
  const { host, port } = parseAddress(address);
  return await Deno.connect({ hostname: host, port });
}

async function openJoin(joiner: string): Promise<Pipe> {
  return { from: await dial(joiner), to: await dial(joiner) };
}

async function openCircuit(relay: string, index: number): Promise<Pipe> {
  using target = await ControlClient.registered(relay, `target-${index}`);
  using asker = await ControlClient.connect(relay);
  await asker.until("Welcome");
  await asker.send({ type: "Connect", targetUsername: `target-${index}` });
  const [near, far] = [await asker.until("PeerInfo"), await target.until("PeerInfo")];
  const [from, to] = await Promise.all([
    openEnd(relay, tokenOf(near)),
    openEnd(relay, tokenOf(far)),
  ]);
  return { from, to };
}

async function openEnd(relay: string, token: Uint8Array): Promise<Deno.Conn> {
  const end = await dial(relay);
  await end.write(circuitPreface(token));
  const answer = new Uint8Array(CIRCUIT_ANSWER.length);
  for (let read = 0; read < answer.length;) {
    const count = await end.read(answer.subarray(read));
    if (count === null) throw new Error("Circuit: the relay has closed it");
    read += count;
  }
  if (answer.toHex() !== CIRCUIT_ANSWER.toHex()) throw new Error("Circuit: refused");
  return end;
}

async function send(end: Deno.Conn, bytes: number): Promise<void> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let left = bytes; left > 0;) {
    left -= await end.write(chunk.subarray(0, Math.min(left, chunk.length)));
  }
}

async function receive(end: Deno.Conn, bytes: number): Promise<void> {
  const room = new Uint8Array(CHUNK_BYTES);
  for (let left = bytes; left > 0;) {
    const count = await end.read(room);
    if (count === null) throw new Error("Pipe: it ended too early");
    left -= count;
  }
}

if (import.meta.main) {
  const [kind, address, count, mebibytes] = Deno.args;
  const open = kind === "circuits" ? openCircuit : openJoin;
  const pipes = await Promise.all(
    Array.from({ length: Number(count) }, (_, index) => open(address!, index)),
  );
  const bytes = Number(mebibytes) * 2 ** 20;
  const started = performance.now();
  await Promise.all(pipes.flatMap(({ from, to }) => [send(from, bytes), receive(to, bytes)]));
  console.log(JSON.stringify({ seconds: secondsSince(started) }));
  Deno.exit(0);
}
