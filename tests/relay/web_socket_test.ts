import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { TcpConnection } from "../../peer/carrier/tcp.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { RELAY_DEAD_MS, RELAY_PING_MS } from "../../protocol/limits.ts";
import { serveHttp } from "../../relay/http.ts";
import type { Holder } from "../../relay/names.ts";
import { settled } from "../fakes/clock.ts";
import { HttpClient } from "../fakes/http_client.ts";
import { type FakeRelayContext, fakeRelayContext } from "../fakes/relay_context.ts";

const UPGRADE = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n" +
  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A frame as a client sends it, masked with zeros. */
function frame(opcode: number, payload: string | Uint8Array = "", final = true): Uint8Array {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const length = bytes.length < 126 ? [bytes.length] : [126, bytes.length >> 8, bytes.length & 255];
  length[0]! |= 0x80;
  return new Uint8Array([(final ? 0x80 : 0) | opcode, ...length, 0, 0, 0, 0, ...bytes]);
}

/** A WebSocket client that writes its frames byte for byte, over a line in memory. */
class RawWebSocket implements AsyncDisposable {
  readonly http: HttpClient;
  #received = new Uint8Array(0);

  /** @param chunk bytes that the relay gets in each read, at the most */
  constructor(readonly context: FakeRelayContext, chunk?: number) {
    this.http = new HttpClient(context, chunk);
  }

  static async open(context: FakeRelayContext, chunk?: number): Promise<RawWebSocket> {
    const client = new RawWebSocket(context, chunk);
    await client.http.send(UPGRADE);
    let head = "";
    while (!head.endsWith("\r\n\r\n")) {
      head += new TextDecoder().decode((await client.http.connection.read())!);
    }
    assertStringIncludes(head, "HTTP/1.1 101 ");
    assertStringIncludes(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    return client;
  }

  async sends(...frames: Uint8Array[]): Promise<void> {
    for (const each of frames) await this.http.connection.write(each);
  }

  /** The next frame: its opcode and payload as text; null at the end. */
  async next(): Promise<[opcode: number, text: string] | null> {
    for (;;) {
      const length = this.#frameLength();
      if (length !== undefined && this.#received.length >= length) return this.#take(length);
      const more = await this.http.connection.read().catch(() => null);
      if (!more) return null;
      this.#received = new Uint8Array([...this.#received, ...more]);
    }
  }

  async asks(message: string): Promise<string | undefined> {
    await this.sends(frame(Opcode.text, message));
    return (await this.next())?.[1];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.http.connection.close();
    await this.http.served;
    await settled();
    assertEquals(this.context.clock.pending, 0, "a timer is left behind");
  }

  #frameLength(): number | undefined {
    const [, length, high, low] = this.#received;
    if (length === undefined || length < 126) return length === undefined ? length : 2 + length;
    return low === undefined ? undefined : 4 + (high! << 8 | low);
  }

  #take(length: number): [number, string] {
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.slice(length);
    const payload = taken.subarray(taken[1]! < 126 ? 2 : 4);
    const opcode = taken[0]! & 15;
    if (opcode !== Opcode.close) return [opcode, new TextDecoder().decode(payload)];
    return [opcode, String(payload[0]! << 8 | payload[1]!)];
  }
}

/** A relay on loopback, for the runtime's own WebSocket client. */
class Relay implements AsyncDisposable {
  readonly context: FakeRelayContext;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #work: Promise<void>[] = [];

  constructor(context: FakeRelayContext) {
    this.context = context;
    this.#work.push(this.#accept());
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#listener.addr.port}/ws`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await Promise.all(this.#work);
  }

  async #accept(): Promise<void> {
    try {
      for await (const conn of this.#listener) {
        this.#work.push(serveHttp(new TcpConnection(conn), new ReceiveBuffer(512), this.context));
      }
    } catch {
      // Closed.
    }
  }
}

/** A WebSocket client that is not ours: the runtime's. */
class Browser implements AsyncDisposable {
  readonly socket: WebSocket;
  readonly #closed: Promise<CloseEvent>;
  readonly #messages: string[] = [];
  #wake = () => {};

  constructor(url: string) {
    this.socket = new WebSocket(url);
    this.#closed = new Promise((resolve) => this.socket.onclose = resolve);
    this.socket.onmessage = ({ data }) => {
      this.#messages.push(data);
      this.#wake();
    };
  }

