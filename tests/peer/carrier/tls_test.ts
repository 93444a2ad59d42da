import { assert, assertEquals, assertRejects } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { sealsFast } from "../../../peer/carrier/aes.ts";
import { TcpConnection } from "../../../peer/carrier/tcp.ts";
import { dialTls } from "../../../peer/carrier/tls.ts";
import { TlsDoor } from "../../../peer/carrier/tls_door.ts";
import { systemClock } from "../../../peer/clock.ts";
import { bindingOf, makeTlsIdentity, toPem } from "../../../peer/carrier/tls_certificate.ts";
import { encodeText } from "../../../protocol/bytes.ts";
import type { Connection } from "../../../protocol/connection.ts";
import { ProtocolError, UnreachableError } from "../../../protocol/errors.ts";
import { MAX_CERTIFICATE_BYTES } from "../../../protocol/limits.ts";
import type { TlsAnswer } from "../../../protocol/tls_opening.ts";
import { pattern } from "../../conformance/connection.ts";
import { acceptTls } from "../../fakes/accept_tls.ts";
import { TamperingProxy } from "../../fakes/tampering_proxy.ts";

const sessionId = new Uint8Array(16).fill(9);
const never = new AbortController().signal;

/** A connection inside TLS through a proxy that may alter what the dialler sends. */
async function pairThrough(tamper: (proxy: TamperingProxy) => void) {
  const socket = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const proxy = new TamperingProxy("");
  tamper(proxy);
  const lead = ({ port, certificate }: TlsAnswer): TlsAnswer => {
    proxy.target = `127.0.0.1:${port}`;
    return { port: Number(proxy.address.split(":")[1]), certificate };
  };
  async function accept(): Promise<Connection> {
    const asking = new TcpConnection(await socket.accept());
    socket.close();
    const accepted = await acceptTls(asking, { sessionId, lead });
    try {
      await accepted.write(Uint8Array.of(1));
      return accepted;
    } catch (error) {
      accepted.close();
      throw error;
    }
  }
  async function dial(): Promise<Connection> {
    const address = { host: "127.0.0.1", port: socket.addr.port };
    const dialled = await dialTls(address, { sessionId, signal: never });
    try {
      await dialled.read();
      return dialled;
    } catch (error) {
      dialled.close();
      throw error;
    }
  }
  return { proxy, both: await Promise.allSettled([dial(), accept()]) };
}

Deno.test("a certificate is for one connection, for a name that nobody can own, and for nothing else", () => {
  const { certificate, privateKey } = makeTlsIdentity();
  const read = new X509Certificate(toPem(certificate));
  assertEquals([read.subject, read.issuer], ["CN=p2p.invalid", "CN=p2p.invalid"]);
  assertEquals([read.ca, read.checkHost("p2p.invalid")], [false, "p2p.invalid"]);
  assert(read.checkPrivateKey(privateKey) && read.verify(read.publicKey));
  assert(certificate.length < MAX_CERTIFICATE_BYTES);
  assert(bindingOf(makeTlsIdentity().certificate).join() !== bindingOf(certificate).join());
});

Deno.test("both ends of a TLS connection have the same binding", async () => {
  const { proxy, both } = await pairThrough(() => {});
  const [near, far] = both.map((each) => (each as PromiseFulfilledResult<Connection>).value);
  assertEquals(near!.binding, far!.binding);
  assertEquals([near!.binding!.length, near!.carrier, far!.carrier], [32, "tls", "tls"]);
  for (const each of [near!, far!]) await each[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

Deno.test("a bit that is turned over inside TLS is found out, and nothing false is read", async () => {
  for (const flipAt of [5_000, 40_000, 100_000]) {
    const { proxy, both } = await pairThrough((proxy) => proxy.flipAt = flipAt);
    const [near, far] = both.map((each) => (each as PromiseFulfilledResult<Connection>).value);
    const sending = near!.write(pattern(200_000)).catch(() => {});
    let received = 0;
    await assertRejects(async () => {
      for (;;) {
        const read = (await far!.read())!;
        assertEquals(read, pattern(200_000).subarray(received, received + read.length));
        received += read.length;
      }
    }, ProtocolError);
    assert(received < flipAt);
    far!.close();
    await sending;
    await near![Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  }
});

Deno.test("what is altered in TLS's handshake leaves no connection", async () => {
  for (const flipAt of [15, 40, 60, 100, 180]) {
    const { proxy, both } = await pairThrough((proxy) => proxy.flipAt = flipAt);
    for (const each of both) {
      if (each.status === "fulfilled") each.value.close();
    }
    assertEquals(both[0]!.status, "rejected", `byte ${flipAt}`);
    await proxy[Symbol.asyncDispose]();
  }
});

Deno.test("a dialler refuses a server that has another certificate, were it for the same name", async () => {
  const socket = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = { host: "127.0.0.1", port: socket.addr.port };
  const another = makeTlsIdentity().certificate;
  const accepting = socket.accept().then((conn) =>
    acceptTls(new TcpConnection(conn), { lead: ({ port }) => ({ port, certificate: another }) })
  );
  const dialled = await dialTls(address, { sessionId, signal: never });
  const accepted = await accepting;
  await Promise.all([
    assertRejects(() => dialled.read(), ProtocolError),
    assertRejects(() => accepted.read(), Error),
  ]);
  dialled.close();
  accepted.close();
  socket.close();
});

Deno.test("a door takes one connection, from the machine that asked, and none once it is closed", async () => {
  const socket = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  const { port } = socket.addr;
  const [asking, conn] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port }),
    socket.accept(),
  ]);
  const took: Connection[] = [];
  const at = new TcpConnection(conn);
  const door = new TlsDoor(at, { take: (each) => took.push(each), clock: systemClock });
  const address = { hostname: "127.0.0.1", port: door.port };
  const first = await Deno.connect(address);
  await door.closed;
  assertEquals([took.length, took[0]!.carrier], [1, "tls"]);
  await assertRejects(() => Deno.connect(address), Deno.errors.ConnectionRefused);
  for (const each of [first, asking, at, ...took]) each.close();
  socket.close();
});

Deno.test("dialTls() gives up where the other side answers with a line, or with nothing", async () => {
  for (const answer of ["p2p/1 error no\n", ""]) {
    const socket = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const dialling = dialTls({ host: "127.0.0.1", port: socket.addr.port }, {
      sessionId,
      signal: never,
    })
      .catch((error) => error);
    const accepted = await socket.accept();
    await accepted.write(encodeText(answer));
    await accepted.closeWrite();
    const error = await dialling;
    assert(error instanceof UnreachableError || error instanceof ProtocolError, String(error));
    accepted.close();
    socket.close();
  }
});

Deno.test("dialTls() rejects with the signal's reason while the other side is silent", async () => {
  const socket = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const controller = new AbortController();
  const dialling = dialTls({ host: "127.0.0.1", port: socket.addr.port }, {
    sessionId,
    signal: controller.signal,
  })
    .catch((error) => error);
  const accepted = await socket.accept();
  await accepted.read(new Uint8Array(10));
  const reason = new UnreachableError("enough");
  controller.abort(reason);
  assertEquals(await dialling, reason);
  accepted.close();
  socket.close();
});

Deno.test("TLS is used where processors are known to have instructions for AES", () => {
  const at = (arch: typeof Deno.build.arch, os: typeof Deno.build.os) => sealsFast({ arch, os });
  assertEquals(
    [at("x86_64", "linux"), at("x86_64", "windows"), at("aarch64", "darwin")],
    [true, true, true],
  );
  assertEquals([at("aarch64", "linux"), at("aarch64", "android")], [false, false]);
});
