/** Peers on the same network, as users find them: `--announce`, `p2p peers`, and by name. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { LabProcess } from "../fakes/lab_process.ts";
import { type NatHost, type NatLab, natTest } from "../fakes/nat_lab.ts";
import { Program, type ProgramEvent } from "../fakes/program.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const SAME_LAN: [string, string] = ["same-lan", "port-restricted"];
const FINGERPRINT = /^[a-z2-7]{4}(-[a-z2-7]{4}){3}$/;

/** People in the laboratory, each with settings that last for the test. */
class People implements Disposable {
  readonly folder = new TemporaryFolder();
  readonly #lab: NatLab;

  constructor(lab: NatLab) {
    this.#lab = lab;
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }

  /** @param who whose key it is */
  options(host: NatHost, who: string) {
    const config = this.folder.join(`${who}.config`);
    return { before: this.#lab.on(host), config, env: { P2P_NO_NEARBY: "0" } };
  }

  /** Somebody who listens, and is announced. */
  async announced(host: NatHost, who: string, flags: string[] = [], name = who): Promise<Program> {
    const words = ["listen", "--announce", "--json", "--name", name, ...flags];
    const program = Program.start(words, this.options(host, who));
    assertEquals((await program.until("announced")).name, name);
    return program;
  }

  /** The events of `peers`. */
  async peers(host: NatHost, who: string, flags: string[] = []): Promise<ProgramEvent[]> {
    const { code, stdout, stderr } = await this.run(host, who, ["peers", "--json", ...flags]);
    assertEquals(code, 0, stderr);
    return stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
  }

  /** Waits for a first one that is listed, and asks no further. */
  async firstPeer(host: NatHost, who: string): Promise<ProgramEvent> {
    await using program = Program.start(
      ["peers", "--json", "--wait", "20"],
      this.options(host, who),
    );
    return await program.until("found");
  }

  run(host: NatHost, who: string, words: string[], input = "") {
    return Program.run(words, { ...this.options(host, who), input });
  }
}

natTest("peers on one network are listed, and found by name, for chat and files", [
  ...SAME_LAN,
  "--v6",
], async (lab) => {
  using people = new People(lab);
  const inbox = people.folder.folder("in");
  const film = people.folder.file("film.mkv", "a film");
  await using anna = await people.announced("b", "anna", ["--yes", "--dir", inbox]);
  const [found, ...others] = await people.peers("a", "bob");
  assertEquals(others, []);
  const [ipv4, ipv6, ...more] = found!.addresses;
  assertEquals([found!.name, found!.key, more], ["anna", "new", []]);
  assertEquals([found!.address, ipv4], [`${await lab.address("b")}:8080`, found!.address]);
  assertMatch(ipv6, /^\[2001:db8:.*\]:8080$/);
  assertMatch(found!.fingerprint, FINGERPRINT);
  const chat = await people.run(
    "a",
    "bob",
    ["connect", "anna", "--name", "bob", "--json"],
    "hello\n",
  );
  assertEquals(chat.code, 0, chat.stderr);
  assertEquals((await anna.until("message")).text, "hello");
  const connected = JSON.parse(chat.stdout.split("\n")[0]!);
  assertEquals([connected.path, connected.fingerprint], ["lan", found!.fingerprint]);
  const sent = await people.run("a", "bob", ["send", "--to", "anna", "--name", "bob", film]);
  assertEquals(sent.code, 0, sent.stderr);
  assertEquals(await Deno.readTextFile(`${inbox}/film.mkv`), "a film");
  assertStringIncludes(
    (await people.run("a", "bob", ["peers"])).stdout,
    `anna  ${found!.address}  ${found!.fingerprint}  known\n`,
  );
  // Who tried several addresses at once is no news.
  assert(!anna.stderr.text.includes("came to nothing"), anna.stderr.text);
  // Whoever runs both sees that it is they themselves.
  assertEquals((await people.peers("b", "anna"))[0]!.key, "self");
  await anna.write("/nick anne\n");
  await anna.write("/quit\n");
  await anna.endInput();
});

natTest("who is gone, or has another name now, is listed no more", SAME_LAN, async (lab) => {
  using people = new People(lab);
  await using anna = await people.announced("b", "anna");
  await anna.write("/nick anne\n");
  const names = async () => (await people.peers("a", "bob")).map(({ name }) => name);
  assertEquals(await names(), ["anne"]);
  anna.kill("SIGTERM");
  await anna.finished();
  const { code, stdout, stderr } = await people.run("a", "bob", ["peers"]);
  assertEquals([code, stdout], [0, ""]);
  assertStringIncludes(stderr, "Nobody announces itself on this network");
  assertStringIncludes(stderr, "p2p listen --announce");
});

natTest("nobody is found who does not announce itself, or on another network", [
  "port-restricted",
  "port-restricted",
], async (lab) => {
  using people = new People(lab);
  await using _anna = await people.announced("b", "anna");
  await using quiet = Program.start(["listen", "--json"], people.options("a", "carol"));
  await quiet.until("listening");
  assertEquals(await people.peers("a", "bob"), []);
  const { code, stderr } = await people.run("a", "bob", ["connect", "anna"]);
  assertEquals(code, 4);
  assertStringIncludes(stderr, "Nobody on this network announces the name anna");
  assertStringIncludes(stderr, "--relay HOST:PORT");
});

natTest(
  "two who announce the same name are told apart; the user names the address",
  SAME_LAN,
  async (lab) => {
    using people = new People(lab);
    await using anna = await people.announced("b", "anna");
    await using other = await people.announced("a", "mallory", ["--port", "9090"], "anna");
    const listed = await people.peers("a", "bob");
    assertEquals(listed.length, 2);
    const { code, stderr } = await people.run("a", "bob", ["connect", "anna"]);
    assertEquals(code, 1, stderr);
    for (const { address, fingerprint } of listed) {
      assertStringIncludes(stderr, `${address} (key ${fingerprint})`);
    }
    assert(!other.events.some(({ event }) => event === "connected"));
    const right = `${await lab.address("b")}:8080`;
    const byAddress = ["connect", right, "--name", "bob"];
    assertEquals((await people.run("a", "bob", byAddress, "it is you\n")).code, 0);
    assertEquals((await anna.until("message")).text, "it is you");
    // From now on it is known who is meant.
    const byName = await people.run("a", "bob", ["connect", "anna", "--name", "bob"], "again\n");
    assertEquals(byName.code, 0, byName.stderr);
    assertEquals((await anna.until("message")).text, "again");
  },
);

natTest("a known name that comes with another key is refused, loudly", SAME_LAN, async (lab) => {
  using people = new People(lab);
  {
    await using anna = await people.announced("b", "anna");
    const met = await people.run("a", "bob", ["connect", "anna", "--name", "bob"], "hello\n");
    assertEquals(met.code, 0, met.stderr);
    anna.kill("SIGTERM");
    await anna.finished();
  }
  await using mallory = await people.announced("b", "mallory", ["--port", "9090"], "anna");
  const { code, stderr } = await people.run("a", "bob", ["send", "--to", "anna", Deno.execPath()]);
  assertEquals(code, 5, stderr);
  assertStringIncludes(stderr, "THE KEY OF anna HAS CHANGED");
  assertStringIncludes(stderr, "p2p forget anna");
  assert(!mallory.events.some(({ event }) => event === "connected"));
  const { stdout } = await people.run("a", "bob", ["peers"]);
  assertStringIncludes(stdout, "NOT THE KEY THAT IS KNOWN");
});

natTest(
  "with a relay, who is not there is found on the network, and who is known without it",
  SAME_LAN,
  async (lab) => {
    using people = new People(lab);
    await using anna = await people.announced("b", "anna");
    const at = `${await lab.address("relay")}:8080`;
    const relay = Program.start(["relay", "--json"], people.options("relay", "relay"));
    try {
      await relay.until("listening");
      const words = ["connect", "anna", "--name", "bob", "--relay", at];
      const met = await people.run("a", "bob", words, "not at the relay\n");
      assertEquals(met.code, 0, met.stderr);
      assertEquals((await anna.until("message")).text, "not at the relay");
      relay.kill("SIGKILL");
      const again = await people.run("a", "bob", words, "the relay is gone\n");
      assertEquals(again.code, 0, again.stderr);
      assertEquals((await anna.until("message")).text, "the relay is gone");
      const only = await people.run("a", "bob", [...words, "--relay-only"], "no\n");
      assertEquals(only.code, 4, only.stderr);
    } finally {
      await relay[Symbol.asyncDispose]();
    }
  },
);

natTest(
  "punch --announce is found, too, and one address only is announced as one",
  SAME_LAN,
  async (lab) => {
    using people = new People(lab);
    const relay = Program.start(["relay", "--json"], people.options("relay", "relay"));
    try {
      await relay.until("listening");
      const words = ["punch", "--announce", "--json", "--name", "anna", "--relay"];
      const at = `${await lab.address("relay")}:8080`;
      await using anna = Program.start([...words, at], people.options("b", "anna"));
      await anna.until("announced");
      await using _own = await people.announced("a", "carol", ["--host", "127.0.0.1"]);
      assertEquals((await people.peers("b", "bob")).map(({ name }) => name), ["anna"]);
      const listed = await people.peers("a", "bob");
      assertEquals(listed.map(({ name }) => name).sort(), ["anna", "carol"]);
      const carol = listed.find(({ name }) => name === "carol")!;
      assertEquals(carol.addresses, ["127.0.0.1:8080"]);
    } finally {
      await relay[Symbol.asyncDispose]();
    }
  },
);

natTest(
  "who comes to the network later announces itself there, at its new address",
  SAME_LAN,
  async (lab) => {
    using people = new People(lab);
    await lab.run("b", "ip", "link", "set", "eth0", "down");
    await using _anna = await people.announced("b", "anna");
    const listing = people.firstPeer("a", "bob");
    await lab.run("b", "ip", "addr", "del", `${await lab.address("b")}/26`, "dev", "eth0");
    await lab.run("b", "ip", "addr", "add", "192.168.1.33/26", "dev", "eth0");
    await lab.run("b", "ip", "link", "set", "eth0", "up");
    const { name, addresses } = await listing;
    assertEquals([name, addresses], ["anna", ["192.168.1.33:8080"]]);
  },
);

natTest(
  "a neighbour that floods the network harms neither who announces nor who looks",
  SAME_LAN,
  async (lab) => {
    using people = new People(lab);
    await using anna = await people.announced("b", "anna");
    const words = ["connect", "anna", "--name", "bob"];
    assertEquals((await people.run("a", "bob", words, "before\n")).code, 0);
    const flood = `${import.meta.dirname}/../fakes/announcement_flood.ts`;
    const command = [
      Deno.execPath(),
      "run",
      "-A",
      "--unstable-net",
      flood,
      await lab.address("a"),
      "anna",
    ];
    await using neighbour = new LabProcess(lab, "a", command);
    await neighbour.until((lines) => lines[0], "its beginning");
    const { code, stdout, stderr } = await people.run("b", "carol", ["peers"]);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "More announce themselves than are listed");
    const lines = stdout.trim().split("\n");
    assert(lines.length <= 256, `${lines.length} lines`);
    for (const line of lines) {
      assertMatch(
        line,
        /^\S+ {2}192\.168\.1\.\d+:\d+ {2}\S+ {2}not met yet$/,
      );
    }
    const during = await people.run("a", "bob", words, "during\n");
    assertEquals(during.code, 0, during.stderr);
    await anna.until("message", ({ text }) => text === "during");
  },
);
