import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Address, formatAddress } from "../../protocol/address.ts";
import {
  MAX_PUNCH_RATE,
  MAX_REFLEXIVE,
  MAX_UNPROVEN,
  OPENER_TTL,
  PUNCH_TIMEOUT_MS,
} from "../../protocol/limits.ts";
import { planPunch, punchCandidates, type PunchPlan, type Reach } from "../../protocol/nat.ts";
import { PunchCodec, type PunchRole } from "../../protocol/punch_packet.ts";
import { type PunchDatagram, Puncher } from "../../protocol/puncher.ts";
import { PunchingPeer, type SentDatagram } from "../fakes/punching_peer.ts";
import {
  NAT_KINDS,
  type NatKind,
  type NatOptions,
  type NetworkOptions,
  type SimulatedHost,
  SimulatedNetwork,
} from "../fakes/simulated_network.ts";
import { mulberry32 } from "../heavy/mulberry32.ts";

const SECRET = Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f");
/** Milliseconds within which every attempt is over, however it ends. */
const LONGEST_MS = 22_000;

interface Conditions extends Omit<NetworkOptions, "seed"> {
  readonly nat?: NatOptions;
  /** Milliseconds by which the target begins later; below 0: earlier. */
  readonly skewMs?: number;
  readonly lateMs?: number;
  /** Before they begin, but after STUN. */
  readonly prepare?: (asker: SimulatedHost, target: SimulatedHost) => void;
}

interface Attempt {
  readonly network: SimulatedNetwork;
  readonly asker: PunchingPeer;
  readonly target: PunchingPeer;
  /** When the later of the two began. */
  readonly start: number;
}

type Place = (network: SimulatedNetwork, nat: NatOptions) => [SimulatedHost, SimulatedHost];

const isOpen = (kind: NatKind) => kind === "none" || kind === "firewall";

/** Two networks of their own. */
function apart(asker: NatKind, target: NatKind): Place {
  return (network, nat) => {
    const place = (kind: NatKind, index: number) => {
      const ip = ["203.0.113.2", "198.51.100.2"][index]!;
      const inside = isOpen(kind) ? ip : `192.168.${index}.10`;
      return network.host(inside, network.nat(kind, ip, nat));
    };
    return [place(asker, 0), place(target, 1)];
  };
}

/** Two hosts behind one NAT. */
function sameLan(kind: NatKind): Place {
  return (network, options) => {
    const nat = network.nat(kind, "203.0.113.2", options);
    return [network.host("192.168.1.10", nat), network.host("192.168.1.11", nat)];
  };
}

function attempt(place: Place, seed: number, conditions: Conditions = {}): Attempt {
  const { skewMs = 0, lateMs = 0, nat = {}, prepare, ...options } = conditions;
  const network = new SimulatedNetwork({ seed, ...options });
  const hosts = place(network, nat);
  const [asker, target] = hosts.map((host) => new PunchingPeer(host, { lateMs })) as [
    PunchingPeer,
    PunchingPeer,
  ];
  prepare?.(...hosts);
  const start = network.now() + Math.abs(skewMs);
  asker.start(start - Math.max(0, skewMs), {
    role: "asker",
    secret: SECRET,
    peer: target.reach,
  });
  target.start(start + Math.min(0, skewMs), {
    role: "target",
    secret: SECRET,
    peer: asker.reach,
  });
  network.run(start + LONGEST_MS);
  return { network, asker, target, start };
}

function isNominated({ asker, target }: Attempt): boolean {
  return [asker, target].every(({ puncher }) => puncher!.outcome!.type === "nominated");
}

/** Milliseconds from the later start until both had an outcome. */
function duration({ asker, target, start }: Attempt): number {
  return Math.max(asker.endedAt!, target.endedAt!) - start;
}

function nominated(puncher: Puncher | undefined) {
  const outcome = puncher?.outcome;
  if (outcome?.type !== "nominated") throw new Error(`Nothing was nominated: ${outcome?.type}`);
  return outcome;
}

