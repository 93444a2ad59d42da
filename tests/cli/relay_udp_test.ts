import { assertEquals } from "@std/assert";
import { Program } from "../fakes/program.ts";

/** A UDP client that knows nothing of p2p: what Peer-Punch's programs are to a relay. */
class Client implements Disposable {
  readonly #socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  readonly #relay: Deno.NetAddr;

  constructor(relay: string) {
    const [hostname, port] = relay.split(":") as [string, string];
    this.#relay = { transport: "udp", hostname, port: Number(port) };
  }

  get address(): string {
    return `127.0.0.1:${(this.#socket.addr as Deno.NetAddr).port}`;
  }

  async says(text: string): Promise<void> {
    await this.#socket.send(new TextEncoder().encode(text), this.#relay);
  }

  /** The next datagram, byte for byte. */
  async hears(): Promise<string> {
    const [bytes, from] = await this.#socket.receive();
    assertEquals((from as Deno.NetAddr).port, this.#relay.port);
    return new TextDecoder().decode(bytes);
  }

  async asks(text: string): Promise<string> {
    await this.says(text);
    return await this.hears();
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

Deno.test("a relay speaks Peer-Punch's protocol over UDP, byte for byte", async () => {
  await using relay = await Program.relay();
  using alice = new Client(relay.address);
  using bob = new Client(relay.address);
  using carol = new Client(relay.address);

  assertEquals(await alice.asks('{"Register":{"username":"alice"}}'), '"RegisterAck"');
  assertEquals(await alice.asks('{"Connect":{"target_username":"bob"}}'), '"TargetNotFound"');
  assertEquals(await bob.asks('{"Register":{"username":"bob"}}'), '"RegisterAck"');
  assertEquals(await carol.asks('{"Register":{"username":"carol"}}'), '"RegisterAck"');

  await alice.says('{"Connect":{"target_username":"bob"}}');
  const toAlice = `{"PeerInfo":{"peer":"${bob.address}","username":"bob"}}`;
  const toBob = `{"PeerInfo":{"peer":"${alice.address}","username":"alice"}}`;
  assertEquals([await alice.hears(), await bob.hears()], [toAlice, toBob]);

  assertEquals(await carol.asks('{"Connect":{"target_username":"bob"}}'), '"TargetBusy"');
  await bob.says('"SessionFinished"');
  await carol.says('{"Connect":{"target_username":"bob"}}');
  assertEquals(
    [await carol.hears(), await bob.hears()],
    [
      `{"PeerInfo":{"peer":"${bob.address}","username":"bob"}}`,
      `{"PeerInfo":{"peer":"${carol.address}","username":"carol"}}`,
    ],
  );

  assertEquals(await alice.asks('"Ping"'), '"Pong"');
  await carol.says('"Goodbye"');
  assertEquals(await alice.asks('{"Connect":{"target_username":"carol"}}'), '"TargetNotFound"');
});

Deno.test("what is garbage over UDP is answered by nothing, and harms nobody", async () => {
  await using relay = await Program.relay();
  using client = new Client(relay.address);
  const garbage = ["", "\0", "\u0001\0\0\0", "{", '"Dance"', "[".repeat(1_200), "x".repeat(9_000)];
  for (const each of garbage) await client.says(each);
  assertEquals(await client.asks('"Ping"'), '"Pong"');
});