  static async open(url: string): Promise<Browser> {
    const browser = new Browser(url);
    await new Promise((resolve, reject) => {
      browser.socket.onopen = resolve;
      browser.socket.onerror = reject;
    });
    browser.socket.onerror = null;
    return browser;
  }

  async next(): Promise<string> {
    while (this.#messages.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#messages.shift()!;
  }

  async asks(message: string): Promise<string> {
    this.socket.send(message);
    return await this.next();
  }

  /** Waits for the relay to close it; resolves to the code. */
  async closed(): Promise<number> {
    return (await this.#closed).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close();
    await this.#closed;
  }
}

Deno.test("the runtime's WebSocket registers an address, and another looks it up", async () => {
  await using relay = new Relay(fakeRelayContext());
  await using anna = await Browser.open(relay.url);
  await using bob = await Browser.open(relay.url);
  const register = '{"Register":{"username":"anna","address":"203.0.113.7:8080"}}';
  assertEquals(await anna.asks(register), '"RegisterAck"');
  assertEquals(relay.context.counters.registrations.websocket, 1);
  assertEquals(
    await bob.asks('{"Connect":{"target_username":"anna"}}'),
    '{"PeerInfo":{"peer":"203.0.113.7:8080","username":"anna"}}',
  );
  assertEquals(await bob.asks('{"Connect":{"target_username":"carol"}}'), '"TargetNotFound"');
  assertEquals(await bob.asks('"Ping"'), '"Pong"');
  assertEquals(await anna.asks('"Ping"'), '"Pong"', "Anna was told something");
});

Deno.test("without an address the one is told that the relay sees", async () => {
  await using relay = new Relay(fakeRelayContext());
  await using anna = await Browser.open(relay.url);
  await anna.asks('{"Register":{"username":"anna"}}');
  const answer = JSON.parse(await anna.asks('{"Connect":{"target_username":"anna"}}'));
  assertEquals(answer.PeerInfo.username, "anna");
  assertStringIncludes(answer.PeerInfo.peer, "127.0.0.1:");
});

Deno.test("a name is free when its WebSocket is closed, or has said Goodbye", async () => {
  await using relay = new Relay(fakeRelayContext());
  const register = '{"Register":{"username":"anna"}}';
  {
    await using anna = await Browser.open(relay.url);
    await anna.asks(register);
    await using rival = await Browser.open(relay.url);
    assertStringIncludes(await rival.asks(register), '{"Refused":{"code":"NameTaken"');
    anna.socket.send('"Goodbye"');
    assertEquals(await anna.closed(), 1000);
    assertEquals(await rival.asks(register), '"RegisterAck"');
  }
  await using next = await Browser.open(relay.url);
  while (relay.context.names.size > 0) await next.asks('"Ping"');
  assertEquals(await next.asks(register), '"RegisterAck"');
});

Deno.test("a relay with a password serves those who know it", async () => {
  await using relay = new Relay(fakeRelayContext({ password: "sesame" }));
  await using anna = await Browser.open(relay.url);
  assertStringIncludes(await anna.asks('{"Hello":{"password":"sesame"}}'), '{"Welcome":{"address"');
  assertEquals(await anna.asks('{"Register":{"username":"anna"}}'), '"RegisterAck"');
  for (const first of ['{"Hello":{"password":"wrong"}}', '{"Hello":{}}', '"Ping"', "{}"]) {
    await using eve = await Browser.open(relay.url);
    const code = first === "{}" ? "Malformed" : "Password";
    assertStringIncludes(await eve.asks(first), `{"Refused":{"code":"${code}"`);
    assertEquals(await eve.closed(), 1008);
  }
});

for (
  const [what, sent] of [
    ["text that is no message", ["hello"]],
    ["a message that is unknown", ['"Dance"']],
    ["an answer", ['"RegisterAck"']],
    ["a binary frame", [new TextEncoder().encode('"Ping"')]],
    ["deep nesting", ["[".repeat(4_000)]],
  ] as [string, (string | Uint8Array<ArrayBuffer>)[]][]
) {
  Deno.test(`${what} is refused, and the WebSocket closed`, async () => {
    await using relay = new Relay(fakeRelayContext());
    await using anna = await Browser.open(relay.url);
    for (const each of sent) anna.socket.send(each);
    assertStringIncludes(await anna.next(), '{"Refused":{"code":"Malformed"');
    assertEquals(await anna.closed(), 1008);
    assertEquals(relay.context.counters.refusals.Malformed, 1);
  });
}

Deno.test("a message over the limit closes the WebSocket before it is whole", async () => {
  const context = fakeRelayContext();
  await using client = await RawWebSocket.open(context);
  await client.sends(
    frame(Opcode.text, "x".repeat(context.limits.maxMessageBytes + 1)).subarray(0, 8),
  );
  assertEquals(await client.next(), [Opcode.close, "1009"]);
});

for (
  const [what, frames, code] of [
    ["a frame that is not masked", [Uint8Array.fromHex("8104226122")], "1002"],
    ["an unknown opcode", [frame(3)], "1002"],
    ["a reserved bit", [frame(0x41, "a")], "1002"],
    ["a continuation of nothing", [frame(Opcode.continuation, "a")], "1002"],
    ["a ping in pieces", [frame(Opcode.ping, "", false)], "1002"],
    ["text that is not UTF-8", [frame(Opcode.text, new Uint8Array([0x22, 0xff, 0x22]))], "1007"],
    [
      "a message in very many pieces",
      [frame(Opcode.text, "", false), ...Array(100).fill(frame(Opcode.continuation, "", false))],
      "1008",
    ],
    ["pieces that are too much together", [
      frame(Opcode.text, "x".repeat(4_000), false),
      frame(Opcode.continuation, "x".repeat(4_000), false),
    ], "1009"],
  ] as [string, Uint8Array[], string][]
) {
  Deno.test(`${what} closes a WebSocket with ${code}`, async () => {
    await using client = await RawWebSocket.open(fakeRelayContext());
    await client.sends(...frames);
    assertEquals(await client.next(), [Opcode.close, code]);
  });
}

Deno.test("a message that trickles in byte by byte is heard, one that is all crumbs is not kept", async () => {
  await using client = await RawWebSocket.open(fakeRelayContext(), 1);
  assertEquals(await client.asks('"Ping"'), '"Pong"');
  await client.sends(frame(Opcode.text, "x".repeat(4_000)));
  assertEquals(await client.next(), [Opcode.close, "1008"]);
});

Deno.test("a message in pieces, with a ping between, and behind the request, is heard", async () => {
  const context = fakeRelayContext();
  await using client = new RawWebSocket(context);
  const pieces = [
    frame(Opcode.text, '"Pi', false),
    frame(Opcode.ping, "there?"),
    frame(Opcode.continuation, 'ng"'),
  ];
  const upgrade = new TextEncoder().encode(UPGRADE);
  await client.http.connection.write(
    new Uint8Array([...upgrade, ...pieces.flatMap((each) => [...each])]),
  );
  let text = "";
  while (!text.endsWith('"Pong"')) {
    text += new TextDecoder().decode((await client.http.connection.read())!);
  }
  assert(text.includes("\x8a\x06there?") || text.includes("\ufffd\x06there?"));
});

for (
  const [what, from, to, status] of [
    ["no key", /Sec-WebSocket-Key.*\r\n/, "", 400],
    ["a short key", "dGhlIHNhbXBsZSBub25jZQ==", "AAAA", 400],
    ["another version", "Version: 13", "Version: 7", 400],
    ["no Connection header", /Connection.*\r\n/, "", 426],
    ["another path", "/ws", "/other", 404],
    ["another method", "GET", "POST", 405],
  ] as [string, string | RegExp, string, number][]
) {
  Deno.test(`an upgrade with ${what} is answered with ${status}`, async () => {
    const context = fakeRelayContext();
    const client = new HttpClient(context);
    await client.send(UPGRADE.replace(from, to));
    assertEquals((await client.answer()).status, status);
    assertEquals(context.clock.pending, 0);
  });
}

Deno.test("a ping is answered with one pong that has its bytes", async () => {
  await using client = await RawWebSocket.open(fakeRelayContext());
  await client.sends(frame(Opcode.ping, "a"), frame(Opcode.ping, "b"));
  assertEquals(await client.next(), [Opcode.pong, "a"]);
  assertEquals(await client.next(), [Opcode.pong, "b"]);
});

Deno.test("a WebSocket is pinged, and closed when it shows no sign of life", async () => {
  const context = fakeRelayContext();
  await using client = await RawWebSocket.open(context);
  await client.asks('{"Register":{"username":"anna"}}');
  await context.clock.advance(RELAY_PING_MS);
  assertEquals(await client.next(), [Opcode.ping, ""]);
  await client.sends(frame(Opcode.pong));
  await context.clock.advance(RELAY_PING_MS);
  assertEquals(await client.next(), [Opcode.ping, ""]);
  assertEquals(context.names.size, 1);
  await context.clock.advance(RELAY_DEAD_MS);
  await client.http.served;
  assertEquals(context.names.size, 0);
});

Deno.test("who asks too fast is told so once, and heard again later", async () => {
  const context = fakeRelayContext({ limits: { rate: 10 } });
  await using client = await RawWebSocket.open(context);
  await client.sends(...Array(1_000).fill(frame(Opcode.text, '"Ping"')));
  const answers: string[] = [];
  while (!answers.at(-1)?.includes("TooFast")) answers.push((await client.next())![1]);
  assertEquals(answers.length, 41);
  await settled();
  assert(client.http.connection.unread > 0, "it was read on");
  while (client.http.connection.unread > 0) await context.clock.advance(1_000);
  await context.clock.advance(10_000);
  await client.sends(frame(Opcode.text, '{"Connect":{"target_username":"x"}}'));
  for (let answer = ""; !answer.includes("TargetNotFound");) answer = (await client.next())![1];
  assert(context.counters.refusals.TooFast < 30);
});

Deno.test("a client that asked too fast may break off while nothing is read of it", async () => {
  const context = fakeRelayContext({ limits: { rate: 10 } });
  await using client = await RawWebSocket.open(context);
  await client.sends(...Array(100).fill(frame(Opcode.text, '"Ping"')));
  await settled();
  context.drain();
});

for (
  const [what, flood] of [
    ["messages", frame(Opcode.text, '{"Connect":{"target_username":"anna"}}')],
    ["pings", frame(Opcode.ping, "x".repeat(125))],
  ] as const
) {
  Deno.test(`a client that sends ${what} and reads nothing is read no more, and dropped`, async () => {
    const context = fakeRelayContext({ limits: { rate: Infinity } });
    const client = await RawWebSocket.open(context);
    await client.asks(`{"Register":{"username":"anna","address":"203.0.113.7:8080"}}`);
    let sent = 0;
    const flooding = (async () => {
      for (;; sent += flood.length) await client.sends(flood);
    })().catch(() => {});
    for (let before = -1; sent !== before;) {
      before = sent;
      for (let round = 0; round < 50; round++) await settled();
    }
    // What the line, both buffers and this side's own room hold; nothing grows beyond it.
    assert(sent < 512 * 1_024, `${sent} bytes were taken`);
    await context.clock.advance(RELAY_DEAD_MS + RELAY_PING_MS);
    await client.http.served;
    await flooding;
    assertEquals(context.names.size, 0);
    assertEquals(context.clock.pending, 0);
  });
}

Deno.test("a name goes to who has a key, and the WebSocket is told", async () => {
  const context = fakeRelayContext();
  await using client = await RawWebSocket.open(context);
  await client.asks('{"Register":{"username":"anna"}}');
  const holder: Holder = {
    kind: "control",
    ip: "1.2.3.4",
    source: "1.2.3.4",
    key: new Uint8Array(32),
    name: undefined,
    replaced() {},
  };
  assertEquals(context.names.register("anna", holder, 0), undefined);
  assertStringIncludes((await client.next())![1], '"Replaced"');
  assertEquals(await client.next(), [Opcode.close, "1008"]);
  assertEquals(holder.name, "anna");
});

Deno.test("a relay that drains sends its WebSockets away", async () => {
  const context = fakeRelayContext();
  await using client = await RawWebSocket.open(context);
  await client.asks('{"Register":{"username":"anna"}}');
  context.drain();
  assertStringIncludes((await client.next())![1], '"Draining"');
  assertEquals(await client.next(), [Opcode.close, "1008"]);
  assertEquals(context.names.size, 0);
});

Deno.test("a WebSocket that breaks leaves nothing behind", async () => {
  for (const end of ["cut", "close", "closeWrite"] as const) {
    const context = fakeRelayContext();
    await using client = await RawWebSocket.open(context);
    await client.asks('{"Register":{"username":"anna"}}');
    await client.http.connection[end]();
    await client.http.served;
    assertEquals(context.names.size, 0);
  }
});
