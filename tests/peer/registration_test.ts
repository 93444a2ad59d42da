import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { KnownPeers } from "../../peer/known_peers.ts";
import { Registration, type RegistrationOptions } from "../../peer/registration.ts";
import { Trust } from "../../peer/trust.ts";
import type { Address } from "../../protocol/address.ts";
import type { Connection } from "../../protocol/connection.ts";
import { encodeText } from "../../protocol/bytes.ts";
import { IdentityError, P2pError, ProtocolError, RefusedError } from "../../protocol/errors.ts";
import { CIRCUIT_WAIT_MS, DIAL_TIMEOUT_MS, TOKEN_LIFE_MS } from "../../protocol/limits.ts";
import { generateKeyPair } from "../../protocol/noise.ts";
import { CIRCUIT_ANSWER, circuitPreface, errorPreface } from "../../protocol/preface.ts";
import { readExactly } from "../conformance/connection.ts";
import { FakeClock, settled } from "../fakes/clock.ts";
import { ScriptedRelay } from "../fakes/scripted_relay.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const WHERE = "relay.test:8080";
const identity = generateKeyPair();
const TOKEN = new Uint8Array(16).fill(5);
const MAX_OPENING = 32;

/** A registration, all that it tells, and the relay that it is for. */
class Rig implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly relay = new ScriptedRelay(this.clock);
  readonly said: string[] = [];
  readonly warned: string[] = [];
  readonly events: Record<string, unknown>[] = [];
  readonly taken: Connection[] = [];
  readonly known: KnownPeers;
  readonly registration: Registration;
  readonly #folder = new TemporaryFolder();
  addresses: Address[] = [{ host: "192.168.1.20", port: 9000 }, { host: "127.0.0.1", port: 9000 }];

  constructor(options: Partial<RegistrationOptions> = {}, host = "relay.test") {
    this.known = new KnownPeers(this.#folder.path);
    this.registration = new Registration({
      // A key that is given is compared in memory: nothing waits for the disk.
      relay: { address: { host, port: 8080 }, key: this.relay.identity.publicKey },
      name: "bob",
      identity,
      trust: new Trust(this.known),
      addresses: () => [...this.addresses],
      take: (connection) => this.taken.push(connection),
      output: {
        say: (...lines) => void this.said.push(...lines),
        warn: (...lines) => void this.warned.push(...lines),
        event: (event, fields) => void this.events.push({ event, ...fields }),
      },
      clock: this.clock,
      dial: this.relay.dial,
      random: () => 0.5,
      ...options,
    });
  }

  /** The relay as the user has named it. */
  get whereWithKey(): string {
    const options = { alphabet: "base64url", omitPadding: true } as const;
    return `${WHERE}#${this.relay.identity.publicKey.toBase64(options)}`;
  }

  /** Runs it up to its first registration. */
  async registered() {
    this.registration.run();
    const side = await this.relay.registered();
    await settled();
    return side;
  }

  async introduce(side: Awaited<ReturnType<ScriptedRelay["registered"]>>): Promise<void> {
    const info = { peer: "192.0.2.9:7", username: "anna", circuit: TOKEN, initiator: false };
    await side.send({ type: "PeerInfo", ...info });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registration[Symbol.asyncDispose]();
    for (const connection of this.taken) connection.close();
    await settled();
    this.#folder[Symbol.dispose]();
    assertEquals(this.clock.pending, 0, "timers are left");
  }
}

Deno.test("Registration tells the relay where we listen, and people how to reach us", async () => {
  await using rig = new Rig();
  const { registered } = await rig.registered();
  assertEquals(registered.username, "bob");
  assertEquals(registered.candidates, ["192.168.1.20:9000", "203.0.113.7:9000"]);
  assertEquals(rig.said, [
    `Registered as bob at the relay ${WHERE}`,
    "Anywhere, run:",
    `  p2p connect bob --relay ${rig.whereWithKey}`,
  ]);
  assertEquals(rig.events, [{ event: "registered", name: "bob", relay: WHERE }]);
});

