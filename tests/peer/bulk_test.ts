import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { acceptTls } from "../../peer/carrier/accept_tls.ts";
import { sealsFast } from "../../peer/carrier/aes.ts";
import { TcpConnection } from "../../peer/carrier/tcp.ts";
import { dialTls } from "../../peer/carrier/tls.ts";
import { makeTlsIdentity } from "../../peer/carrier/tls_certificate.ts";
import { dialSession } from "../../peer/dialer.ts";
import { KnownPeers } from "../../peer/known_peers.ts";
import { Listener } from "../../peer/listener.ts";
import { AddressRoute } from "../../peer/route.ts";
import type { Session } from "../../peer/session.ts";
import { Trust } from "../../peer/trust.ts";
import { concatBytes, encodeText, equalBytes } from "../../protocol/bytes.ts";
import type { Connection } from "../../protocol/connection.ts";
import { type P2pError, ProtocolError } from "../../protocol/errors.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { generateKeyPair, type KeyPair } from "../../protocol/noise.ts";
import { encodeTlsOpening } from "../../protocol/tls_opening.ts";
import { pattern, readExactly } from "../conformance/connection.ts";
import { readStream } from "../fakes/session_pair.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const alice = generateKeyPair();
const bob = generateKeyPair();
const BLOCKS = Array.from({ length: 32 }, (_, index) => pattern(262_144, index * 7));
const WHOLE = concatBytes(...BLOCKS);

/** What becomes of one connection on its way to the listener. */
type Fate = (near: TcpConnection, pass: (near: Connection) => Promise<void>) => Promise<void>;

/** A session through a proxy that treats each of its connections as the test wants. */
class Rig implements AsyncDisposable {
  readonly refused: P2pError[] = [];
  readonly listener: Listener;
  readonly #folder = new TemporaryFolder();
  readonly #socket = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #work: Promise<void>[] = [];
  readonly #open = new Set<Connection>();
  readonly #over = new AbortController();
  /** Connections taken, and those that came for TLS. */
  taken = 0;

  /** @param second the fate of the second connection, and of later ones */
  constructor(second: Fate = (near, pass) => pass(near), identity: KeyPair = bob) {
    this.listener = new Listener({
      host: "127.0.0.1",
      port: 0,
      identity,
      name: () => "bob",
      admit: () => Promise.resolve(),
      tls: true,
      onRefused: (_remote, error) => this.refused.push(error),
    });
    this.#work.push(this.#accept(second));
  }

