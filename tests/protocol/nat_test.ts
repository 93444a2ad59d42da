import { assertEquals } from "@std/assert";
import { type Address, formatAddress, parseIpAddress } from "../../protocol/address.ts";
import { MAPPINGS } from "../../protocol/mapping.ts";
import {
  mappingOf,
  mayBeSequential,
  planPunch,
  punchCandidates,
  type Reach,
  type Sighting,
} from "../../protocol/nat.ts";

const addresses = (...texts: string[]): Address[] => texts.map((text) => parseIpAddress(text)!);

function sighting(port: number, ...seen: string[]): Sighting {
  return { local: { host: "0.0.0.0", port }, seen: addresses(...seen) };
}

function reach(
  mapping: Reach["mapping"],
  { udp = [], seen = [] }: { udp?: string[]; seen?: string[] } = {},
): Reach {
  return { mapping, udp: addresses(...udp), seen: addresses(...seen) };
}

const OWN = ["192.168.1.10", "203.0.113.7", "2001:db8:0:0::1"];

for (
  const [what, expected, ...sightings] of [
    ["an own address and port", "none", sighting(4000, "203.0.113.7:4000", "203.0.113.7:4000")],
    ["an own address, another port", "independent", sighting(4000, "203.0.113.7:5000")],
    ["another address", "independent", sighting(4000, "198.51.100.2:4000", "198.51.100.2:4000")],
    ["another address, from one port alone", "independent", sighting(4000, "198.51.100.2:77")],
    ["an own IPv6 address", "none", sighting(4000, "[2001:db8::1]:4000", "[2001:db8::1]:4000")],
    ["two ports far apart", "dependent", sighting(4000, "198.51.100.2:77", "198.51.100.2:9000")],
    [
      "two ports near each other",
      "dependent",
      sighting(4000, "198.51.100.2:77", "198.51.100.2:78"),
    ],
    ["two IP addresses", "dependent", sighting(4000, "198.51.100.2:77", "198.51.100.3:77")],
    [
      "four ports in steps of 1",
      "sequential",
      sighting(4000, "198.51.100.2:77", "198.51.100.2:78"),
      sighting(4001, "198.51.100.2:79", "198.51.100.2:80"),
    ],
    [
      "four ports in steps of -10",
      "sequential",
      sighting(4000, "198.51.100.2:177", "198.51.100.2:167"),
      sighting(4001, "198.51.100.2:157", "198.51.100.2:147"),
    ],
    [
      "four ports in steps of 11",
      "dependent",
      sighting(4000, "198.51.100.2:100", "198.51.100.2:111"),
      sighting(4001, "198.51.100.2:122", "198.51.100.2:133"),
    ],
    [
      "four ports, one of them elsewhere",
      "dependent",
      sighting(4000, "198.51.100.2:77", "198.51.100.2:78"),
      sighting(4001, "198.51.100.2:79", "198.51.100.2:90"),
    ],
    [
      "three ports in sequence",
      "dependent",
      sighting(4000, "198.51.100.2:77", "198.51.100.2:78"),
      sighting(4001, "198.51.100.2:79"),
    ],
    [
      "four ports of two addresses",
      "dependent",
      sighting(4000, "198.51.100.2:77", "198.51.100.2:78"),
      sighting(4001, "198.51.100.3:79", "198.51.100.3:80"),
    ],
    ["nothing", "blocked", sighting(4000)],
    ["nothing over IPv4", "none", sighting(4000), sighting(4000, "[2001:db8::1]:4000")],
    [
      "a NAT, and none over IPv6",
      "independent",
      sighting(4000, "[2001:db8::1]:4000"),
      sighting(4001, "198.51.100.2:77"),
    ],
  ] as [string, Reach["mapping"], ...Sighting[]][]
) {
  Deno.test(`mappingOf() calls it ${expected} if STUN saw ${what}`, () => {
    assertEquals(mappingOf(sightings, OWN), expected);
  });
}

Deno.test("mappingOf() of no socket is blocked", () => assertEquals(mappingOf([], OWN), "blocked"));

Deno.test("mayBeSequential() says yes to two ports that are near and not the same", () => {
  const both = (one: string, other: string) => mayBeSequential(addresses(one, other));
  assertEquals(both("198.51.100.2:77", "198.51.100.2:87"), true);
  assertEquals(both("198.51.100.2:77", "198.51.100.2:67"), true);
  assertEquals(both("198.51.100.2:77", "198.51.100.2:77"), false);
  assertEquals(both("198.51.100.2:77", "198.51.100.2:88"), false);
  assertEquals(both("198.51.100.2:77", "198.51.100.3:78"), false);
  assertEquals(mayBeSequential(addresses("198.51.100.2:77")), false);
});

/** The table of section 12: what the row's side does towards the column's. */
const PLANS: Record<string, Record<string, string>> = {
  none: {
    none: "probe",
    independent: "probe",
    sequential: "probe",
    dependent: "spray",
    blocked: "none tcp: UDP is blocked on the other side",
  },
  sequential: {
    none: "probe",
    independent: "probe",
    sequential: "probe",
    dependent: "none tcp: both sides are behind NATs that use another port for each peer",
    blocked: "none tcp: UDP is blocked on the other side",
  },
  dependent: {
    none: "spread",
    independent: "spread",
    sequential: "none tcp: both sides are behind NATs that use another port for each peer",
    dependent: "none tcp: both sides are behind NATs that use another port for each peer",
    blocked: "none tcp: UDP is blocked on the other side",
  },
  blocked: Object.fromEntries(MAPPINGS.map((each) => [each, "none tcp: UDP is blocked here"])),
};
PLANS.independent = PLANS.none!;