Deno.test("Registration tells each address once, and those of this machine alone where the relay is here", async () => {
  for (
    const [relay, hosts, told] of [
      ["relay.test", ["203.0.113.7"], ["203.0.113.7:9000"]],
      ["relay.test", ["127.0.0.1"], []],
      ["relay.test", ["fd00::1", "::1"], ["[fd00::1]:9000", "203.0.113.7:9000"]],
      ["127.0.0.1", ["127.0.0.1"], ["127.0.0.1:9000"]],
      ["::1", ["192.168.1.20", "::1"], ["192.168.1.20:9000", "[::1]:9000"]],
    ] as const
  ) {
    await using rig = new Rig({}, relay);
    rig.addresses = hosts.map((host) => ({ host, port: 9000 }));
    assertEquals((await rig.registered()).registered.candidates, [...told]);
  }
});

Deno.test("Registration shows a command that can be pasted, whatever the name", async () => {
  for (
    const [name, words] of [
      ["it's me", (relay: string) => `'it'\\''s me' --relay ${relay}`],
      ["-rf", (relay: string) => `--relay ${relay} -- '-rf'`],
    ] as const
  ) {
    await using rig = new Rig({ name });
    await rig.registered();
    assertEquals(rig.said.at(-1), `  p2p connect ${words(rig.whereWithKey)}`);
  }
});

Deno.test("Registration says where the relay's password is needed, and never what it is", async () => {
  const relay = { address: { host: "relay.test", port: 8080 }, password: "sesame" };
  await using rig = new Rig({ relay });
  await rig.registered();
  assertEquals(rig.said.slice(1), [
    "Anywhere, with the relay's password, run:",
    `  p2p connect bob --relay ${WHERE}`,
  ]);
});

Deno.test("Registration says once that the relay is lost, tries ever less often, and says when it is back", async () => {
  await using rig = new Rig();
  const side = await rig.registered();
  await rig.clock.advance(20_000);
  rig.relay.down = true;
  side.connection.close();
  await rig.clock.advance(60_000);
  assertEquals(rig.warned.length, 1);
  assert(rig.warned[0]!.startsWith(`Lost the relay ${WHERE}: `), rig.warned[0]);
  // 0.1, 0.2 … 3.2 s make 6.3 s, then every 5 s.
  assertEquals(rig.relay.dialled, 1 + 6 + 10);
  rig.relay.down = false;
  const back = rig.relay.registered();
  await rig.clock.until(back, 5_000, 100);
  await settled();
  assertEquals(rig.said.at(-1), `Registered as bob at the relay ${WHERE} again`);
  assertEquals(rig.events.length, 2);
  assertEquals(rig.warned.length, 1);
});

Deno.test("Registration tries at once when the relay is lost, and every loss is told", async () => {
  await using rig = new Rig();
  for (let i = 1; i <= 3; i++) {
    const side = i === 1 ? await rig.registered() : await rig.relay.registered();
    await rig.clock.advance(15_000);
    side.connection.close();
    await rig.clock.advance(150);
    assertEquals([rig.relay.dialled, rig.warned.length], [i + 1, i]);
  }
});

Deno.test("Registration waits for a relay that is away at the start, and says so once", async () => {
  await using rig = new Rig();
  rig.relay.down = true;
  rig.registration.run();
  await rig.clock.advance(20_000);
  assertEquals(rig.warned.length, 1);
  assert(rig.warned[0]!.endsWith("trying again until bob is registered there"), rig.warned[0]);
  rig.relay.down = false;
  await rig.clock.until(rig.relay.registered(), 6_000, 100);
  await settled();
  assertEquals(rig.events.length, 1);
});

