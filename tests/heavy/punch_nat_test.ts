/** `p2p punch` between machines behind routers, in the clear and encrypted. */
import { assertEquals } from "@std/assert";
import { type NatHost, type NatLab, natTest } from "../fakes/nat_lab.ts";
import { Program } from "../fakes/program.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const RELAY_PORT = 8080;

/** A relay in the lab, and programs that know it. */
class Lab implements AsyncDisposable {
  readonly #folder = new TemporaryFolder();
  readonly #lab: NatLab;
  readonly #relay: Program;
  readonly #address: string;

  private constructor(lab: NatLab, relay: Program, address: string) {
    this.#lab = lab;
    this.#relay = relay;
    this.#address = address;
  }

  static async open(lab: NatLab): Promise<Lab> {
    const words = ["relay", "--port", String(RELAY_PORT), "--json"];
    const relay = Program.start(words, { before: lab.on("relay") });
    await relay.until("listening");
    return new Lab(lab, relay, `${await lab.address("relay")}:${RELAY_PORT}`);
  }

  punch(host: NatHost, name: string, ...flags: string[]): Program {
    return this.encrypted(host, name, "--plain", ...flags);
  }

  encrypted(host: NatHost, name: string, ...flags: string[]): Program {
    const words = ["punch", "--json", "--relay", this.#address, "--name", name];
    return Program.start([...words, ...flags], {
      before: this.#lab.on(host),
      config: this.#folder.join(name),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#relay[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

/** Lines both ways, then anna leaves. */
async function chat(anna: Program, bob: Program): Promise<void> {
  await anna.write("through two NATs\n");
  assertEquals((await bob.until("message")).text, "through two NATs");
  await bob.write("and back\n");
  assertEquals((await anna.until("message")).text, "and back");
  await anna.write("/quit\n");
  assertEquals((await anna.finished()).code, 0);
}

/** Talks both ways; tells where each saw the other. */
async function talk(lab: Lab): Promise<string[]> {
  await using bob = lab.punch("b", "bob");
  await bob.until("registered");
  await using anna = lab.punch("a", "anna", "--to", "bob");
  const [toBob, toAnna] = await Promise.all([anna.until("connected"), bob.until("connected")]);
  assertEquals([toBob.path, toAnna.path], ["punched", "punched"]);
  await chat(anna, bob);
  await bob.until("disconnected");
  return [toBob.address, toAnna.address].map((each) => each.split(":")[0]);
}

for (
  const kinds of [
    ["port-restricted", "port-restricted"],
    ["full-cone", "symmetric"],
    ["symmetric", "restricted"],
    ["none", "firewall"],
  ] as const
) {
  natTest(`punch --plain from ${kinds.join(" to ")}`, [...kinds], async (nats) => {
    await using lab = await Lab.open(nats);
    const seen = await talk(lab);
    assertEquals(seen, [await nats.address("b", "public"), await nats.address("a", "public")]);
  });
}

natTest("punch --plain that cannot get through says so, and ends with 4", [
  "symmetric",
  "port-restricted",
], async (nats) => {
  await using lab = await Lab.open(nats);
  await using bob = lab.punch("b", "bob");
  await bob.until("registered");
  await using anna = lab.punch("a", "anna", "--to", "bob");
  const { code, stderr } = await anna.finished();
  assertEquals(code, 4, stderr);
  await bob.says("Could not reach anna at");
});

natTest("punch --plain where UDP is blocked says that the relay does not answer", [
  "udp-blocked",
  "none",
], async (nats) => {
  await using lab = await Lab.open(nats);
  await using anna = lab.punch("a", "anna", "--to", "bob");
  const { code, stderr } = await anna.finished();
  assertEquals(code, 4, stderr);
  await anna.says(/p2p: error: Could not reach the relay .*: no answer\n/);
});

natTest("punch from port-restricted to port-restricted: straight soon, and chat both ways", [
  "port-restricted",
  "port-restricted",
], async (nats) => {
  await using lab = await Lab.open(nats);
  await using bob = lab.encrypted("b", "bob");
  await bob.until("registered");
  await using anna = lab.encrypted("a", "anna", "--to", "bob");
  const connected = await anna.until("connected");
  if (connected.path !== "punched") {
    assertEquals((await anna.until("path")).path, "punched");
  }
  await chat(anna, bob);
});