function planned(own: Reach, peer: Reach): string {
  const { udp, tcp, relayedBecause } = planPunch(own, peer);
  return `${udp}${tcp ? " tcp" : ""}${relayedBecause ? `: ${relayedBecause}` : ""}`;
}

for (const own of MAPPINGS) {
  for (const peer of MAPPINGS) {
    Deno.test(`planPunch() of ${own} towards ${peer} is as specified`, () => {
      assertEquals(planned(reach(own), reach(peer)), PLANS[own]![peer]);
    });
  }
}

Deno.test("planPunch() tries nothing where one has told nothing", () => {
  assertEquals(
    planned(reach("none"), reach(undefined)),
    "none: the other side has told nothing of its network",
  );
  assertEquals(
    planned(reach(undefined), reach("none")),
    "none: nothing is known of this side's network",
  );
});

Deno.test("planPunch() probes behind two dependent NATs where there may be a way around them", () => {
  const here = { seen: ["198.51.100.2:77", "198.51.100.2:9000"] };
  const global = { udp: ["[2001:db8::1]:4000"] };
  const local = { udp: ["[fd00::1]:4000", "[fe80::1]:4000", "192.168.1.1:4000"] };
  assertEquals(planned(reach("dependent", here), reach("dependent", here)), "probe tcp");
  assertEquals(planned(reach("dependent", global), reach("sequential", global)), "probe tcp");
  assertEquals(planned(reach("dependent", local), reach("dependent", global)).slice(0, 4), "none");
});

const candidates = (peer: Reach, own = reach("independent")) =>
  punchCandidates(peer, own).map(formatAddress);

Deno.test("punchCandidates() has addresses that anybody can reach first, local ones last", () => {
  const peer = reach("independent", {
    udp: ["192.168.1.10:4000", "[2001:db8::1]:4000"],
    seen: ["198.51.100.2:77", "198.51.100.2:77"],
  });
  assertEquals(candidates(peer), ["[2001:db8::1]:4000", "198.51.100.2:77", "192.168.1.10:4000"]);
});

Deno.test("punchCandidates() has local addresses first where both are seen at one IP address", () => {
  const seen = ["198.51.100.2:77"];
  const peer = reach("independent", { udp: ["192.168.1.10:4000", "10.0.0.1:4000"], seen });
  assertEquals(candidates(peer, reach("independent", { seen: ["198.51.100.2:78"] })), [
    "192.168.1.10:4000",
    "10.0.0.1:4000",
    "198.51.100.2:77",
  ]);
});

Deno.test("punchCandidates() predicts the ports of a sequential peer", () => {
  const seen = [93, 95, 97, 99].map((port) => `198.51.100.2:${port}`);
  const predicted = Array.from({ length: 16 }, (_, index) => `198.51.100.2:${101 + 2 * index}`);
  const peer = reach("sequential", { seen, udp: ["192.168.1.10:4000"] });
  assertEquals(candidates(peer), [...seen, ...predicted, "192.168.1.10:4000"]);
  assertEquals(candidates(peer, reach("sequential")), [...predicted, ...seen, "192.168.1.10:4000"]);
  assertEquals(candidates({ ...peer, mapping: "dependent" }), [...seen, "192.168.1.10:4000"]);
});

Deno.test("punchCandidates() predicts no ports that there are not", () => {
  const down = reach("sequential", { seen: ["198.51.100.2:9", "198.51.100.2:6"] });
  assertEquals(candidates(down), ["198.51.100.2:9", "198.51.100.2:6", "198.51.100.2:3"]);
  const up = reach("sequential", { seen: ["198.51.100.2:65533", "198.51.100.2:65534"] });
  assertEquals(candidates(up).at(-1), "198.51.100.2:65535");
  const still = reach("sequential", { seen: ["198.51.100.2:9", "198.51.100.2:9"] });
  assertEquals(candidates(still), ["198.51.100.2:9"]);
});

Deno.test("punchCandidates() names no address twice, however it is written", () => {
  const udp = ["[2001:db8::1]:1", "[2001:DB8:0:0:0:0:0:1]:1", "1.2.3.4:1", "[::ffff:1.2.3.4]:1"];
  assertEquals(candidates(reach("none", { udp })), ["[2001:db8::1]:1", "1.2.3.4:1"]);
});

Deno.test("punchCandidates() has no addresses but those of one machine, and of this one only where it may be meant", () => {
  const many = ["224.0.0.1:1", "255.255.255.255:1", "0.0.0.0:1", "[ff02::1]:1", "[::]:1"];
  const here = ["127.0.0.1:1", "[::1]:1", "[0:0:0:0:0:0:0:1]:2", "[::ffff:127.0.0.1]:3"];
  const peer = reach("none", { udp: [...many, ...here] });
  assertEquals(candidates(peer), []);
  assertEquals(candidates(peer, reach("none", { seen: ["127.0.0.1:9"] })), [
    "127.0.0.1:1",
    "[::1]:1",
    "[::1]:2",
    "127.0.0.1:3",
  ]);
});

Deno.test("punchCandidates() takes no more than a side may tell", () => {
  const udp = Array.from({ length: 30 }, (_, index) => `1.2.3.4:${1_000 + index}`);
  const seen = Array.from({ length: 30 }, (_, index) => `198.51.100.2:${2_000 + index}`);
  assertEquals(candidates(reach("sequential", { udp, seen })).length, 16 + 8 + 16);
});
