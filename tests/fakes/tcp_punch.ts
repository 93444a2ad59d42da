/**
 * Two peers that open a TCP connection to each other at once, and who tells them where they are.
 *
 *     deno run -A tcp_punch.ts relay                  tells each of two connections of the other
 *     deno run -A tcp_punch.ts peer ADDRESS           prints "PATH MILLISECONDS GREETING"
 */
import { parseIpAddress } from "../../protocol/address.ts";
import { concatBytes } from "../../protocol/bytes.ts";
import type { Connection } from "../../protocol/connection.ts";
import { dialRelayPort, openSimultaneously } from "../../peer/carrier/node_tcp.ts";
import { TcpConnection } from "../../peer/carrier/tcp.ts";

const PORT = 8080;
const NEWLINE = 0x0a;

async function readLine(connection: Connection): Promise<string> {
  let line = new Uint8Array(0);
  while (line.at(-1) !== NEWLINE) {
    const read = await connection.read(new Uint8Array(1));
    if (!read) throw new Error("It ended in the middle of a line");
    line = concatBytes(line, read);
  }
  return new TextDecoder().decode(line).trim();
}

async function writeLine(connection: Connection, line: string): Promise<void> {
  await connection.write(new TextEncoder().encode(`${line}\n`));
}

async function relay(): Promise<void> {
  using socket = Deno.listen({ hostname: "0.0.0.0", port: PORT });
  console.log("listening");
  const first = new TcpConnection(await socket.accept());
  const second = new TcpConnection(await socket.accept());
  await Promise.all([writeLine(first, second.remote), writeLine(second, first.remote)]);
  await first.read();
}

async function peer(host: string): Promise<void> {
  const { signal } = new AbortController();
  const control = await dialRelayPort({ host, port: PORT }, signal);
  const remote = parseIpAddress(await readLine(control))!;
  const started = performance.now();
  const connection = await openSimultaneously({ localPort: control.localPort, remote, signal });
  const milliseconds = Math.round(performance.now() - started);
  const [greeting] = await Promise.all([
    readLine(connection),
    writeLine(connection, "well met"),
  ]);
  console.log(`${connection.path} ${milliseconds} ${greeting}`);
}

if (Deno.args[0] === "relay") await relay();
else await peer(Deno.args[1]!);
