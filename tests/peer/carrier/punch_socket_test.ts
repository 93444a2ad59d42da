import { assertEquals } from "@std/assert";
import { PunchSocket } from "../../../peer/carrier/punch_socket.ts";
import type { Address } from "../../../protocol/address.ts";
import { AsyncQueue } from "../../../peer/async_queue.ts";

interface Arrived {
  bytes: Uint8Array;
  from: Address;
}

/** A socket of one family, and what arrives at it. */
async function open(ipv6 = false) {
  const arrived = new AsyncQueue<Arrived>();
  const socket = await PunchSocket.open(ipv6, (bytes, from) => arrived.push({ bytes, from }));
  if (!socket) throw new Error("No socket");
  return { socket, arrived };
}

Deno.test("PunchSocket: datagrams go both ways, with either time to live, in the order of sending", async () => {
  for (const [ipv6, host] of [[false, "127.0.0.1"], [true, "::1"]] as const) {
    const [here, there] = [await open(ipv6), await open(ipv6)];
    const to = { host, port: there.socket.port };
    here.socket.send(Uint8Array.of(1), to, 5);
    here.socket.send(Uint8Array.of(2), to);
    const first = await there.arrived.next();
    assertEquals(first, { bytes: Uint8Array.of(1), from: { host, port: here.socket.port } });
    assertEquals((await there.arrived.next())!.bytes, Uint8Array.of(2));
    there.socket.send(Uint8Array.of(3), first!.from);
    assertEquals((await here.arrived.next())!.bytes, Uint8Array.of(3));
    await Promise.all([here.socket.close(), there.socket.close()]);
  }
});

Deno.test("PunchSocket: when it is closed all has gone out, and another may take the port at once", async () => {
  const [here, there] = [await open(), await open()];
  for (let i = 0; i < 3; i++) {
    here.socket.send(Uint8Array.of(i), { host: "127.0.0.1", port: there.socket.port });
  }
  const { port } = here.socket;
  await here.socket.close();
  const next = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port });
  next.close();
  for (let i = 0; i < 3; i++) assertEquals((await there.arrived.next())!.bytes, Uint8Array.of(i));
  here.socket.send(Uint8Array.of(9), { host: "127.0.0.1", port: there.socket.port });
  await Promise.all([here.socket.close(), there.socket.close()]);
});

Deno.test("PunchSocket: what cannot be sent is lost, and nothing else", async () => {
  const [here, there] = [await open(), await open()];
  here.socket.send(Uint8Array.of(1), { host: "240.0.0.1", port: 9 });
  here.socket.send(Uint8Array.of(2), { host: "::1", port: 9 });
  here.socket.send(new Uint8Array(70_000), { host: "127.0.0.1", port: 9 });
  here.socket.send(Uint8Array.of(4), { host: "127.0.0.1", port: there.socket.port });
  assertEquals((await there.arrived.next())!.bytes, Uint8Array.of(4));
  await Promise.all([here.socket.close(), there.socket.close()]);
});