  async session(): Promise<[Session, Session]> {
    const trust = new Trust(new KnownPeers(this.#folder.path));
    const address = { host: "127.0.0.1", port: this.#socket.addr.port };
    const route = new AddressRoute(address, { identity: alice, trust });
    const { signal } = this.#over;
    const near = await dialSession(route, { name: "alice", signal, identity: alice });
    return [near, (await this.listener.sessions.next())!];
  }

  /** Breaks every connection. */
  cut(): void {
    for (const each of this.#open) each.close();
    this.#open.clear();
  }

  track(connection: Connection): Connection {
    this.#open.add(connection);
    return connection;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new Error("The test is over"));
    this.#socket.close();
    this.listener.close();
    this.cut();
    await Promise.all(this.#work);
    this.#folder[Symbol.dispose]();
  }

  async #accept(second: Fate): Promise<void> {
    try {
      for await (const conn of this.#socket) {
        const near = new TcpConnection(conn);
        this.track(near);
        const pass = (near: Connection) => this.#pass(near);
        const fate = this.taken++ === 0 ? pass(near) : second(near, pass);
        this.#work.push(fate.catch(() => near.close()));
      }
    } catch {
      // Closed.
    }
  }

  async #pass(near: Connection): Promise<void> {
    const far = await Deno.connect({ hostname: "127.0.0.1", port: this.listener.port });
    await join(near, this.track(new TcpConnection(far)));
  }
}

async function join(a: Connection, b: Connection): Promise<void> {
  await Promise.all([copy(a, b), copy(b, a)]);
  a.close();
  b.close();
}

async function copy(from: Connection, to: Connection): Promise<void> {
  try {
    for (let bytes = await from.read(); bytes; bytes = await from.read()) await to.write(bytes);
    await to.closeWrite();
  } catch {
    from.close();
    to.close();
  }
}

/** Turns one bit over in the byte that is read as the `offset`th, counted from 0. */
function flip(connection: Connection, offset: number): void {
  const read = connection.read.bind(connection);
  let passed = 0;
  connection.read = async (into) => {
    const bytes = await read(into);
    const at = offset - passed;
    if (bytes && at >= 0 && at < bytes.length) bytes[at]! ^= 0x10;
    passed += bytes?.length ?? 0;
    return bytes;
  };
}

/** Resolves when the condition holds, asked at every turn of the event loop. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Sends so many blocks on a stream of its own; resolves when all have arrived, unaltered. */
async function carries(from: Session, to: Session, each?: () => void): Promise<void> {
  const stream = from.open("files/1", "bulk");
  async function send(): Promise<void> {
    for (const block of BLOCKS) {
      each?.();
      await stream.write(block);
    }
    await stream.finish();
  }
  async function receive(): Promise<void> {
    const other = await to.accept();
    if (!other) throw new Error("The session is over");
    const [received] = await Promise.all([readStream(other), other.finish()]);
    assert(equalBytes(received, WHOLE));
  }
  await Promise.all([send(), receive(), readStream(stream)]);
}

async function bothEnd(near: Session, far: Session): Promise<void> {
  await Promise.all([near.end(), far.ended]);
}

const test = sealsFast() ? Deno.test : Deno.test.ignore;

test("a session that is about to send much goes on inside TLS, and nothing is lost", async () => {
  await using rig = new Rig();
  const [near, far] = await rig.session();
  assertEquals([near.carrier, far.carrier], ["secure tcp", "secure tcp"]);
  await carries(near, far, () => near.onBulk!("sent"));
  await until(() => near.carrier === "secure tls" && far.carrier === "secure tls");
  assertEquals([near.path, far.path, rig.taken], ["lan", "lan", 2]);
  await carries(near, far, () => near.onBulk!("sent"));
  assertEquals(rig.taken, 2);
  await bothEnd(near, far);
  assertEquals([(await near.ended).error, (await far.ended).error], [undefined, undefined]);
});

test("a session goes back to TCP where much comes the other way, and to TLS three times at most", async () => {
  await using rig = new Rig();
  const [near, far] = await rig.session();
  near.onBulk!("received");
  for (const openings of [3, 5, 7]) {
    near.onBulk!("sent");
    await until(() => near.carrier === "secure tls" && far.carrier === "secure tls");
    await carries(far, near, () => near.onBulk!("received"));
    await until(() => near.carrier === "secure tcp" && far.carrier === "secure tcp");
    assertEquals([rig.taken, near.path, far.state], [openings, "lan", "connected"]);
  }
  await carries(near, far, () => near.onBulk!("sent"));
  assertEquals([rig.taken, near.carrier], [7, "secure tcp"]);
  await bothEnd(near, far);
});

test("a session whose TLS connection is cut goes on over TCP, and inside TLS again where more is to come", async () => {
  await using rig = new Rig();
  const [near, far] = await rig.session();
  const carriers: string[] = [];
  near.onState = (state) => carriers.push(`${state} ${near.carrier}`);
  near.onBulk!("sent");
  await until(() => near.carrier === "secure tls" && far.carrier === "secure tls");
  let block = 0;
  await carries(near, far, () => {
    if (block++ === 16) rig.cut();
    if (block > 16) near.onBulk!("sent");
  });
  await until(() => carriers.length >= 4);
  assertEquals(carriers, [
    "connected secure tls",
    "away secure tls",
    "connected secure tcp",
    "connected secure tls",
  ]);
  await carries(near, far);
  await bothEnd(near, far);
});

test("a session whose peer is of an older version stays as it is, and asks once only", async () => {
  const first = Promise.withResolvers<Uint8Array>();
  await using rig = new Rig(async (near) => {
    first.resolve(await readExactly(near, 10));
    await near.write(encodeText("p2p/1 error unknown kind of connection\n"));
    await near.closeWrite();
    while (await near.read());
    near.close();
  });
  const [near, far] = await rig.session();
  near.onBulk!("sent");
  assertEquals(await first.promise, encodeText("p2p/1 tls\n"));
  await carries(near, far, () => near.onBulk!("sent"));
  assertEquals([near.carrier, near.state, rig.taken], ["secure tcp", "connected", 2]);
  await bothEnd(near, far);
});

test("a session goes on while the way to TLS is stuck, and ends in spite of it", async () => {
  await using rig = new Rig(async (near) => {
    while (await near.read());
  });
  const [near, far] = await rig.session();
  near.onBulk!("sent");
  await until(() => rig.taken === 2);
  await carries(near, far, () => near.onBulk!("sent"));
  assertEquals([near.carrier, rig.taken], ["secure tcp", 2]);
  await bothEnd(near, far);
});

test("whoever ends TLS in the middle with a certificate of its own is found out by both sides", async () => {
  const joined = Promise.withResolvers<string[]>();
  let sessionId = new Uint8Array(0);
  await using rig = new Rig(async (near) => {
    // To the one who sends it is the client that it expects, and the server to the other.
    await acceptTls(near, new ReceiveBuffer(64), () => true);
    const address = { host: "127.0.0.1", port: rig.listener.port };
    // Even one that has found out the session's id.
    const { signal } = new AbortController();
    const far = rig.track(await dialTls(address, { sessionId, signal }));
    joined.resolve([near.carrier, far.carrier]);
    await join(near, far);
  });
  const [near, far] = await rig.session();
  sessionId = Uint8Array.from(near.id);
  near.onBulk!("sent");
  assertEquals(await joined.promise, ["tls", "tls"]);
  await until(() => rig.refused.length === 1);
  assertEquals([near.carrier, far.carrier], ["secure tcp", "secure tcp"]);
  await carries(near, far, () => near.onBulk!("sent"));
  assertEquals(rig.taken, 2);
  await bothEnd(near, far);
});

test("whoever does not know the session's id does not even get to TLS", async () => {
  const answered = Promise.withResolvers<Uint8Array>();
  await using rig = new Rig(async (near) => {
    await acceptTls(near, new ReceiveBuffer(64), () => true);
    const far = await Deno.connect({ hostname: "127.0.0.1", port: rig.listener.port });
    rig.track(new TcpConnection(far));
    await far.write(encodeTlsOpening(makeTlsIdentity().certificate, new Uint8Array(16)));
    const room = new Uint8Array(256);
    answered.resolve(room.subarray(0, await far.read(room) ?? 0));
    near.close();
  });
  const [near, far] = await rig.session();
  near.onBulk!("sent");
  const line = "p2p/1 error this side does not go on inside TLS here\n";
  assertEquals(new TextDecoder().decode(await answered.promise), line);
  await carries(near, far);
  await bothEnd(near, far);
});

test("a certificate that is altered on the way leaves both sides as they were", async () => {
  await using rig = new Rig(async (near, pass) => {
    // In its serial number: for TLS it would be as good as before.
    flip(near, 62);
    await pass(near);
  });
  const [near, far] = await rig.session();
  near.onBulk!("sent");
  await until(() => rig.refused.length === 1);
  await carries(near, far, () => near.onBulk!("sent"));
  assertEquals([near.carrier, far.carrier, rig.taken], ["secure tcp", "secure tcp", 2]);
  await bothEnd(near, far);
});

test("another key at the address takes nothing over", async () => {
  await using impostor = new Rig(undefined, generateKeyPair());
  await using rig = new Rig(async (near) => {
    const far = await Deno.connect({ hostname: "127.0.0.1", port: impostor.listener.port });
    await join(near, new TcpConnection(far));
  });
  const [near, far] = await rig.session();
  near.onBulk!("sent");
  await until(() => impostor.refused.length === 1);
  await carries(near, far, () => near.onBulk!("sent"));
  assertEquals([near.carrier, rig.taken], ["secure tcp", 2]);
  await bothEnd(near, far);
});

test("one bit that is turned over inside TLS ends the session as one outside does", async () => {
  await using rig = new Rig(async (near, pass) => {
    flip(near, 400_000);
    await pass(near);
  });
  const [near, far] = await rig.session();
  near.onBulk!("sent");
  await until(() => far.carrier === "secure tls");
  const failing = carries(near, far).catch((error) => error);
  const [end, ended] = await Promise.all([far.ended, near.ended]);
  assertInstanceOf(end.error, ProtocolError);
  assert(end.byUs);
  assertInstanceOf(ended.error, ProtocolError);
  await failing;
});

test("one bit that is turned over inside TLS on its way to who dialled ends the session, too", async () => {
  await using rig = new Rig(async (near, pass) => {
    const write = near.write.bind(near);
    let passed = 0;
    near.write = async (...parts) => {
      for (const part of parts) {
        if (passed < 20_000 && passed + part.length > 20_000) part[20_000 - passed]! ^= 0x10;
        passed += part.length;
      }
      await write(...parts);
    };
    await pass(near);
  });
  const [near, far] = await rig.session();
  near.onBulk!("sent");
  await until(() => far.carrier === "secure tls");
  const failing = carries(far, near).catch((error) => error);
  const [end, ended] = await Promise.all([near.ended, far.ended]);
  assertInstanceOf(end.error, ProtocolError);
  // Node's TLS does not say what it could not read: it is told by the other side.
  assertInstanceOf(ended.error, Error);
  await failing;
});
