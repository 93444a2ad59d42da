import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { usage } from "../../peer/usage.ts";
import { type Finished, Program } from "../fakes/program.ts";
import { RawServer } from "../fakes/raw_server.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

/** Every error is told in one line, with at most one more that says what to try. */
function assertError(ended: Finished, code: number, message: string, hint: string): void {
  assertEquals([ended.code, ended.stdout], [code, ""], ended.stderr);
  assertMatch(ended.stderr, /^p2p: error: [A-Z/"-].*[^.]\n {5}.+\n$/);
  assertStringIncludes(ended.stderr, message);
  assertStringIncludes(ended.stderr, hint);
}

const USAGE: [words: string[], message: string, hint: string][] = [
  [["lisen"], 'Command not known: "lisen"', "Did you mean p2p listen?"],
  [["conect", "1.2.3.4:80"], 'Command not known: "conect"', "Did you mean p2p connect?"],
  [["1.2.3.4:80"], "Command not known", "p2p connect 1.2.3.4:80"],
  [["frobnicate"], "Command not known", "See: p2p --help"],
  [["--file", "1"], "Command missing before --file", "listen, connect, send"],
  [["--prot", "1"], "Flag not known: --prot", "Did you mean --port?"],
  [["listen", "--prot", "1"], "Flag not known: --prot", "Did you mean --port?"],
  [["listen", "-p", "1"], "Flag not known: -p", "p"],
  [["connect", "1.2.3.4:80", "--quite"], "Flag not known: --quite", "Did you mean --quiet?"],
  [["send", "--adress", "1.2.3.4:80"], "Flag not known: --adress", "Did you mean --address?"],
  [["listen", "--port", "70000"], 'Port not understood: --port "70000"', "from 0 to 65535"],
  [["listen", "--port", "eighty"], 'Port not understood: --port "eighty"', "from 0 to 65535"],
  [["listen", "--conflict", "ksip"], 'Value not understood: --conflict "ksip"', "skip"],
  [["listen", "--name"], "Value missing after --name", "p2p listen --help"],
  [["listen", "--name", "a\u202eb"], "Name not usable", "Take another"],
  [["listen", "here"], 'Word not understood: "here"', "p2p listen --help"],
  [["listen", "--yes", "--yes"], "Flag given twice: --yes", "once"],
  [["connect", "--plain"], "Nobody to connect to: plain chat", "p2p connect ADDRESS --plain"],
  [["connect", "1.2.3.4"], "no port from 1 to 65535", "Write it as 1.2.3.4:8080"],
  [["connect", "1.2.3.4:0"], "no port from 1 to 65535", "Write it as 1.2.3.4:8080"],
  [["connect", "1.2.3.4:99999"], "no port from 1 to 65535", "Write it as 1.2.3.4:8080"],
  [["connect", "1.2.3.400:80"], "no host in it", "Write it as 1.2.3.4:8080"],
  [["connect", "::1:80"], "IPv6 addresses need brackets", "[::1]:8080"],
  [["connect", "http://example.org/"], "Address not understood", "host.example:8080"],
  [["connect", ":80"], "no host in it", "host.example:8080"],
  [["send", "a"], "Nobody to send to", "--address ADDRESS, or --to NAME"],
  [["send", "--address", "1.2.3.4:80"], "Nothing to send", "Name files or folders"],
  [["send", "--address", "nowhere", "a"], "Address not understood", "1.2.3.4:8080"],
  [["connect", "anna", "--relay-only"], "No relay leads to anna", "Leave --relay-only out"],
  [
    ["listen", "--announce", "--relay-only"],
    "--announce and --relay-only",
    "Leave one of them out",
  ],
  [["listen", "--announce", "--plain"], "--announce does not go with --plain", "Leave out one"],
  [["connect", "anna"], "No relay to find anna at, and P2P_NO_NEARBY is 1", "Name a relay"],
  [["peers", "anna"], 'Word not understood: "anna"', "p2p peers --help"],
  [["peers", "--wait", "0"], "Number not understood: --wait", "from 1 up"],
  [["send", "--to", "1.2.3.4:80", "a"], 'Nobody is called "1.2.3.4:80"', "at the relay"],
  [["send", "--to", "anna", "--address", "1.2.3.4:80", "a"], "Two peers to send to", "Leave one"],
  [["connect", "anna", "--relay", "r:80#x"], "behind # stands no key", "p2p relay prints"],
  [["listen", "--relay", "r:0"], "no port from 1 to 65535", "1.2.3.4:8080"],
  [["listen", "--relay", "r", "--plain"], "--relay does not go with --plain", "Leave out one"],
  [["connect", "1.2.3.4:80", "--relay", "r", "--plain"], "--relay does not go with", "Leave out"],
  [["listen", "--password-file", "f"], "Password not used: there is no relay", "--relay"],
  [
    ["relay", "--stun-port", "8080"],
    "--stun-port 8080 is the port of the relay",
    "leave --stun-port",
  ],
  [["relay", "--port", "9", "--stun-port", "9"], "--stun-port 9 is the port of", "Name another"],
  [["listen", "--relay-only"], "--relay-only not used: there is no relay", "--relay HOST:PORT"],
  [["listen", "--relay-only", "--plain"], "--relay-only does not go with --plain", "Leave out one"],
  [["connect", "1.2.3.4:80", "--relay-only"], "No relay leads to 1.2.3.4:80", "Leave --relay-only"],
  [["punch"], "No relay to be found at", "--relay HOST:PORT or P2P_RELAY"],
  [["punch", "--to", "anna", "--name", "bob"], "No relay to be found at", "p2p relay runs one"],
  [["punch", "anna", "--relay", "r"], 'Word not understood: "anna"', "p2p punch --help"],
  [["punch", "--relay", "r:0"], "no port from 1 to 65535", "1.2.3.4:8080"],
  [["punch", "--relay", "r", "--to", "1.2.3.4:80"], 'Nobody is called "1.2.3.4:80"', "at the"],
  [["punch", "--relay", "r", "--to", "anna", "--name", "anna"], "Nobody else to reach", "--to"],
  [["punch", "--relay", "r", "--name", "a\u202eb"], "Name not usable", "Take another"],
  [["doctor", "host.example"], 'Word not understood: "host.example"', "p2p doctor --help"],
  [["doctor", "--stun", "1.2.3.4:0"], "no port from 1 to 65535", "1.2.3.4:8080"],
  [["doctor", "--relay", "http://x/"], "Address not understood", "host.example:8080"],
  [["doctor", "--password-file", "f"], "Password not used: there is no relay", "--relay"],
  [["forget"], "NAME missing", "p2p forget NAME"],
  [["listen", "--host", "203.0.113.7", "--port", "0"], "Could not listen on 203.0.113.7", "--host"],
  [[], "Nothing to do: no command was named", "p2p --help"],
];

for (const [words, message, hint] of USAGE) {
  Deno.test(`p2p ${words.join(" ")} ends with 2: ${message}`, async () => {
    assertError(await Program.run(words), 2, message, hint);
  });
}

Deno.test("--help and --version print on standard output and end with 0", async () => {
  const help = await Program.run(["--help"]);
  assertEquals([help.code, help.stdout, help.stderr], [0, usage(), ""]);
  for (const command of ["listen", "connect", "send", "punch", "doctor", "forget"] as const) {
    const { code, stdout, stderr } = await Program.run([command, "--help"]);
    assertEquals([code, stdout, stderr], [0, usage(command), ""]);
  }
  const version = await Program.run(["--version"]);
  assertMatch(version.stdout, /^p2p \d+\.\d+\.\d+\n$/);
});

Deno.test("nobody listening ends connect and send with 4 and what to do", async () => {
  using folder = new TemporaryFolder();
  const address = freeAddress();
  for (
    const words of [["connect", address], ["send", "--address", address, folder.file("a", "")]]
  ) {
    const ended = await Program.run(words);
    assertError(ended, 4, `Could not reach ${address}: nobody listens there`, "p2p listen");
  }
});

Deno.test("connect without an address ends with 4 for who has met nobody", async () => {
  for (const flags of [[], ["--no-listen"]]) {
    const ended = await Program.run(["connect", ...flags]);
    assertError(ended, 4, "No chat to go back to: nobody has been met", "p2p connect ADDRESS");
  }
});

Deno.test("a plain connect that reaches nobody ends with 4", async () => {
  const ended = await Program.run(["connect", "--plain", freeAddress()]);
  assertError(ended, 4, "nobody listens there", "p2p listen");
});

Deno.test("a host name that does not exist ends with 4", async () => {
  const ended = await Program.run(["connect", "no-such-host.invalid:8080"]);
  assertError(ended, 4, "Could not reach no-such-host.invalid:8080: no such host name", "spell");
});

for (const flags of [[], ["--plain"]]) {
  Deno.test(`a port in use ends listen ${flags} with 1 and names another way`, async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = taken.addr;
    const words = ["listen", "--host", "127.0.0.1", "--port", String(port), ...flags];
    const ended = await Program.run(words);
    assertError(ended, 1, `Could not listen on port ${port}: another program has it`, "--port 0");
  });
}

const STRANGERS: [what: string, server: () => RawServer][] = [
  ["an SSH server", () => RawServer.saying("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")],
  ["an HTTP server", () =>
    new RawServer(async (conn) => {
      await conn.read(new Uint8Array(1_000));
      await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
      conn.close();
    })],
  [
    "garbage",
    () =>
      new RawServer((conn) => conn.write(crypto.getRandomValues(new Uint8Array(64)).fill(0, 0, 1))),
  ],
  ["a line that has no end", () => RawServer.saying("p2p/1 " + "x".repeat(300))],
  ["a handshake frame over the limit", () => RawServer.saying("p2p/1 session\n\xff\xff")],
  ["a handshake that is not one", () => RawServer.saying(`p2p/1 session\n\0\x60${"x".repeat(96)}`)],
  ["another version", () => RawServer.saying("p2p/2 session\n")],
];

for (const [what, server] of STRANGERS) {
  Deno.test(`connect to ${what} ends with 4 and one clear line`, async () => {
    await using stranger = server();
    const { code, stdout, stderr } = await Program.run(["connect", stranger.address]);
    assertEquals([code, stdout], [4, ""], stderr);
    assertMatch(stderr, /^p2p: error: [A-Z1].+\n {5}.+\n$/);
    assertStringIncludes(stderr, stranger.address);
  });
}

Deno.test("connect to what closes at once ends with 4", async () => {
  await using stranger = new RawServer((conn) => conn.close());
  const { code, stderr } = await Program.run(["connect", stranger.address]);
  assertEquals(code, 4, stderr);
  assertMatch(stderr, /^p2p: error: .+\n( {5}.+\n)?$/);
});

Deno.test("connect shows, escaped, why a listener of another version refuses, and ends with 3", async () => {
  const line = "p2p/1 error this side speaks version 2 only\x1b[2J\n";
  await using stranger = RawServer.saying(line);
  const { code, stderr } = await Program.run(["connect", stranger.address]);
  assertEquals(code, 3);
  const words = String.raw`refused the connection: this side speaks version 2 only\x1b[2J`;
  assertStringIncludes(stderr, words);
});

const CLIENTS: [what: string, said: string, answer: RegExp][] = [
  ["an initiator of another version", "p2p/9 session\n", /^p2p\/1 error .*version 1 only.*\n$/],
  ["an initiator with an unknown word", "p2p/1 tunnel\n", /^p2p\/1 error unknown kind.*\n$/],
  [
    "a browser",
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    /^This is p2p, and encrypted\. .*p2p connect .*\n$/,
  ],
  ["a person with nc", "hello?\n", /^This is p2p, and encrypted\. .*p2p connect .*\n$/],
];

for (const [what, said, answer] of CLIENTS) {
  Deno.test(`listen answers ${what} with one line, and serves the next`, async () => {
    await using alice = await Program.listenJson();
    assertMatch(await converse(alice.address, said), answer);
    await alice.says(/Connection from 127\.0\.0\.1:\d+ came to nothing: .+\n/);
    const { code } = await Program.run(["connect", alice.address], { input: "good\n" });
    assertEquals([code, (await alice.until("message")).text], [0, "good"]);
  });
}

Deno.test("listen says nothing worse than a line to who connects and closes", async () => {
  await using alice = await Program.listenJson();
  assertEquals(await converse(alice.address, ""), "");
  await alice.says(/came to nothing: it said nothing and closed\n/);
});

Deno.test("a configuration folder that cannot be made ends with 6", async () => {
  using folder = new TemporaryFolder();
  const config = folder.file("file", "");
  const { code, stderr } = await Program.run(["connect", "127.0.0.1:9"], { config });
  assertEquals(code, 6, stderr);
  assertStringIncludes(stderr, "XDG_CONFIG_HOME");
});

Deno.test("an identity that others can read is not used, and the fix is named", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("p2p/identity", "p2p-identity-1 x\n");
  Deno.chmodSync(path, 0o644);
  const ended = await Program.run(["connect", "127.0.0.1:9"], { config: folder.path });
  assertError(ended, 6, "Identity not used: others can read", `chmod 600 ${path}`);
});

/** Says this on a raw connection, and resolves to all that is answered. */
async function converse(address: string, said: string): Promise<string> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(address.split(":")[1]) });
  await conn.write(new TextEncoder().encode(said));
  await conn.closeWrite();
  return await new Response(conn.readable).text();
}

function freeAddress(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `127.0.0.1:${listener.addr.port}`;
}
