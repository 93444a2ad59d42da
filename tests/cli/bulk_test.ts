import { assert, assertEquals } from "@std/assert";
import { sealsFast } from "../../peer/carrier/aes.ts";
import { BULK_BYTES } from "../../protocol/limits.ts";
import { Program } from "../fakes/program.ts";
import { TamperingProxy } from "../fakes/tampering_proxy.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const test = sealsFast() ? Deno.test : Deno.test.ignore;

test("a large file goes across inside TLS, whole; a small one where the session is", async () => {
  using folder = new TemporaryFolder();
  const inbox = folder.folder("in");
  const content = new Uint8Array(3 * BULK_BYTES);
  for (let at = 0; at < content.length; at += 65_536) {
    crypto.getRandomValues(content.subarray(at, at + 65_536));
  }
  const large = folder.file("out/large", content);
  const small = folder.file("out/small", "small");
  await using alice = await Program.listenJson(["--yes", "--dir", inbox]);
  for (const [path, openings] of [[small, 1], [large, 2]] as const) {
    await using proxy = new TamperingProxy(alice.address);
    const sent = await Program.run(["send", "--address", proxy.address, path]);
    assertEquals(sent.code, 0, sent.stderr);
    assertEquals(proxy.firstWords.length, openings);
    assertEquals(proxy.firstWords[0], "p2p/1 session");
    if (openings === 2) assertEquals(proxy.firstWords[1], "p2p/1 tls");
  }
  assertEquals(Deno.readFileSync(`${inbox}/small`).length, 5);
  const received = Deno.readFileSync(`${inbox}/large`);
  assert(received.length === content.length && received.every((byte, at) => byte === content[at]));
});

test("where the environment has TLS's keys written to a file, the session goes on outside TLS", async () => {
  using folder = new TemporaryFolder();
  const inbox = folder.folder("in");
  const large = folder.file("out/large", "");
  Deno.truncateSync(large, 3 * BULK_BYTES);
  const keys = folder.join("keys");
  await using alice = await Program.listenJson(["--yes", "--dir", inbox], {
    env: { SSLKEYLOGFILE: keys },
  });
  await using proxy = new TamperingProxy(alice.address);
  const sent = await Program.run(["send", "--address", proxy.address, large]);
  assertEquals([sent.code, proxy.firstWords[1]], [0, "p2p/1 tls"], sent.stderr);
  assertEquals(Deno.statSync(`${inbox}/large`).size, 3 * BULK_BYTES);
  assertEquals(Deno.readTextFileSync(keys), "");
});