const AT_THE_START: [what: string, code: string, ends: boolean][] = [
  ["a name that is taken", "NameTaken", true],
  ["a name that is none", "BadName", true],
  ["a wrong password", "Password", true],
  ["a full relay", "Full", false],
  ["a relay that is about to end", "Draining", false],
  ["too many of this address", "TooMany", false],
];
for (const [what, code, ends] of AT_THE_START) {
  Deno.test(`Registration: ${what} at the first try ${ends ? "is an error" : "is waited out"}`, async () => {
    await using rig = new Rig();
    const running = rig.registration.run().catch((error) => error);
    const side = await rig.relay.welcomed();
    await side.until("Register");
    await side.send({ type: "Refused", code, text: "for a test" });
    if (ends) return assertInstanceOf(await running, RefusedError);
    await rig.clock.until(rig.relay.registered(), 1_000);
    await settled();
    assertEquals([rig.warned.length, rig.events.length], [1, 1]);
  });
}

Deno.test("Registration: another key of the relay at the first try is an error; so is what is no relay", async () => {
  {
    await using rig = new Rig({ relay: { address: { host: "relay.test", port: 8080 } } });
    await rig.known.remember(WHERE, generateKeyPair().publicKey);
    rig.relay.session().catch(() => {});
    await assertRejects(() => rig.registration.run(), IdentityError);
  }
  await using rig = new Rig();
  const running = rig.registration.run();
  await (await rig.relay.accept()).write(errorPreface("this is a peer, not a relay"));
  await assertRejects(() => running, ProtocolError);
});

Deno.test("Registration: a name that another key took while the relay was away is told with what to do, and tried again", async () => {
  await using rig = new Rig();
  (await rig.registered()).connection.close();
  const side = await rig.clock.until(rig.relay.welcomed(), 1_000);
  await side.until("Register");
  await side.send({ type: "Refused", code: "NameTaken", text: "for a test" });
  await rig.clock.until(rig.relay.registered(), 1_000);
  await settled();
  assertEquals(rig.warned.length, 3);
  assert(
    rig.warned[1]!.includes("bob") && rig.warned[2]!.includes("--name"),
    rig.warned.join("\n"),
  );
  assertEquals(rig.events.length, 2);
});

Deno.test("Registration ends with a warning when another p2p of the same key takes its place", async () => {
  await using rig = new Rig();
  const running = rig.registration.run();
  const side = await rig.relay.registered();
  await side.send({ type: "Refused", code: "Replaced", text: "for a test" });
  await running;
  await rig.clock.advance(60_000);
  assertEquals(rig.relay.dialled, 1);
  assertEquals(rig.warned.length, 1);
  assert(rig.warned[0]!.includes("another p2p with this key"), rig.warned[0]);
});

Deno.test("Registration.rename() takes the new name, and keeps the old one where that is refused", async () => {
  await using rig = new Rig();
  const side = await rig.registered();
  const taking = rig.registration.rename("robert");
  assertEquals((await side.until("Register")).username, "robert");
  await side.send({ type: "RegisterAck" });
  await taking;
  assertEquals(rig.events.at(-1), { event: "registered", name: "robert", relay: WHERE });
  const refused = rig.registration.rename("anna");
  await side.until("Register");
  await side.send({ type: "Refused", code: "NameTaken", text: "for a test" });
  await refused;
  assert(rig.warned.at(-1)!.startsWith("Still robert at the relay: "), rig.warned.at(-1));
  side.connection.close();
  const again = await rig.clock.until(rig.relay.registered(), 1_000);
  assertEquals(again.registered.username, "robert");
});