const remote = ({ puncher }: PunchingPeer) => nominated(puncher).remote;

const seeds = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

function checkRate(sent: readonly SentDatagram[]): void {
  for (const [index, { at }] of sent.entries()) {
    const later = sent[index + MAX_PUNCH_RATE];
    assert(!later || later.at - at >= 1_000, "too many in a second");
  }
}

/** No address is sent more PROBEs or ANSWERs than one that is not proven may be. */
function checkCounts(sent: readonly SentDatagram[], plan: PunchPlan["udp"]): void {
  const counts = new Map<string, number>();
  for (const { socket, to, bytes } of sent) {
    const key = `${bytes[0]} ${socket} ${formatAddress(to)}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  // One more where a guess hits an address that was told.
  const most = MAX_UNPROVEN + (plan === "probe" ? 0 : 1);
  for (const [key, count] of counts) assert(count <= most, `${count} for ${key}`);
}

/** Whatever an attempt comes to, it keeps to its limits. */
function checkLimits(one: PunchingPeer, other: PunchingPeer): void {
  checkRate(one.sent);
  checkCounts(one.sent, planPunch(one.reach, other.reach).udp);
}

const FAIR: [string, Conditions][] = [
  ["at once", {}],
  ["over 40 ms", { delayMs: 40, jitterMs: 10 }],
  ["over 40 ms and 5 % loss", { delayMs: 40, jitterMs: 10, loss: 0.05 }],
];

/** What the two sorts of NATs allow: straight, straight by chance, or not at all. */
function expected(one: NatKind, other: NatKind): "straight" | "chance" | "none" {
  const kinds = [one, other];
  if (kinds.includes("udp-blocked")) return "none";
  if (!kinds.includes("symmetric")) return "straight";
  if (one === other || kinds.includes("symmetric-seq")) return "none";
  return kinds.some((kind) => kind === "firewall" || kind === "port-restricted")
    ? "chance"
    : "straight";
}

/** Seeds for each pair; where packets get lost, five times as many. */
const RUNS = { straight: 20, chance: 10, none: 1 };

for (const asker of NAT_KINDS) {
  for (const target of NAT_KINDS) {
    const expectation = expected(asker, target);
    const place = apart(asker, target);
    for (const [how, conditions] of FAIR) {
      const runs = RUNS[expectation] * (conditions.loss ? 5 : 1);
      Deno.test(`Puncher: ${asker} asks ${target} ${how}: ${expectation}`, () => {
        const attempts = seeds(runs).map((seed) => attempt(place, seed, conditions));
        for (const each of attempts) {
          checkLimits(each.asker, each.target);
          checkLimits(each.target, each.asker);
        }
        const good = attempts.filter(isNominated);
        if (expectation === "none") return assertEquals(attempts[0]!.asker.sent, []);
        assert(good.length >= runs * (expectation === "chance" ? 0.98 : 0.99), `${good.length}`);
        const limit = expectation === "chance" ? 20_000 : PUNCH_TIMEOUT_MS;
        for (const each of good) {
          assert(duration(each) <= limit, `${duration(each)} ms`);
          // Each has the other where packets from there come from.
          assert(remote(each.asker).host !== remote(each.target).host);
        }
      });
    }
  }
}

for (const kind of NAT_KINDS.filter((each) => !isOpen(each) && each !== "udp-blocked")) {
  for (const hairpin of [false, true]) {
    Deno.test(`Puncher: both behind one ${kind} NAT, ${hairpin ? "with" : "without"} hairpin: on the LAN`, () => {
      for (const seed of seeds(50)) {
        const each = attempt(sameLan(kind), seed, { delayMs: 40, nat: { hairpin } });
        assert(isNominated(each));
        assertEquals(
          [remote(each.asker), remote(each.target)],
          [each.target.localAddress, each.asker.localAddress],
        );
      }
      const lossy = seeds(100).map((seed) =>
        attempt(sameLan(kind), seed, { delayMs: 40, loss: 0.05, nat: { hairpin } })
      ).filter((each) => isNominated(each) && remote(each.asker).host === "192.168.1.11");
      assert(lossy.length >= 99, `${lossy.length}`);
    });
  }
}

Deno.test("Puncher: both behind one NAT that lets them meet only at its own address", () => {
  const isolated: Place = (network, nat) => {
    const outer = network.nat("full-cone", "203.0.113.2", { ...nat, hairpin: true });
    // Each tells an address at which nobody answers the other.
    return [network.host("192.168.1.10", outer), network.host("192.168.1.11", outer)].map(
      (host, index) => {
        const send = host.send.bind(host);
        const other = ["192.168.1.11", "192.168.1.10"][index];
        host.send = (port, to, ...rest) => to.host === other ? undefined : send(port, to, ...rest);
        return host;
      },
    ) as [SimulatedHost, SimulatedHost];
  };
  const each = attempt(isolated, 1);
  assert(isNominated(each));
  assertEquals(remote(each.asker).host, "203.0.113.2");
});

Deno.test("Puncher: two networks with the same private addresses", () => {
  const place: Place = (network) => {
    const hosts = ["203.0.113.2", "198.51.100.2"].map((ip) => {
      return network.host("192.168.1.10", network.nat("port-restricted", ip));
    });
    return hosts as [SimulatedHost, SimulatedHost];
  };
  const each = attempt(place, 1, { delayMs: 40 });
  assert(isNominated(each));
  assertEquals(remote(each.asker).host, "198.51.100.2");
});

Deno.test("Puncher: two symmetric NATs, and firewalls over IPv6 beside them", () => {
  const place: Place = (network) => {
    const hosts = [1, 2].map((index) => {
      const ip = `2001:db8:${index}::1`;
      const nat = network.nat("symmetric", `203.0.113.${index}`);
      return network.host(`192.168.${index}.10`, nat, { ip, nat: network.nat("firewall", ip) });
    });
    return hosts as [SimulatedHost, SimulatedHost];
  };
  for (const seed of seeds(20)) {
    const each = attempt(place, seed, { delayMs: 40, loss: 0.05 });
    assert(isNominated(each));
    assertEquals(remote(each.asker).host, "2001:db8:2::1");
  }
});

const STRAIGHT = NAT_KINDS.flatMap((asker) => NAT_KINDS.map((target) => [asker, target] as const))
  .filter(([asker, target]) => expected(asker, target) === "straight");

for (const [asker, target] of STRAIGHT) {
  Deno.test(`Puncher: ${asker} asks ${target}, one beginning up to a second later`, () => {
    const random = mulberry32(1);
    const attempts = seeds(25).map((seed) => {
      const skewMs = (random() * 2 - 1) * 1_000;
      return attempt(apart(asker, target), seed, {
        delayMs: 40,
        jitterMs: 10,
        loss: 0.05,
        lateMs: 20,
        skewMs,
      });
    });
    const good = attempts.filter((each) => isNominated(each) && duration(each) <= PUNCH_TIMEOUT_MS);
    assert(good.length >= 25, `${good.length} of 25`);
  });
}

for (const kind of ["full-cone", "restricted", "port-restricted", "firewall"] as NatKind[]) {
  Deno.test(`Puncher: ${kind} and port-restricted, where a packet that comes too early spoils the port`, () => {
    for (const place of [apart(kind, "port-restricted"), apart("port-restricted", kind)]) {
      for (const seed of seeds(50)) {
        const skewMs = (seed % 11 - 5) * 9;
        const each = attempt(place, seed, {
          nat: { earlySpoils: true },
          skewMs,
          delayMs: seed % 3,
        });
        assert(isNominated(each), `skew ${skewMs}`);
      }
    }
  });
}

Deno.test("Puncher: two sequential NATs that others use too, and one", () => {
  const busy = (count: number) => ({
    delayMs: 40,
    prepare: (_: SimulatedHost, target: SimulatedHost) => target.nat.skipPorts(count),
  });
  for (const count of [0, 1, 7, 14]) {
    const one = attempt(apart("port-restricted", "symmetric-seq"), 1, busy(count));
    assert(isNominated(one), `${count}`);
  }
  assert(isNominated(attempt(apart("symmetric-seq", "symmetric-seq"), 1, busy(0))));
});

Deno.test("Puncher: the asker has it a round trip after the openers, the target half of one later", () => {
  for (const [asker, target] of [["port-restricted", "port-restricted"], ["none", "none"]]) {
    const each = attempt(apart(asker as NatKind, target as NatKind), 1, { delayMs: 40 });
    assertEquals(Math.round(each.asker.endedAt! - each.start), 50 + 80);
    assertEquals(Math.round(each.target.endedAt! - each.start), 50 + 120);
    assertEquals(Math.round(nominated(each.asker.puncher).roundTripMs!), 80);
  }
});

/** A puncher alone, whose other side is the test. */
class Alone {
  readonly puncher: Puncher;
  readonly other: PunchCodec;
  readonly sent: SentDatagram[] = [];
  now = 1_000;
  readonly #random = mulberry32(7);
  #nonces = 0;

  constructor(role: PunchRole, own: Reach, peer: Reach) {
    const plan = planPunch(own, peer);
    this.other = new PunchCodec(SECRET, role === "asker" ? "target" : "asker");
    this.puncher = new Puncher({
      role,
      secret: SECRET,
      plan,
      own,
      peer,
      sockets: { ipv4: 0 },
      now: this.now,
      random: (bytes) => bytes.forEach((_, index) => bytes[index] = this.#random() * 256),
    });
  }

  #note(datagrams: PunchDatagram[]): PunchDatagram[] {
    for (const each of datagrams) this.sent.push({ ...each, at: this.now });
    return datagrams;
  }

  /** Lets time pass, with all that falls due. */
  advance(ms: number): void {
    const until = this.now + ms;
    while (this.puncher.nextAt <= until) {
      this.now = Math.max(this.now, this.puncher.nextAt);
      this.#note(this.puncher.poll(this.now));
    }
    this.now = until;
  }

  comes(from: Address, bytes: Uint8Array, socket = 0): PunchDatagram[] {
    return this.#note(this.puncher.receive(socket, bytes, from, this.now));
  }

  /** A nonce that was not there before. */
  nonce(): Uint8Array {
    const nonce = new Uint8Array(8);
    new DataView(nonce.buffer).setUint32(0, ++this.#nonces);
    return nonce;
  }

  /** The nonces of PROBEs that went to an address. */
  probed({ host, port }: Address): Uint8Array[] {
    return this.sent.filter(({ to, bytes }) =>
      bytes[0] === 0x11 && to.host === host && to.port === port
    ).map(({ bytes }) => bytes.slice(10, 18));
  }
}

const at = (host: string, port = 4_000): Address => ({ host, port });
const A = at("198.51.100.2");
const B = at("198.51.100.3");
const LAN = at("192.168.1.11");
const reach = (...seen: Address[]): Reach => ({ udp: [], seen, mapping: "independent" });
const OWN = reach(at("203.0.113.2"));
const types = (datagrams: PunchDatagram[]) => datagrams.map(({ bytes }) => bytes[0]);

Deno.test("Puncher opens with a small time to live where the address is not local, and 50 ms later without", () => {
  const alone = new Alone("asker", OWN, { ...reach(A), udp: [LAN] });
  alone.advance(60);
  const told = alone.sent.map((each) => [each.at - 1_000, each.to.host, each.ttl]);
  assertEquals(told, [
    [0, A.host, OPENER_TTL],
    [0, LAN.host, undefined],
    [50, A.host, undefined],
    [50, LAN.host, undefined],
  ]);
});

Deno.test("Puncher probes each 50 ms for a second, then each 250 ms, then it is over", () => {
  const alone = new Alone("asker", OWN, reach(A));
  alone.advance(10_000);
  const times = alone.sent.map((each) => each.at - 1_000);
  const fast = Array.from({ length: 21 }, (_, index) => 50 * index);
  assertEquals(times, [...fast, 1_250, 1_500, 1_750, 2_000, 2_250]);
  assertEquals(alone.puncher.outcome, { type: "failed" });
  assertEquals(alone.puncher.nextAt, Infinity);
  assertEquals(alone.comes(A, alone.other.probe(alone.nonce())), []);
});

Deno.test("Puncher guesses from 750 ms on: ports of a dependent peer, or from many sockets", () => {
  const dependent: Reach = { ...reach(A, at(A.host, 9_000)), mapping: "dependent" };
  const spraying = new Alone("asker", OWN, dependent);
  spraying.advance(749);
  const before = spraying.sent.length;
  assertEquals(new Set(spraying.sent.map(({ to }) => to.port)), new Set([4_000, 9_000]));
  spraying.advance(1_001);
  const guesses = spraying.sent.slice(before).filter(({ to }) => to.port !== 4_000);
  assert(guesses.length > 60 && guesses.every(({ socket, to }) => !socket && to.host === A.host));

  const spreading = new Alone("target", { ...OWN, mapping: "dependent" }, reach(A, B));
  spreading.advance(749);
  assert(spreading.sent.every(({ socket }) => socket === 0));
  spreading.advance(4_000);
  const opened = spreading.sent.filter(({ socket }) => socket !== 0);
  assertEquals(opened.map(({ socket }) => socket), Array.from({ length: 256 }, (_, i) => 2 + i));
  assertEquals(new Set(opened.map(({ to }) => formatAddress(to))), new Set([formatAddress(A)]));
});

Deno.test("Puncher answers a PROBE once, where it came from, and probes back at the first one", () => {
  const alone = new Alone("asker", OWN, reach(A));
  alone.advance(10);
  const probe = alone.other.probe(alone.nonce());
  const answers = alone.comes(B, probe);
  assertEquals(types(answers), [0x12, 0x11]);
  assertEquals(answers.map(({ to, ttl }) => [to, ttl]), [[B, undefined], [B, undefined]]);
  assertEquals(alone.comes(B, probe), []);
  assertEquals(alone.comes(A, probe), []);
  assertEquals(types(alone.comes(B, alone.other.probe(alone.nonce()))), [0x12]);
});

Deno.test("Puncher answers no more than 40 PROBEs from an address that is not proven", () => {
  const alone = new Alone("target", OWN, reach(A));
  for (let count = 0; count < 2 * MAX_UNPROVEN; count++) {
    alone.comes(B, alone.other.probe(alone.nonce()));
    alone.advance(25);
  }
  const answers = alone.sent.filter(({ bytes }) => bytes[0] === 0x12);
  assertEquals(answers.length, MAX_UNPROVEN);
});

Deno.test("Puncher takes no ANSWER but from where the PROBE went, on its socket, and once", () => {
  const alone = new Alone("asker", OWN, reach(A, B));
  alone.advance(60);
  const [nonce] = alone.probed(A);
  alone.comes(B, alone.other.answer(nonce!));
  alone.comes(at(A.host, 4_001), alone.other.answer(nonce!));
  alone.comes(A, alone.other.answer(nonce!), 2);
  alone.comes(A, alone.other.answer(alone.nonce()));
  assertEquals(alone.puncher.outcome, undefined);
  assertEquals(types(alone.comes(A, alone.other.answer(nonce!))), [0x13, 0x13, 0x13]);
  assertEquals(alone.puncher.outcome, {
    type: "nominated",
    socket: 0,
    remote: A,
    roundTripMs: 60,
  });
  assertEquals(alone.comes(A, alone.other.answer(nonce!)), []);
  assertEquals(alone.puncher.poll(alone.now), []);
});

Deno.test("Puncher as asker waits a round trip for a local address where both are seen at one", () => {
  const here = reach(at(A.host, 9));
  const peer = { ...reach(A), udp: [LAN] };
  for (const local of [true, false]) {
    const alone = new Alone("asker", here, peer);
    alone.advance(75);
    assertEquals(alone.comes(A, alone.other.answer(alone.probed(A)[0]!)), []);
    assertEquals(alone.puncher.outcome, undefined);
    if (local) alone.comes(LAN, alone.other.answer(alone.probed(LAN)[0]!));
    else alone.advance(75);
    assertEquals(nominated(alone.puncher).remote, local ? LAN : A);
    assertEquals(types(alone.sent.slice(-3)), [0x13, 0x13, 0x13]);
  }
  const elsewhere = new Alone("asker", OWN, peer);
  elsewhere.advance(75);
  elsewhere.comes(A, elsewhere.other.answer(elsewhere.probed(A)[0]!));
  assertEquals(elsewhere.puncher.outcome?.type, "nominated");
});

Deno.test("Puncher as target takes NOMINATE only where a PROBE came from, an asker none", () => {
  const target = new Alone("target", OWN, reach(A));
  target.advance(10);
  target.comes(A, target.other.nominate(target.nonce()));
  target.comes(B, target.other.nominate(target.nonce()));
  assertEquals(target.puncher.outcome, undefined);
  target.comes(B, target.other.probe(target.nonce()));
  target.comes(A, target.other.nominate(target.nonce()));
  assertEquals(target.puncher.outcome, undefined);
  assertEquals(target.comes(B, target.other.nominate(target.nonce())), []);
  const nominated = { type: "nominated", socket: 0, remote: B, roundTripMs: undefined } as const;
  assertEquals(target.puncher.outcome, nominated);

  const asker = new Alone("asker", OWN, reach(A));
  asker.comes(A, asker.other.probe(asker.nonce()));
  asker.comes(A, asker.other.nominate(asker.nonce()));
  assertEquals(asker.puncher.outcome, undefined);
});

Deno.test("Puncher as target takes its best proven address after a second of silence", () => {
  const target = new Alone("target", OWN, { ...reach(A, B), udp: [LAN] });
  target.advance(60);
  target.comes(A, target.other.answer(target.probed(A)[0]!));
  target.advance(20);
  target.comes(B, target.other.answer(target.probed(B).at(-1)!));
  target.advance(900);
  assertEquals(target.comes(A, target.other.probe(target.nonce())).length, 2 - 1);
  target.advance(999);
  assertEquals(target.puncher.outcome, undefined);
  target.advance(1);
  assertEquals(target.puncher.outcome, {
    type: "nominated",
    socket: 0,
    remote: B,
    roundTripMs: 30,
  });
});

Deno.test("Puncher as target does not wait for ever for an asker that never chooses", () => {
  const target = new Alone("target", OWN, reach(A));
  target.advance(60);
  target.comes(A, target.other.answer(target.probed(A)[0]!));
  for (let count = 0; count < 100; count++) {
    target.comes(A, target.other.probe(target.nonce()));
    target.advance(50);
  }
  assertEquals(target.puncher.outcome?.type, "nominated");
});

Deno.test("Puncher fails at once where the plan is none, or nothing can be reached", () => {
  const blocked: Reach = { ...OWN, mapping: "blocked" };
  for (const peer of [blocked, reach(), reach(at("2001:db8::1")), reach(at("224.0.0.1"))]) {
    const alone = new Alone("asker", OWN, peer);
    alone.advance(100);
    assertEquals([alone.puncher.outcome, alone.sent], [{ type: "failed" }, []]);
  }
});

/** What a hostile side may do; the numbers choose among addresses and packets. */
type Deed =
  | { readonly deed: "wait"; readonly ms: number }
  | { readonly deed: "probe" | "answer" | "nominate" | "replay" | "reflect"; readonly n: number }
  | { readonly deed: "flood"; readonly count: number; readonly n: number }
  | { readonly deed: "bytes"; readonly bytes: Uint8Array };

const deeds: fc.Arbitrary<Deed>[] = [
  fc.record({ deed: fc.constant("wait"), ms: fc.nat(3_000) }),
  fc.record({
    deed: fc.constantFrom("probe", "answer", "nominate", "replay", "reflect"),
    n: fc.nat(10_000),
  }),
  fc.record({ deed: fc.constant("flood"), count: fc.nat(1_500), n: fc.nat(10_000) }),
  fc.record({ deed: fc.constant("bytes"), bytes: fc.uint8Array({ minLength: 34, maxLength: 34 }) }),
];

function nth(n: number): Address {
  return at(`203.0.113.${n % 250}`, 1_000 + n);
}

/** Does all that, and waits until it is over; returns the addresses that may have been proven. */
function play(alone: Alone, codec: PunchCodec, steps: readonly Deed[]): Set<string> {
  const proven = new Set<string>();
  const heard: Uint8Array[] = [];
  for (const step of steps) {
    if (step.deed === "wait") alone.advance(step.ms);
    else if (step.deed === "bytes") alone.comes(A, step.bytes);
    else if (step.deed === "flood") {
      for (let count = 0; count < step.count; count++) {
        alone.comes(nth(step.n + count), codec.probe(alone.nonce()));
      }
    } else if (step.deed === "reflect") {
      const own = alone.sent[step.n % alone.sent.length];
      if (own) alone.comes(own.to, own.bytes, own.socket);
    } else if (step.deed === "replay") {
      if (heard.length > 0) alone.comes(nth(step.n), heard[step.n % heard.length]!);
    } else {
      const probes = alone.sent.filter(({ bytes }) => bytes[0] === 0x11);
      const probe = probes[step.n % probes.length];
      const nonce = step.deed === "answer" && probe ? probe.bytes.slice(10, 18) : alone.nonce();
      heard.push(codec[step.deed](nonce));
      // An ANSWER comes from elsewhere as often as from where it should.
      const from = step.deed === "answer" && probe && step.n % 2 ? probe.to : nth(step.n);
      if (step.deed === "answer") proven.add(formatAddress(from));
      alone.comes(from, heard.at(-1)!, probe?.socket);
    }
  }
  alone.advance(LONGEST_MS);
  return proven;
}

const mappings = fc.constantFrom("none", "independent", "sequential", "dependent" as const);
const lies: fc.Arbitrary<Reach> = fc.record({
  udp: fc.array(fc.nat(10_000).map(nth), { maxLength: 40 }),
  seen: fc.array(fc.nat(10_000).map(nth), { maxLength: 20 }),
  mapping: mappings,
});
const roles = fc.constantFrom("asker", "target" as const);

Deno.test("Puncher sends no more than it may, whatever a peer does that has the secret", () => {
  fc.assert(
    fc.property(roles, mappings, lies, fc.array(fc.oneof(...deeds)), (role, own, peer, steps) => {
      const reached = { ...OWN, mapping: own };
      const alone = new Alone(role, reached, peer);
      const proven = play(alone, alone.other, steps);
      const plan = planPunch(reached, peer).udp;
      checkRate(alone.sent);
      const unproven = alone.sent.filter(({ to }) => !proven.has(formatAddress(to)));
      checkCounts(unproven.filter(({ bytes }) => bytes[0] !== 0x13), plan);
      if (plan === "probe") {
        const candidates = new Set(punchCandidates(peer, reached).map(formatAddress));
        const others = new Set(alone.sent.map(({ to }) => formatAddress(to)));
        assert(others.difference(candidates).size <= MAX_REFLEXIVE);
      }
      assert(alone.puncher.outcome);
    }),
    { numRuns: 60 },
  );
});

Deno.test("Puncher is never brought to an address by somebody without the secret", () => {
  const forged = new Uint8Array(16);
  fc.assert(
    fc.property(roles, lies, fc.array(fc.oneof(...deeds)), (role, peer, steps) => {
      const alone = new Alone(role, OWN, peer);
      play(alone, new PunchCodec(forged, role === "asker" ? "target" : "asker"), steps);
      assertEquals(alone.puncher.outcome, { type: "failed" });
      assertEquals(alone.sent.filter(({ bytes }) => bytes[0] !== 0x11), []);
    }),
    { numRuns: 60 },
  );
});
