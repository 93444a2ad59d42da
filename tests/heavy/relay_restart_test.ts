/** A relay that is killed and started anew under a hundred who are registered there. */
import { assert, assertEquals } from "@std/assert";
import { KnownPeers } from "../../peer/known_peers.ts";
import { Registration } from "../../peer/registration.ts";
import { Trust } from "../../peer/trust.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { parseAddress } from "../../protocol/address.ts";
import { freePort } from "../bench/harness.ts";
import { Program } from "../fakes/program.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const PEERS = 100;
/** Milliseconds in which all must be back. */
const BACK_WITHIN_MS = 10_000;

/** Peers that are registered, each with a key of its own, and how many registrations there were. */
class Crowd implements AsyncDisposable {
  readonly #registrations: Registration[];
  #count = 0;
  #changed = Promise.withResolvers<void>();

  constructor(relay: string, trust: Trust) {
    this.#registrations = Array.from({ length: PEERS }, (_, index) =>
      new Registration({
        relay: { address: parseAddress(relay) },
        name: `peer-${index}`,
        identity: generateKeyPair(),
        trust,
        addresses: () => [],
        take: (connection) => connection.close(),
        output: { say() {}, warn() {}, event: () => this.#registered() },
      }));
    for (const each of this.#registrations) each.run();
  }

  /** Resolves when there were so many registrations since the beginning. */
  async registered(count: number): Promise<void> {
    while (this.#count < count) await this.#changed.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#registrations.map((each) => each[Symbol.asyncDispose]()));
  }

  #registered(): void {
    this.#count++;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

Deno.test("a relay is killed and started anew: all are registered again within 10 s, and who talks directly never notices", async () => {
  using folder = new TemporaryFolder();
  const port = freePort();
  const relay = `127.0.0.1:${port}`;
  const startRelay = async () => {
    const words = ["relay", "--host", "127.0.0.1", "--port", String(port), "--json"];
    words.push("--registrations-per-address", "1000");
    const program = Program.start(words, { config: folder.join("relay") });
    await program.until("listening");
    return program;
  };
  let running = await startRelay();
  try {
    await using crowd = new Crowd(relay, new Trust(new KnownPeers(folder.join("crowd"))));
    await crowd.registered(PEERS);
    await using alice = await Program.listenJson(["--relay", relay, "--name", "alice"]);
    await alice.until("registered");
    const words = ["connect", "alice", "--relay", relay, "--name", "bob", "--json"];
    await using bob = Program.start(words);
    assertEquals((await bob.until("connected")).path, "lan");

    running.kill("SIGKILL");
    await running[Symbol.asyncDispose]();
    await bob.write("still there?\n");
    assertEquals((await alice.until("message")).text, "still there?");
    const started = performance.now();
    running = await startRelay();
    await crowd.registered(2 * PEERS);
    const milliseconds = performance.now() - started;
    assert(milliseconds < BACK_WITHIN_MS, `all were back after ${milliseconds} ms`);
    await alice.until("registered");
    await bob.write("and now?\n");
    assertEquals((await alice.until("message")).text, "and now?");
    assert([...alice.events, ...bob.events].every(({ event }) => event !== "away"));
    console.log(`${PEERS} peers were back after ${Math.round(milliseconds)} ms`);
  } finally {
    await running[Symbol.asyncDispose]();
  }
});
