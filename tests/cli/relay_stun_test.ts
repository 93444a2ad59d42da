import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseAddress } from "../../protocol/address.ts";
import {
  decodeStunAnswer,
  encodeStunRequest,
  STUN_TRANSACTION_BYTES,
  type StunRequestOptions,
} from "../../protocol/stun.ts";
import { Program } from "../fakes/program.ts";

/** A UDP socket of loopback. */
function openUdp(port = 0) {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port });
  return {
    port: (socket.addr as Deno.NetAddr).port,
    /** Asks over STUN; resolves to the port that answers, and what it calls the other one. */
    async ask(relayPort: number, options: StunRequestOptions = {}) {
      const transaction = crypto.getRandomValues(new Uint8Array(STUN_TRANSACTION_BYTES));
      const request = encodeStunRequest(transaction, options);
      await socket.send(request, { transport: "udp", hostname: "127.0.0.1", port: relayPort });
      const [bytes, from] = await socket.receive();
      const { mapped, other } = decodeStunAnswer(bytes, transaction)!;
      assertEquals(mapped, { host: "127.0.0.1", port: this.port });
      return { from: (from as Deno.NetAddr).port, other };
    },
    [Symbol.dispose]: () => socket.close(),
  };
}

for (
  const { where, flags, host } of [
    { where: "one address", flags: ["--host", "127.0.0.1"], host: "127.0.0.1" },
    { where: "all addresses", flags: [], host: "0.0.0.0" },
  ]
) {
  Deno.test(`p2p relay on ${where} answers STUN on two ports, for each other`, async () => {
    await using program = Program.start(["relay", "--port", "0", "--json", ...flags]);
    const listening = await program.until("listening");
    using client = openUdp();
    const [main, stun] = [listening.address, listening.stun].map((each) => parseAddress(each).port);
    assertEquals(await client.ask(main!), { from: main!, other: { host, port: stun! } });
    assertEquals(await client.ask(stun!), { from: stun!, other: { host, port: main! } });
    const options = { changePort: true };
    assertEquals(await client.ask(main!, options), { from: stun!, other: { host, port: stun! } });
    assertEquals(await client.ask(stun!, options), { from: main!, other: { host, port: main! } });
  });
}

/** A port number that is free for TCP and UDP, and the next one, too. */
function twoFreePorts(): number {
  for (;;) {
    using first = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = first.addr;
    try {
      using _second = openUdp(port + 1);
      return port;
    } catch {
      // Another program has the next one: others are free.
    }
  }
}

Deno.test("p2p relay answers STUN on the port after its own, and on another where that is taken", async () => {
  const port = twoFreePorts();
  const words = ["relay", "--host", "127.0.0.1", "--json", "--port", `${port}`];
  {
    await using program = Program.start(words);
    assertEquals((await program.until("listening")).stun, `127.0.0.1:${port + 1}`);
  }
  using _taken = openUdp(port + 1);
  await using program = Program.start(words);
  const { stun } = await program.until("listening");
  assert(![port, port + 1].includes(parseAddress(stun).port), stun);
});

Deno.test("p2p relay answers STUN on the port that --stun-port names, and says which are to be open", async () => {
  const wanted = twoFreePorts();
  const words = ["relay", "--host", "127.0.0.1", "--port", "0", "--stun-port"];
  {
    await using program = Program.start([...words, `${wanted}`]);
    await program.says(new RegExp(`TCP \\d+, UDP \\d+ and UDP ${wanted} \\(STUN\\)`));
  }
  await using program = Program.start([...words, "0", "--json"]);
  assertMatch((await program.until("listening")).stun, /^127\.0\.0\.1:\d+$/);
});

Deno.test("p2p relay does not begin without the STUN port that it was told to take", async () => {
  using taken = openUdp();
  const words = ["relay", "--host", "127.0.0.1", "--port", "0", "--stun-port", `${taken.port}`];
  const { code, stderr } = await Program.run(words);
  assertEquals(code, 1);
  assertStringIncludes(stderr, `UDP port ${taken.port}: another program has it`);
  assertStringIncludes(stderr, "--stun-port 0 for any free one");
});

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
  name: "the STUN client of RFC 3489 is answered from the other port if it asks for that",
  ignore: !stun,
  async fn() {
    await using relay = await Program.relay();
    const { code, text } = await run("stun", [relay.address, "3", "-v"]);
    assertEquals(code, 0);
    assertMatch(text, /MappedAddress = 127\.0\.0\.1:/);
  },
});

Deno.test({
  name: "coturn's STUN client learns its address from both ports of a relay",
  ignore: !coturn,
  async fn() {
    await using relay = Program.start(["relay", "--host", "127.0.0.1", "--port", "0", "--json"]);
    const { address, stun } = await relay.until("listening");
    for (const { host, port } of [address, stun].map((each) => parseAddress(each))) {
      const { code, text } = await run("turnutils_stunclient", ["-p", `${port}`, host]);
      assertEquals(code, 0);
      assertMatch(text, /UDP reflexive addr: 127\.0\.0\.1:\d+/);
    }
  },
});
