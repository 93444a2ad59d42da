/**
 * Two processes that exchange messages of 64 bytes. A program that calls `runMessagePair` is the
 * server with the argument `serve`, and prints its address; with `measure ADDRESS COUNT` it is the
 * client, and prints `Figures` as JSON.
 */
import { concatBytes } from "../../protocol/bytes.ts";
import { percentile } from "./statistics.ts";

/** A byte stream both ways, however it is carried. */
export interface Pipe {
  /** The next bytes, or null after the end. */
  read(): Promise<Uint8Array | null>;
  write(bytes: Uint8Array): Promise<void>;
  close(): void | Promise<void>;
}

export interface Carrier {
  /** Listens on loopback, serves every pipe that comes, and resolves to its address. */
  listen(serve: (pipe: Pipe) => Promise<void>): Promise<string>;
  /** Sets up one more pipe, on a connection or session of its own. */
  connect(address: string): Promise<Pipe>;
}

export interface Figures {
  /** Milliseconds from a message to its echo. */
  roundTripP50: number;
  roundTripP99: number;
  /** Messages sent one way, until the other side says that it has them all. */
  messagesPerSecond: number;
  /** Milliseconds to set up a further pipe and hear the first echo through it. */
  furtherSession: number;
}

const MESSAGE_BYTES = 64;
/** The first message of a pipe says what the rest is. */
const ECHO = 0;
const COUNT = 1;
const WARM_UP = 2_000;
const SESSIONS = 20;

export async function runMessagePair(carrier: Carrier): Promise<void> {
  const [role, address, count] = Deno.args;
  if (role === "serve") {
    console.log(await carrier.listen(answer));
  } else {
    console.log(JSON.stringify(await measure(carrier, address!, Number(count))));
    Deno.exit(0);
  }
}

async function measure(carrier: Carrier, address: string, count: number): Promise<Figures> {
  const trips = await roundTrips(carrier, address, count);
  const messagesPerSecond = await oneWay(carrier, address, count * 10);
  const setUps = [];
  for (let session = 0; session < SESSIONS; session++) setUps.push(await setUp(carrier, address));
  return {
    roundTripP50: percentile(trips, 0.5),
    roundTripP99: percentile(trips, 0.99),
    messagesPerSecond,
    furtherSession: percentile(setUps, 0.5),
  };
}

async function roundTrips(carrier: Carrier, address: string, count: number): Promise<number[]> {
  const pipe = await carrier.connect(address);
  const message = opening(ECHO, 0);
  const trips = [];
  for (let trip = -WARM_UP; trip < count; trip++) {
    const started = performance.now();
    await pipe.write(message);
    await receive(pipe);
    if (trip >= 0) trips.push(performance.now() - started);
  }
  await pipe.close();
  return trips;
}

/**
 * A message at a time, each awaited, as a program sends that has one thing to say after the other.
 */
async function oneWay(carrier: Carrier, address: string, count: number): Promise<number> {
  const pipe = await carrier.connect(address);
  const message = opening(COUNT, count);
  const started = performance.now();
  for (let sent = 0; sent < count; sent++) await pipe.write(message);
  await receive(pipe);
  const seconds = (performance.now() - started) / 1000;
  await pipe.close();
  return count / seconds;
}

async function setUp(carrier: Carrier, address: string): Promise<number> {
  const started = performance.now();
  const pipe = await carrier.connect(address);
  await pipe.write(opening(ECHO, 0));
  await receive(pipe);
  const milliseconds = performance.now() - started;
  await pipe.close();
  return milliseconds;
}

async function answer(pipe: Pipe): Promise<void> {
  const first = await receive(pipe);
  const count = new DataView(first.buffer, first.byteOffset).getUint32(1);
  if (first[0] === ECHO) {
    for (let bytes: Uint8Array | null = first; bytes; bytes = await pipe.read()) {
      await pipe.write(bytes);
    }
  } else {
    await swallow(pipe, count * MESSAGE_BYTES - first.length);
    await pipe.write(opening(COUNT, count));
  }
}

function opening(kind: number, count: number): Uint8Array {
  const message = new Uint8Array(MESSAGE_BYTES);
  message[0] = kind;
  new DataView(message.buffer).setUint32(1, count);
  return message;
}

/** Reads until at least one whole message is there. */
async function receive(pipe: Pipe): Promise<Uint8Array> {
  let received = await read(pipe);
  while (received.length < MESSAGE_BYTES) received = concatBytes(received, await read(pipe));
  return received;
}

async function swallow(pipe: Pipe, bytes: number): Promise<void> {
  for (let left = bytes; left > 0;) left -= (await read(pipe)).length;
}

async function read(pipe: Pipe): Promise<Uint8Array> {
  const bytes = await pipe.read();
  if (bytes === null) throw new Error("Message pair: the other side closed too early");
  return bytes;
}
