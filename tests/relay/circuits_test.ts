import { assertEquals } from "@std/assert";
import { concatBytes, encodeText } from "../../protocol/bytes.ts";
import { CIRCUIT_WAIT_MS, TOKEN_LIFE_MS } from "../../protocol/limits.ts";
import { CIRCUIT_ANSWER, circuitPreface } from "../../protocol/preface.ts";
import { REFUSAL_TEXTS } from "../../relay/refusal.ts";
import { settled } from "../fakes/clock.ts";
import type { MemoryConnection } from "../fakes/connection_pair.ts";
import { type ControlClient, tokenOf } from "../fakes/control_client.ts";
import { hear, RelayRig } from "../fakes/relay_rig.ts";

const ANSWER = new TextDecoder().decode(CIRCUIT_ANSWER);
const UNKNOWN =
  "p2p/1 error the relay does not know this circuit, or no longer: ask for the peer again\n";
const MISSING = "p2p/1 error the other end of the circuit did not come: ask for the peer again\n";

/** Two clients of a relay, one of whom asks for the other. */
class Pair {
  private constructor(
    readonly rig: RelayRig,
    readonly asker: ControlClient,
    readonly target: ControlClient,
  ) {}

  static async meet(rig: RelayRig): Promise<Pair> {
    const target = await rig.registered("bob", { from: "192.0.2.2:1" });
    const asker = await rig.connect();
    await asker.until("Welcome");
    return new Pair(rig, asker, target);
  }

  /** @returns the tokens, the asker's first */
  async introduce(): Promise<[Uint8Array, Uint8Array]> {
    await this.asker.send({ type: "Connect", targetUsername: "bob" });
    const [near, far] = [await this.asker.until("PeerInfo"), await this.target.until("PeerInfo")];
    return [tokenOf(near), tokenOf(far)];
  }

  close(): void {
    this.asker.close();
    this.target.close();
  }
}

async function enter(rig: RelayRig, token: Uint8Array, behind = ""): Promise<MemoryConnection> {
  const end = rig.dial();
  await end.write(concatBytes(circuitPreface(token), encodeText(behind)));
  await settled();
  return end;
}

async function readExactly(end: MemoryConnection, length: number): Promise<string> {
  const room = new Uint8Array(length);
  for (let read = 0; read < length;) read += (await end.read(room.subarray(read)))?.length ?? NaN;
  return new TextDecoder().decode(room);
}

Deno.test("A circuit joins its two ends, outlives both control sessions, and is logged", async () => {
  await using rig = new RelayRig();
  const pair = await Pair.meet(rig);
  const [near, far] = await pair.introduce();
  const alice = await enter(rig, near, "early ");
  const bob = await enter(rig, far);
  pair.close();
  await rig.clock.advance(60_000);
  await alice.write(encodeText("late"));
  await alice.closeWrite();
  assertEquals(await readExactly(bob, ANSWER.length + 10), `${ANSWER}early late`);
  await bob.write(encodeText("well"));
  await bob.closeWrite();
  assertEquals(await hear(alice), `${ANSWER}well`);
  assertEquals(await hear(bob), "");
  await settled();
  assertEquals(rig.events, [["circuit", { bytes: 14, seconds: 60 }]]);
});

Deno.test("It does not matter which end comes first", async () => {
  await using rig = new RelayRig();
  const pair = await Pair.meet(rig);
  const [near, far] = await pair.introduce();
  const bob = await enter(rig, far);
  const alice = await enter(rig, near);
  assertEquals(await readExactly(bob, ANSWER.length), ANSWER);
  assertEquals(await readExactly(alice, ANSWER.length), ANSWER);
  alice.close();
  bob.close();
  pair.close();
});

Deno.test("A token that was not given is refused, whatever it looks like", async () => {
  await using rig = new RelayRig();
  const pair = await Pair.meet(rig);
  const [near] = await pair.introduce();
  const guesses = [new Uint8Array(16), near.map((byte, i) => i === 15 ? byte ^ 1 : byte)];
  for (const guess of guesses) assertEquals(await hear(await enter(rig, guess)), UNKNOWN);
  for (const text of ["", "x", near.toHex().toUpperCase(), `${near.toHex()}00`]) {
    const end = rig.dial();
    await end.write(encodeText(`p2p/1 circuit ${text}\n`));
    assertEquals(await hear(end), UNKNOWN, text);
  }
  pair.close();
});

Deno.test("A token is good once: neither while its end waits nor when it is joined again", async () => {
  await using rig = new RelayRig();
  const pair = await Pair.meet(rig);
  const [near, far] = await pair.introduce();
  const alice = await enter(rig, near);
  assertEquals(await hear(await enter(rig, near)), UNKNOWN);
  const bob = await enter(rig, far);
  for (const token of [near, far]) assertEquals(await hear(await enter(rig, token)), UNKNOWN);
  alice.close();
  bob.close();
  pair.close();
});

