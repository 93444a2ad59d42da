/** `p2p doctor`, as users run it. What it makes of each kind of NAT is tested behind real ones. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Program } from "../fakes/program.ts";
import { RawServer } from "../fakes/raw_server.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

// deno-lint-ignore no-explicit-any
async function doctor(...words: string[]): Promise<{ code: number; event: any; stderr: string }> {
  const { code, stdout, stderr } = await Program.run(["doctor", "--json", ...words]);
  return { code, event: JSON.parse(stdout.split("\n")[0]!), stderr };
}

/** Where nobody is, neither over TCP nor over UDP. */
function nowhere(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `127.0.0.1:${listener.addr.port}`;
}

Deno.test("doctor tells how a relay is reached, and this machine's addresses", async () => {
  await using relay = await Program.relay();
  const { code, event } = await doctor("--relay", relay.address);
  assertEquals([code, event.event, event.relay], [0, "doctor", relay.address]);
  assertEquals(event.tcp.reachable, true);
  assert(event.tcp.roundTripMs > 0 && event.tcp.roundTripMs < 5_000);
  const [udp, ...more] = event.udp;
  assertEquals([udp.server, udp.reachable, more], [relay.address, true, []]);
  assertMatch(udp.seen, /^127\.0\.0\.1:\d+$/);
  assert(udp.roundTripMs > 0 && udp.roundTripMs < 1_500);
  const own = event.interfaces.map(({ address }: { address: string }) => address);
  assertEquals(own, Deno.networkInterfaces().map(({ address }) => address));
  // Between this machine and itself there is nothing to be seen.
  assertEquals([event.mapping, event.filtering, event.expect], ["unknown", "unknown", undefined]);
});

Deno.test("doctor prints its report on standard output, with --quiet as well", async () => {
  await using relay = await Program.relay();
  for (const flags of [[], ["--quiet"]]) {
    const ended = await Program.run(["doctor", "--relay", relay.address, ...flags]);
    assertEquals([ended.code, ended.stderr], [0, ""]);
    assertMatch(ended.stdout, /^Addresses {5}/);
    assertStringIncludes(ended.stdout, `\nRelay         ${relay.address} over TCP: reached in `);
    assertStringIncludes(ended.stdout, `\nUDP           ${relay.address}: reached in `);
    assertStringIncludes(ended.stdout, "\nNAT           not to be seen");
  }
});

Deno.test("doctor without relay and STUN server tells what can be told, and what to give it", async () => {
  const { code, stdout, stderr } = await Program.run(["doctor"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^Addresses {5}.+\n( {14}.+\n)*$/);
  assertMatch(stderr, /name a relay: p2p doctor --relay HOST:PORT\n.*p2p doctor --stun HOST:PORT/);
});

Deno.test("doctor asks STUN servers instead of a relay, and tells which do not answer", async () => {
  await using relay = await Program.relay();
  const silent = nowhere();
  const words = ["--stun", relay.address, "--stun", silent, "--stun", "no-such-host.invalid"];
  const { code, event } = await doctor(...words);
  assertEquals([code, event.relay, event.tcp], [0, undefined, undefined]);
  assertEquals(event.udp.map(({ server }: { server: string }) => server), [
    relay.address,
    silent,
    "no-such-host.invalid:3478",
  ]);
  assertEquals(event.udp[1].error, "no answer over UDP");
  assertEquals(event.udp[2].error, "no such host name");
});

Deno.test("doctor that reaches nothing ends with 4, and says so after its report", async () => {
  const at = nowhere();
  for (const words of [["--relay", at], ["--stun", at], ["--relay", "no-such-host.invalid"]]) {
    const { code, event, stderr } = await doctor(...words);
    assertEquals([code, event.event, event.mapping], [4, "doctor", "unknown"]);
    assertMatch(stderr, /p2p: error: Nothing reached: .+\n {5}.+\n$/);
  }
});

Deno.test("doctor whom the relay does not want ends with 3, and finds out the rest", async () => {
  using folder = new TemporaryFolder();
  const file = folder.file("secret", "open sesame\n");
  await using relay = await Program.relay([], { env: { P2P_RELAY_PASSWORD: "open sesame" } });
  const { code, event, stderr } = await doctor("--relay", relay.address);
  assertEquals([code, event.tcp.reachable, event.udp[0].reachable], [3, false, true]);
  assertStringIncludes(stderr, "p2p: error: The relay");
  assertStringIncludes(stderr, "it has a password");
  assertEquals((await doctor("--relay", relay.address, "--password-file", file)).code, 0);
});

Deno.test("doctor tells what is no relay, though something listens there", async () => {
  await using stranger = RawServer.saying("SSH-2.0-OpenSSH_9.2p1\r\n");
  const { code, event } = await doctor("--relay", stranger.address);
  assertEquals([code, event.tcp.reachable], [4, false]);
  assertStringIncludes(event.tcp.error, "preface");
});
