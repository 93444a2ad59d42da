import { assert, assertEquals } from "@std/assert";
import { IPV4, UdpPort } from "../../peer/udp_port.ts";
import type { Address } from "../../protocol/address.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { type Sees, StunServer } from "../fakes/stun_server.ts";

const OUTSIDE = "203.0.113.2";

/** A port, and the server that tells it where it is seen. */
class Rig implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly server: StunServer;
  readonly port: UdpPort;

  constructor(sees: Sees) {
    this.server = new StunServer(sees);
    this.port = new UdpPort(Promise.resolve(this.server.address), this.clock);
  }

  /** When the port's keep-alive has asked again, and has been answered. */
  async askedAgain(): Promise<void> {
    const { answered } = this.server;
    await this.clock.advance(15_000);
    while (this.server.answered === answered) await settled();
    // What is sent behind the answer arrives behind it.
    const { port } = (await this.port.local(IPV4))!;
    const arrived = Promise.withResolvers<void>();
    this.port.onDatagram = () => arrived.resolve();
    using sender = new UdpSender();
    await sender.send(port);
    await arrived.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.port.close();
    this.server[Symbol.dispose]();
    assertEquals(this.clock.pending, 0, "timers are left");
  }
}

/** Sends datagrams to ports of this machine. */
class UdpSender implements Disposable {
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });

  get address(): Address {
    const { hostname: host, port } = this.#socket.addr as Deno.NetAddr;
    return { host, port };
  }

  async send(port: number): Promise<void> {
    const to = { transport: "udp", hostname: "127.0.0.1", port } as const;
    await this.#socket.send(Uint8Array.of(0x11, 1), to);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** A NAT that takes its next port for each socket and destination. */
function counting(first: number, step: number): Sees {
  let next = first - step;
  return () => ({ host: OUTSIDE, port: next += step });
}

Deno.test("UdpPort: knows how the NAT maps, by what both ports of the relay see", async () => {
  const random = [4711, 50_000, 1_234];
  const kinds: [expected: string, sees: Sees, seen: number][] = [
    ["none", (from) => from, 2],
    ["independent", () => ({ host: OUTSIDE, port: 4000 }), 2],
    ["sequential", counting(4000, 1), 4],
    ["sequential", counting(4000, -2), 4],
    ["dependent", () => ({ host: OUTSIDE, port: random.shift()! }), 2],
  ];
  for (const [expected, sees, seen] of kinds) {
    await using rig = new Rig(sees);
    assertEquals(rig.port.reach.mapping, undefined);
    await rig.port.known;
    const { mapping, ...reach } = rig.port.reach;
    assertEquals([mapping, reach.seen.length], [expected, seen]);
    const local = (await rig.port.local(IPV4))!.port;
    assert(reach.udp.some(({ host, port }) => host === "127.0.0.1" && port === local));
  }
});

Deno.test("UdpPort: where nobody answers, UDP is blocked; requests are repeated until then", async () => {
  await using rig = new Rig(() => undefined);
  const known = rig.port.known.then(() => true);
  while (rig.server.asked < 1) await settled();
  await rig.clock.advance(1_499);
  assertEquals(await Promise.race([known, settled()]), undefined);
  await rig.clock.advance(1);
  await known;
  assertEquals(rig.port.reach.mapping, "blocked");
  while (rig.server.asked < 4) await settled();
});

Deno.test("UdpPort: a relay that cannot be found tells nothing", async () => {
  const clock = new FakeClock();
  const port = new UdpPort(Promise.resolve(undefined), clock);
  await port.known;
  assertEquals([port.reach.mapping, clock.pending], [undefined, 0]);
  await port.close();
});

Deno.test("UdpPort: keeps its mapping alive, and tells when it is another", async () => {
  let port = 4000;
  await using rig = new Rig(() => ({ host: OUTSIDE, port }));
  let changes = 0;
  rig.port.onChanged = () => changes++;
  await rig.port.known;
  await rig.askedAgain();
  await rig.askedAgain();
  assertEquals(changes, 0);
  port = 5000;
  await rig.askedAgain();
  while (changes === 0) await settled();
});

Deno.test("UdpPort: hands over what is no answer to STUN, and gives its ports back", async () => {
  await using rig = new Rig((from) => from);
  await rig.port.known;
  const got = Promise.withResolvers<[number, Uint8Array, Address]>();
  rig.port.onDatagram = (...what) => got.resolve(what);
  using sender = new UdpSender();
  const { port } = (await rig.port.local(IPV4))!;
  await sender.send(port);
  const from = sender.address;
  assertEquals(await got.promise, [IPV4, Uint8Array.of(0x11, 1), from]);
  // Many sockets, one behind the other, as `spread` wants them.
  for (let id = 2; id < 20; id++) await rig.port.send(id, Uint8Array.of(1), from);
  const further = (await rig.port.local(7))!;
  assertEquals(further.ipv6, false);
  await rig.port.close();
  for (const each of [port, further.port]) {
    Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: each }).close();
  }
  await rig.port.send(21, Uint8Array.of(1), from);
  assertEquals(await rig.port.local(21), undefined);
});