Deno.test("A token is good for 60 s", async () => {
  await using rig = new RelayRig();
  const pair = await Pair.meet(rig);
  const [near, far] = await pair.introduce();
  await pair.asker.send({ type: "Ping" });
  await rig.clock.advance(TOKEN_LIFE_MS / 2);
  await pair.target.send({ type: "Ping" });
  await pair.asker.send({ type: "Ping" });
  await rig.clock.advance(TOKEN_LIFE_MS / 2);
  for (const token of [near, far]) assertEquals(await hear(await enter(rig, token)), UNKNOWN);
  pair.close();
});

Deno.test("The first end waits 30 s for the other, and is told that it did not come", async () => {
  await using rig = new RelayRig();
  const pair = await Pair.meet(rig);
  const [near, far] = await pair.introduce();
  const alice = await enter(rig, near);
  const heard = hear(alice);
  await rig.clock.advance(CIRCUIT_WAIT_MS);
  assertEquals(await heard, MISSING);
  assertEquals(await hear(await enter(rig, far)), UNKNOWN);
  pair.close();
});

Deno.test("SessionFinished drops the asker's introductions, and those alone", async () => {
  await using rig = new RelayRig();
  const pair = await Pair.meet(rig);
  const [near, far] = await pair.introduce();
  const bob = await enter(rig, far);
  await pair.target.send({ type: "SessionFinished" });
  await settled();
  await pair.asker.send({ type: "SessionFinished" });
  assertEquals(await hear(bob), MISSING);
  assertEquals(await hear(await enter(rig, near)), UNKNOWN);
  pair.close();
});

Deno.test("SessionFinished leaves a circuit alone to which the asker's end has come", async () => {
  await using rig = new RelayRig();
  const pair = await Pair.meet(rig);
  const [near, far] = await pair.introduce();
  const alice = await enter(rig, near);
  await pair.asker.send({ type: "SessionFinished" });
  pair.asker.close();
  await rig.clock.advance(5_000);
  const bob = await enter(rig, far);
  assertEquals(await readExactly(bob, ANSWER.length), ANSWER);
  alice.close();
  bob.close();
  pair.close();
});

Deno.test("An asker's end may come shortly after its control session is over, and not later", async () => {
  for (const [ms, answer] of [[1_000, ANSWER], [3_000, UNKNOWN]] as const) {
    await using rig = new RelayRig();
    const pair = await Pair.meet(rig);
    const [near, far] = await pair.introduce();
    pair.asker.close();
    await rig.clock.advance(ms);
    const alice = await enter(rig, near);
    const bob = await enter(rig, far);
    assertEquals(await readExactly(alice, answer.length), answer);
    alice.close();
    bob.close();
    pair.close();
  }
});

Deno.test("A relay with as many circuits as it may have refuses further ones and keeps those", async () => {
  await using rig = new RelayRig({ limits: { maxCircuits: 1 } });
  const pair = await Pair.meet(rig);
  const [near, far] = await pair.introduce();
  const [otherNear, otherFar] = await pair.introduce();
  const alice = await enter(rig, near);
  const full = `p2p/1 error ${REFUSAL_TEXTS.Full}\n`;
  assertEquals(await hear(await enter(rig, otherNear)), full);
  const bob = await enter(rig, far);
  assertEquals(await hear(await enter(rig, otherFar)), full);
  await alice.write(encodeText("x"));
  assertEquals(await readExactly(bob, ANSWER.length + 1), `${ANSWER}x`);
  alice.close();
  bob.close();
  await settled();
  const again = [await enter(rig, otherNear), await enter(rig, otherFar)];
  for (const end of again) assertEquals(await readExactly(end, ANSWER.length), ANSWER);
  for (const end of again) end.close();
  pair.close();
});

Deno.test("Draining lets circuits go on for a time, and drops the ends that wait", async () => {
  await using rig = new RelayRig({ limits: { drainMs: 10_000 } });
  const pair = await Pair.meet(rig);
  const [near, far] = await pair.introduce();
  const [waiting] = await pair.introduce();
  const alice = await enter(rig, near);
  const bob = await enter(rig, far);
  const alone = hear(await enter(rig, waiting));
  const drained = rig.server.drain();
  assertEquals(await alone, `p2p/1 error ${REFUSAL_TEXTS.Draining}\n`);
  await rig.clock.advance(9_000);
  await alice.write(encodeText("x"));
  assertEquals(await readExactly(bob, ANSWER.length + 1), `${ANSWER}x`);
  await rig.clock.until(drained, 2_500);
  assertEquals(await hear(bob), "");
  pair.close();
});

Deno.test("Draining ends with the last circuit", async () => {
  await using rig = new RelayRig();
  const pair = await Pair.meet(rig);
  const [near, far] = await pair.introduce();
  const alice = await enter(rig, near);
  const bob = await enter(rig, far);
  pair.close();
  const drained = rig.server.drain();
  await rig.clock.advance(1_000);
  alice.close();
  bob.close();
  await drained;
});
