import { assert, assertEquals, assertInstanceOf } from "@std/assert";
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
import { generateKeyPair, type KeyPair } from "../../protocol/noise.ts";
import { TLS_PREFACE } from "../../protocol/preface.ts";
import {
  decodeTlsAnswer,
  encodeTlsAnswer,
  encodeTlsRequest,
  TLS_REQUEST_BYTES,
} from "../../protocol/tls_opening.ts";
import { pattern, readExactly } from "../conformance/connection.ts";
import { acceptTls } from "../fakes/accept_tls.ts";
import { readStream } from "../fakes/session_pair.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const alice = generateKeyPair();
const bob = generateKeyPair();
const BLOCKS = Array.from({ length: 32 }, (_, index) => pattern(262_144, index * 7));
const WHOLE = concatBytes(...BLOCKS);

/** What becomes of one connection on its way to the listener. */
type Fate = (near: TcpConnection, pass: (near: Connection) => Promise<void>) => Promise<void>;

interface Fates {
  /** That of the second connection, which asks for TLS, and of later ones. */
  asking?: Fate;
  /** That of connections inside TLS, before it begins. */
  inside?: Fate;
}

const PASS: Fate = (near, pass) => pass(near);

/** A session through a proxy that treats each of its connections as the test wants. */
class Rig implements AsyncDisposable {
  readonly refused: P2pError[] = [];
  readonly listener: Listener;
  readonly #folder = new TemporaryFolder();
  readonly #socket = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #fates: Fates;
  readonly #work: Promise<void>[] = [];
  readonly #open = new Set<Connection>();
  readonly #over = new AbortController();
  /** Connections taken at the listener's port, and those that came for TLS. */
  taken = 0;
  inside = 0;

  constructor(fates: Fates = {}, identity: KeyPair = bob) {
    this.#fates = fates;
    this.listener = new Listener({
      host: "127.0.0.1",
      port: 0,
      identity,
      name: () => "bob",
      admit: () => Promise.resolve(),
      tls: true,
      onRefused: (_remote, error) => this.refused.push(error),
    });
    this.#work.push(this.#accept());
  }

