/**
 * A file over QUIC as Deno does it best, with nothing of ours, between two machines behind NATs
 * that keep ports. The sender serves, as the asker of p2p does.
 *
 *     deno run -A raw_quic.ts send|receive PORT PEER FILE
 *
 * PORT is the local one, PEER the other's public address and port. The sender prints "ready" when it
 * may be dialled; each prints what it used at its end, as JSON.
 */
import dgram from "node:dgram";
import process from "node:process";
import {
  CERTIFICATE,
  CERTIFICATE_KEY,
  CERTIFICATE_NAME,
} from "../../../peer/carrier/quic_certificate.ts";
import { type Address, parseAddress } from "../../../protocol/address.ts";

/** What Deno's QUIC is fastest with, of those tried: 64 KiB to 1 MiB. */
const CHUNK_BYTES = 262_144;
const ALPN = ["raw"];

/** What a side used for the file alone. */
export interface RawFigures {
  seconds: number;
  cpu: number;
}

const [role, portText, peerText, path] = Deno.args;
const peer = parseAddress(peerText!);
const port = Number(portText);
const figures = await (role === "send" ? send(port, peer, path!) : receive(port, peer, path!));
console.log(JSON.stringify(figures));
Deno.exit(0);

async function send(port: number, peer: Address, path: string): Promise<RawFigures> {
  await openHole(port, peer);
  const endpoint = new Deno.QuicEndpoint({ hostname: "0.0.0.0", port });
  const listener = endpoint.listen({
    cert: CERTIFICATE,
    key: CERTIFICATE_KEY,
    alpnProtocols: ALPN,
  });
  console.log("ready");
  const connection = await (await listener.incoming()).accept();
  const stream = await connection.createBidirectionalStream();
  const usage = measure();
  using file = await Deno.open(path);
  const writer = stream.writable.getWriter();
  for (;;) {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const length = await file.read(chunk);
    if (length === null) break;
    await writer.write(chunk.subarray(0, length));
  }
  await writer.close();
  // The receiver ends its direction when it has all.
  await stream.readable.getReader().read();
  const used = usage();
  connection.close();
  await connection.closed;
  return used;
}

async function receive(port: number, peer: Address, path: string): Promise<RawFigures> {
  const endpoint = new Deno.QuicEndpoint({ hostname: "0.0.0.0", port });
  const connection = await Deno.connectQuic({
    hostname: peer.host,
    port: peer.port,
    endpoint,
    serverName: CERTIFICATE_NAME,
    caCerts: [CERTIFICATE],
    alpnProtocols: ALPN,
  });
  const { value: stream } = await connection.incomingBidirectionalStreams.getReader().read();
  const usage = measure();
  using file = await Deno.create(path);
  const reader = stream!.readable.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(CHUNK_BYTES);
  for (;;) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done) break;
    for (let at = 0; at < value.length;) at += await file.write(value.subarray(at));
    buffer = value.buffer;
  }
  await file.sync();
  await stream!.writable.getWriter().close();
  const used = usage();
  await connection.closed;
  return used;
}

/** Lets the other's datagrams in. */
async function openHole(port: number, peer: Address): Promise<void> {
  const socket = dgram.createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(port, resolve));
  await new Promise<unknown>((resolve) => socket.send("hole", peer.port, peer.host, resolve));
  await new Promise<void>((resolve) => socket.close(resolve));
}

/** From now on, until what it returns is called. */
function measure(): () => RawFigures {
  const started = performance.now();
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return { seconds: (performance.now() - started) / 1000, cpu: (user + system) / 1e6 };
  };
}
