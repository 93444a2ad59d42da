import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Program } from "../fakes/program.ts";
import { TamperingProxy } from "../fakes/tampering_proxy.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

Deno.test("the first run makes an identity that only its user can read, and later ones keep it", async () => {
  using folder = new TemporaryFolder();
  await using alice = await Program.listenJson();
  const config = folder.path;
  const keys = [];
  for (let round = 0; round < 2; round++) {
    await Program.run(["connect", alice.address, "--name", "bob"], { config });
    keys.push((await alice.until("connected")).fingerprint);
  }
  assertMatch(keys[0], /^([a-z2-7]{4}-){3}[a-z2-7]{4}$/);
  assertEquals(keys[0], keys[1]);
  assertEquals(Deno.statSync(folder.join("p2p", "identity")).mode! & 0o777, 0o600);
  assertEquals(Deno.statSync(folder.join("p2p", "known_peers")).mode! & 0o777, 0o600);
});

Deno.test("another key at a known address ends connect with 5; p2p forget makes it work", async () => {
  using folder = new TemporaryFolder();
  const options = { config: folder.path };
  await using first = await Program.listen(["--name", "alice"]);
  await using proxy = new TamperingProxy(first.address);
  const { address } = proxy;
  assertEquals((await Program.run(["connect", address], options)).code, 0);

  await using second = await Program.listen(["--name", "somebody"]);
  proxy.target = second.address;
  const refused = await Program.run(["connect", address], options);
  assertEquals([refused.code, refused.stdout], [5, ""]);
  assertStringIncludes(refused.stderr, `THE KEY OF ${address} HAS CHANGED`);
  assertStringIncludes(refused.stderr, `p2p forget ${address}`);
  assert(!second.stderr.text.includes("Connected"), second.stderr.text);

  const forgotten = await Program.run(["forget", address], options);
  assertEquals([forgotten.code, forgotten.stdout], [0, ""]);
  assertStringIncludes(forgotten.stderr, `Forgot ${address}`);
  assertEquals((await Program.run(["connect", address], options)).code, 0);
});

Deno.test("another key under a known name ends connect and send with 5; forget makes it work", async () => {
  using folder = new TemporaryFolder();
  const options = { config: folder.join("config") };
  await using first = await Program.listen(["--name", "alice"]);
  assertEquals((await Program.run(["connect", first.address], options)).code, 0);

  await using second = await Program.listen(["--name", "alice", "--yes"], { cwd: folder.path });
  const send = ["send", "--address", second.address, folder.file("out/a", "a")];
  for (const words of [["connect", second.address], send]) {
    const refused = await Program.run(words, options);
    assertEquals([refused.code, refused.stdout], [5, ""]);
    assertStringIncludes(refused.stderr, "THE KEY OF alice HAS CHANGED");
    assertStringIncludes(refused.stderr, "p2p forget alice");
  }
  assertEquals((await Program.run(["forget", "alice"], options)).code, 0);
  assertEquals((await Program.run(send, options)).code, 0);
});

Deno.test("listen refuses a known name with another key, tells both sides, and goes on", async () => {
  using folder = new TemporaryFolder();
  await using alice = await Program.listen(["--name", "alice"], { config: folder.path });
  const words = ["connect", alice.address, "--name", "bob"];
  assertEquals((await Program.run(words)).code, 0);
  const refused = await Program.run(words);
  assertEquals(refused.code, 5, refused.stderr);
  assertMatch(refused.stderr, /^p2p: error: alice refused this side's identity.*\n {5}.+\n$/);
  await alice.says("THE KEY OF bob HAS CHANGED");
  await alice.says("p2p forget bob");
  const other = await Program.run(["connect", alice.address, "--name", "carol"], { input: "hi" });
  assertEquals(other.code, 0);
  await alice.prints("carol: hi");
  await Program.run(["forget", "bob"], { config: folder.path });
  assertEquals((await Program.run(words)).code, 0);
});

Deno.test("forget of whom nobody knows ends with 1 and says where the names stand", async () => {
  using folder = new TemporaryFolder();
  const { code, stderr } = await Program.run(["forget", "zoe"], { config: folder.path });
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Nothing forgotten: nobody is known as zoe");
  assertStringIncludes(stderr, folder.join("p2p", "known_peers"));
});

Deno.test("P2P_NAME is the name that others see, and --name goes before it", async () => {
  await using alice = await Program.listenJson([], { env: { P2P_NAME: "from environment" } });
  await using bob = Program.start(["connect", alice.address, "--json", "--name", "flag"], {
    env: { P2P_NAME: "not this" },
  });
  assertEquals((await bob.until("connected")).peer, "from environment");
  assertEquals((await alice.until("connected")).peer, "flag");
});