  async session(): Promise<[Session, Session]> {
    const trust = new Trust(new KnownPeers(this.#folder.path));
    const address = { host: "127.0.0.1", port: this.#socket.addr.port };
    const route = new AddressRoute(address, { identity: alice, trust });
    const { signal } = this.#over;
    const options = { name: "alice", signal, identity: alice, tls: true };
    const near = await dialSession(route, options);
    return [near, (await this.listener.sessions.next())!];
  }

  /** Breaks every connection. */
  cut(): void {
    for (const each of this.#open) each.close();
    this.#open.clear();
  }

  track<Kind extends Connection>(connection: Kind): Kind {
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

  async #accept(): Promise<void> {
    const { asking = PASS } = this.#fates;
    try {
      for await (const conn of this.#socket) {
        const near = this.track(new TcpConnection(conn));
        const fate = this.taken++ === 0
          ? this.#pass(near)
          : asking(near, (near) => this.#passAsking(near));
        this.#work.push(fate.catch(() => near.close()));
      }
    } catch {
      // Closed.
    }
  }

  async #pass(near: Connection, port = this.listener.port): Promise<void> {
    await join(near, this.track(await dial(port)));
  }

  /** Hands a request and its answer on, but for the port: what is inside comes through here, too. */
  async #passAsking(near: Connection): Promise<void> {
    const first = await readExactly(near, 10);
    const far = this.track(await dial(this.listener.port));
    await far.write(first);
    if (!equalBytes(first, TLS_PREFACE)) return await join(near, far);
    await far.write(await readExactly(near, 2 + TLS_REQUEST_BYTES));
    const said = await readAll(far);
    far.close();
    if (equalBytes(said.subarray(0, 10), TLS_PREFACE)) {
      const { port, certificate } = decodeTlsAnswer(said.subarray(12));
      const door = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      this.#work.push(this.#acceptInside(door, port));
      await near.write(encodeTlsAnswer({ port: door.addr.port, certificate }));
    } else await near.write(said);
    await near.closeWrite();
  }

  async #acceptInside(door: Deno.TcpListener, port: number): Promise<void> {
    const { inside = PASS } = this.#fates;
    const abort = () => door.close();
    this.#over.signal.addEventListener("abort", abort);
    const conn = await door.accept().catch(() => undefined);
    if (!conn) return;
    this.#over.signal.removeEventListener("abort", abort);
    door.close();
    this.inside++;
    const near = this.track(new TcpConnection(conn));
    await inside(near, (near) => this.#pass(near, port)).catch(() => near.close());
  }
}

async function dial(port: number): Promise<TcpConnection> {
  return new TcpConnection(await Deno.connect({ hostname: "127.0.0.1", port }));
}

async function readAll(connection: Connection): Promise<Uint8Array> {
  const parts = [];
  for (let bytes = await connection.read(); bytes; bytes = await connection.read()) {
    parts.push(bytes);
  }
  return concatBytes(...parts);
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

/** Turns one bit over in the byte that is written as the `offset`th, counted from 0. */
function alterWritten(connection: Connection, offset: number): void {
  const write = connection.write.bind(connection);
  let passed = 0;
  connection.write = async (...parts) => {
    for (const part of parts) {
      const at = offset - passed;
      if (at >= 0 && at < part.length) part[at]! ^= 0x10;
      passed += part.length;
    }
    await write(...parts);
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
  await carries(near, far, () => near.onBulk!());
  await until(() => near.carrier === "secure tls" && far.carrier === "secure tls");
  assertEquals([near.path, far.path, rig.taken], ["lan", "lan", 2]);
  await carries(near, far, () => near.onBulk!());
  assertEquals(rig.taken, 2);
  await bothEnd(near, far);
  assertEquals([(await near.ended).error, (await far.ended).error], [undefined, undefined]);
});

test("a session goes inside TLS whichever way much goes, and three times at most", async () => {
  await using rig = new Rig();
  const [near, far] = await rig.session();
  for (const time of [1, 2, 3]) {
    await carries(far, near, () => near.onBulk!());
    await until(() => near.carrier === "secure tls" && far.carrier === "secure tls");
    assertEquals([rig.inside, near.path, far.state], [time, "lan", "connected"]);
    rig.cut();
    await until(() => near.carrier === "secure tcp" && far.carrier === "secure tcp");
  }
  await carries(near, far, () => near.onBulk!());
  assertEquals([rig.inside, near.carrier], [3, "secure tcp"]);
  await bothEnd(near, far);
});

test("a session whose TLS connection is cut goes on over TCP, and inside TLS again where more is to come", async () => {
  await using rig = new Rig();
  const [near, far] = await rig.session();
  const carriers: string[] = [];
  near.onState = (state) => carriers.push(`${state} ${near.carrier}`);
  near.onBulk!();
  await until(() => near.carrier === "secure tls" && far.carrier === "secure tls");
  let block = 0;
  await carries(near, far, () => {
    if (block++ === 16) rig.cut();
    if (block > 16) near.onBulk!();
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
  await using rig = new Rig({
    async asking(near) {
      first.resolve(await readExactly(near, 10));
      await near.write(encodeText("p2p/1 error unknown kind of connection\n"));
      await near.closeWrite();
      while (await near.read());
      near.close();
    },
  });
  const [near, far] = await rig.session();
  near.onBulk!();
  assertEquals(await first.promise, encodeText("p2p/1 tls\n"));
  await carries(near, far, () => near.onBulk!());
  assertEquals([near.carrier, near.state, rig.taken], ["secure tcp", "connected", 2]);
  await bothEnd(near, far);
});

test("a session goes on while the way to TLS is stuck, and ends in spite of it", async () => {
  await using rig = new Rig({
    async inside(near) {
      while (await near.read());
    },
  });
  const [near, far] = await rig.session();
  near.onBulk!();
  await until(() => rig.inside === 1);
  await carries(near, far, () => near.onBulk!());
  assertEquals([near.carrier, rig.inside], ["secure tcp", 1]);
  await bothEnd(near, far);
});

test("a session stays as it is where nobody gets to another port", async () => {
  await using rig = new Rig({
    async asking(near) {
      await readExactly(near, 12 + TLS_REQUEST_BYTES);
      const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = closed.addr;
      closed.close();
      const { certificate } = makeTlsIdentity();
      await near.write(encodeTlsAnswer({ port, certificate }));
      await near.closeWrite();
    },
  });
  const [near, far] = await rig.session();
  await carries(near, far, () => near.onBulk!());
  await carries(near, far, () => near.onBulk!());
  assertEquals([near.carrier, near.state, rig.taken], ["secure tcp", "connected", 2]);
  await bothEnd(near, far);
});

test("whoever ends TLS in the middle with a certificate of its own is found out by both sides", async () => {
  const joined = Promise.withResolvers<string[]>();
  let sessionId = new Uint8Array(0);
  await using rig = new Rig({
    async asking(near) {
      // To the one who dialled it is the server that it expects, and the client of the other.
      const ours = rig.track(await acceptTls(near));
      const address = { host: "127.0.0.1", port: rig.listener.port };
      // Even one that has found out the session's id.
      const { signal } = new AbortController();
      const far = rig.track(await dialTls(address, { sessionId, signal }));
      joined.resolve([ours.carrier, far.carrier]);
      await join(ours, far);
    },
  });
  const [near, far] = await rig.session();
  sessionId = Uint8Array.from(near.id);
  near.onBulk!();
  assertEquals(await joined.promise, ["tls", "tls"]);
  await until(() => rig.refused.length === 1);
  assertEquals([near.carrier, far.carrier], ["secure tcp", "secure tcp"]);
  await carries(near, far, () => near.onBulk!());
  assertEquals(rig.taken, 2);
  await bothEnd(near, far);
});

test("whoever does not know the session's id does not even get to TLS", async () => {
  const answered = Promise.withResolvers<Uint8Array>();
  await using rig = new Rig({
    async asking(near) {
      const far = rig.track(await dial(rig.listener.port));
      await far.write(encodeTlsRequest(new Uint8Array(16), new Uint8Array(16)));
      answered.resolve(await readAll(far));
      near.close();
    },
  });
  const [near, far] = await rig.session();
  near.onBulk!();
  const line = "p2p/1 error this side does not go on inside TLS here\n";
  assertEquals(new TextDecoder().decode(await answered.promise), line);
  await carries(near, far);
  await bothEnd(near, far);
});

test("a certificate that is altered on the way leaves both sides as they were", async () => {
  await using rig = new Rig({
    async asking(near, pass) {
      // In its serial number: for TLS it would be as good as before.
      alterWritten(near, 32);
      await pass(near);
    },
  });
  const [near, far] = await rig.session();
  near.onBulk!();
  await until(() => rig.refused.length === 1);
  await carries(near, far, () => near.onBulk!());
  assertEquals([near.carrier, far.carrier, rig.taken], ["secure tcp", "secure tcp", 2]);
  await bothEnd(near, far);
});

test("another key at the address takes nothing over", async () => {
  await using impostor = new Rig(undefined, generateKeyPair());
  await using rig = new Rig({
    asking: async (near) => await join(near, await dial(impostor.listener.port)),
  });
  const [near, far] = await rig.session();
  near.onBulk!();
  await until(() => impostor.refused.length === 1);
  await carries(near, far, () => near.onBulk!());
  assertEquals([near.carrier, rig.taken], ["secure tcp", 2]);
  await bothEnd(near, far);
});

test("one bit that is turned over inside TLS ends the session as one outside does", async () => {
  await using rig = new Rig({
    async inside(near, pass) {
      flip(near, 400_000);
      await pass(near);
    },
  });
  const [near, far] = await rig.session();
  near.onBulk!();
  await until(() => far.carrier === "secure tls");
  const failing = carries(near, far).catch((error) => error);
  const [end, ended] = await Promise.all([far.ended, near.ended]);
  assertInstanceOf(end.error, ProtocolError);
  assert(end.byUs);
  assertInstanceOf(ended.error, ProtocolError);
  await failing;
});

test("one bit that is turned over inside TLS on its way to who dialled ends the session, too", async () => {
  await using rig = new Rig({
    async inside(near, pass) {
      alterWritten(near, 20_000);
      await pass(near);
    },
  });
  const [near, far] = await rig.session();
  near.onBulk!();
  await until(() => far.carrier === "secure tls");
  const failing = carries(far, near).catch((error) => error);
  const [end, ended] = await Promise.all([near.ended, far.ended]);
  assertInstanceOf(end.error, ProtocolError);
  assert(end.byUs);
  assertInstanceOf(ended.error, Error);
  await failing;
});
