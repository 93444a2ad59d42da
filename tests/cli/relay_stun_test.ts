import { assertEquals, assertMatch } from "@std/assert";
import { Program } from "../fakes/program.ts";

interface Ran {
  code: number;
  text: string;
}

/** A STUN client that is not ours, if it is here; says so loudly where it is not. */
async function find(command: string, install: string): Promise<boolean> {
  try {
    await run(command, []);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.error(`${command} is not installed (${install}): ITS TESTS DID NOT RUN`);
    return false;
  }
}

async function run(command: string, args: string[]): Promise<Ran> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null" })
    .output();
  const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
  return { code, text };
}

const stun = await find("stun", "stun-client");
const coturn = await find("turnutils_stunclient", "coturn");

Deno.test({
  name: "the STUN client of RFC 3489 learns its address from a relay",
  ignore: !stun,
  async fn() {
    await using relay = await Program.relay();
    const { code, text } = await run("stun", [relay.address, "1", "-v"]);
    assertEquals(code, 0);
    const [, opened] = /Opened port (\d+)/.exec(text) ?? [];
    assertMatch(text, new RegExp(`MappedAddress = 127\\.0\\.0\\.1:${opened}`));
  },
});

Deno.test({
  name: "coturn's STUN client learns its address from a relay",
  ignore: !coturn,
  async fn() {
    await using relay = await Program.relay();
    const [host, port] = relay.address.split(":") as [string, string];
    const { code, text } = await run("turnutils_stunclient", ["-p", port, host]);
    assertEquals(code, 0);
    assertMatch(text, /UDP reflexive addr: 127\.0\.0\.1:\d+/);
  },
});