Deno.test("Registration.rename() while the relay still answers what was asked before counts in the end", async () => {
  await using rig = new Rig();
  rig.registration.run();
  const side = await rig.relay.welcomed();
  await side.until("Register");
  await rig.registration.rename("robert");
  await side.send({ type: "RegisterAck" });
  assertEquals((await side.until("Register")).username, "robert");
  await side.send({ type: "RegisterAck" });
  const refused = rig.registration.rename("anna");
  const taken = rig.registration.rename("rob");
  await side.send({ type: "Refused", code: "NameTaken", text: "for a test" });
  await side.send({ type: "RegisterAck" });
  await Promise.all([refused, taken]);
  assertEquals(rig.events.map(({ name }) => name), ["bob", "robert", "rob"]);
  side.connection.close();
  const again = await rig.clock.until(rig.relay.registered(), 1_000);
  assertEquals(again.registered.username, "rob");
});

Deno.test("Registration.rename() while the relay is away counts when it is back", async () => {
  await using rig = new Rig();
  (await rig.registered()).connection.close();
  await settled();
  await rig.registration.rename("robert");
  const side = await rig.clock.until(rig.relay.registered(), 1_000);
  assertEquals(side.registered.username, "robert");
});

Deno.test("Registration opens a circuit for who asks, and hands it on when the other end is there", async () => {
  await using rig = new Rig();
  const side = await rig.registered();
  assert(!rig.registration.introduced);
  await rig.introduce(side);
  const end = await rig.relay.accept();
  const preface = circuitPreface(TOKEN);
  assertEquals(await readExactly(end, preface.length), preface);
  await settled();
  assertEquals(rig.taken.length, 0);
  assert(rig.registration.introduced);
  await end.write(CIRCUIT_ANSWER, encodeText("p2p/1 session\n"));
  await settled();
  const [circuit] = rig.taken;
  assertEquals([circuit!.path, circuit!.remote], ["relayed", `relay ${WHERE}`]);
  assertEquals(await circuit!.read(), encodeText("p2p/1 session\n"));
  await rig.clock.advance(TOKEN_LIFE_MS);
  assert(!rig.registration.introduced);
});

Deno.test("Registration gives up circuits to which nobody comes, and holds no more than it may", async () => {
  await using rig = new Rig();
  const side = await rig.registered();
  for (let i = 0; i < MAX_OPENING + 10; i++) await rig.introduce(side);
  await settled();
  assertEquals(rig.relay.dialled, 1 + MAX_OPENING);
  const refused = await rig.relay.accept();
  await refused.write(errorPreface("nobody came"));
  const ends = await Promise.all(Array.from({ length: MAX_OPENING - 1 }, () => rig.relay.accept()));
  await rig.introduce(side);
  const again = await rig.relay.accept();
  await rig.clock.advance(DIAL_TIMEOUT_MS);
  await side.send({ type: "Ping" });
  await rig.clock.advance(CIRCUIT_WAIT_MS);
  for (const end of [...ends, again]) {
    await readExactly(end, circuitPreface(TOKEN).length);
    assertEquals(await end.read(), null);
  }
  assertEquals(rig.taken, []);
});

Deno.test("Registration's end frees the name, and ends what is under way, at whatever point", async () => {
  {
    await using rig = new Rig();
    const side = await rig.registered();
    await rig.introduce(side);
    const circuit = await rig.relay.accept();
    await settled();
    const closing = rig.registration[Symbol.asyncDispose]();
    await side.until("SessionFinished");
    await side.until("Goodbye");
    await closing;
    await readExactly(circuit, circuitPreface(TOKEN).length);
    assertEquals(await circuit.read(), null);
  }
  for (const when of ["dialled", "connected", "away"]) {
    await using rig = new Rig();
    rig.relay.down = when === "away";
    const running = rig.registration.run();
    if (when === "connected") await rig.relay.session();
    await settled();
    await rig.registration[Symbol.asyncDispose]();
    await running;
    assertEquals(rig.events, []);
  }
});

Deno.test("Registration does not hide what is no failure of the network", async () => {
  const bug = new TypeError("a bug");
  await using rig = new Rig({ dial: () => Promise.reject(bug) });
  const error = await rig.registration.run().catch((error) => error);
  assert(!(error instanceof P2pError));
  assertEquals(error, bug);
});
