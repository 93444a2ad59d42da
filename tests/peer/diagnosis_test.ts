import { assert, assertEquals } from "@std/assert";
import {
  diagnose,
  eventOf,
  type Filtering,
  type Findings,
  report,
  scopeOf,
} from "../../peer/diagnosis.ts";
import { type Address, formatAddress, parseIpAddress } from "../../protocol/address.ts";

const OWN = "192.168.1.10";
const OUTSIDE = "203.0.113.2";

/** A machine with one address, at which a relay's two ports saw a socket of port 4000 so. */
function findings(
  seen: string[][],
  options: { own?: string; filtering?: Filtering; relay?: boolean } = {},
): Findings {
  const { own = OWN, filtering = "strict", relay = true } = options;
  const addresses = seen.map((each) => each.map((text) => parseIpAddress(text) as Address));
  const first = addresses[0]?.[0];
  const reached = first ? { seen: formatAddress(first), roundTripMs: 12.34 } : { error: "none" };
  return {
    interfaces: [
      { name: "lo", address: "127.0.0.1", family: "IPv4" },
      { name: "eth0", address: own, family: "IPv4" },
    ],
    relay: relay ? { name: "host.example:8080", tcp: { roundTripMs: 23 } } : undefined,
    stun: [{ server: "host.example:8080", ...reached }],
    sightings: addresses.map((each) => ({ local: { host: "0.0.0.0", port: 4_000 }, seen: each })),
    filtering,
  };
}

const at = (...ports: number[]) => ports.map((port) => `${OUTSIDE}:${port}`);

const CASES: [what: string, found: Findings, mapping: string, expect: string][] = [
  [
    "a public host",
    findings([[`${OUTSIDE}:4000`, `${OUTSIDE}:4000`]], { own: OUTSIDE, filtering: "loose" }),
    "none",
    "straight straight straight straight tcp",
  ],
  [
    "a firewall",
    findings([[`${OUTSIDE}:4000`, `${OUTSIDE}:4000`]], { own: OUTSIDE }),
    "none",
    "straight straight straight likely tcp",
  ],
  [
    "a port-restricted NAT",
    findings([at(4000, 4000)]),
    "independent",
    "straight straight straight likely tcp",
  ],
  [
    "a full cone",
    findings([at(7000, 7000)], { filtering: "loose" }),
    "independent",
    "straight straight straight straight tcp",
  ],
  [
    "a sequential NAT",
    findings([at(7000, 7001), at(7002, 7003)]),
    "sequential",
    "straight straight straight relayed tcp",
  ],
  [
    "a symmetric NAT",
    findings([at(7000, 52_000)]),
    "dependent",
    "likely likely relayed relayed tcp",
  ],
  ["blocked UDP", findings([[]]), "blocked", "tcp tcp tcp tcp tcp"],
  ["one port's word", findings([at(7000)]), "unknown", ""],
  ["no answer at all", findings([[]], { relay: false }), "unknown", ""],
  ["a server on this machine", findings([["127.0.0.1:4000", "127.0.0.1:4000"]]), "unknown", ""],
  ["a server in this network", findings([[`${OWN}:4000`, `${OWN}:4000`]]), "unknown", ""],
];

for (const [what, found, mapping, expect] of CASES) {
  Deno.test(`diagnose() of ${what}: ${mapping}`, () => {
    const diagnosis = diagnose(found);
    const event = eventOf(found, diagnosis);
    assertEquals(event.mapping, mapping);
    assertEquals(Object.values(event.expect ?? {}).join(" "), expect);
    const lines = report(found, diagnosis);
    for (const line of lines) assert(line.length <= 80, line);
    assertEquals(lines.some((line) => line.startsWith("What to expect")), expect !== "");
  });
}

Deno.test("diagnose() knows nothing where nobody was asked", () => {
  const found: Findings = { ...findings([], { relay: false }), stun: [], filtering: "unknown" };
  const diagnosis = diagnose(found);
  assertEquals([diagnosis.mapping, diagnosis.publicHosts], [undefined, []]);
  assertEquals(report(found, diagnosis), [`Addresses     ${OWN} (private, eth0)`]);
});

Deno.test("diagnose() of a machine in no network", () => {
  const found = { ...findings([[]]), interfaces: [] };
  assertEquals(report(found, diagnose(found))[0], "Addresses     none but loopback: no network");
});

Deno.test("report() tells people in words what there is", () => {
  const found = findings([at(4000, 4000)]);
  assertEquals(report(found, diagnose(found)).slice(0, 6), [
    "Addresses     192.168.1.10 (private, eth0)",
    "              203.0.113.2 (as others see it)",
    "Relay         host.example:8080 over TCP: reached in 23 ms",
    "UDP           host.example:8080: reached in 12.3 ms, sees 203.0.113.2:4000",
    "NAT           one public port for everybody: easy to get through",
    "              lets in answers only, from the very port that was written to",
  ]);
});

Deno.test("eventOf() has a field for everything", () => {
  const found = findings([at(4000, 4000)]);
  assertEquals(eventOf(found, diagnose(found)), {
    interfaces: [
      { name: "lo", address: "127.0.0.1", family: "IPv4", scope: "loopback" },
      { name: "eth0", address: OWN, family: "IPv4", scope: "private" },
    ],
    relay: "host.example:8080",
    tcp: { reachable: true, roundTripMs: 23, error: undefined },
    udp: [{
      server: "host.example:8080",
      seen: `${OUTSIDE}:4000`,
      reachable: true,
      roundTripMs: 12.3,
      error: undefined,
    }],
    public: [OUTSIDE],
    mapping: "independent",
    filtering: "strict",
    expect: {
      none: "straight",
      independent: "straight",
      sequential: "straight",
      dependent: "likely",
      blocked: "tcp",
    },
  });
});

Deno.test("scopeOf() tells what an address is good for", () => {
  for (
    const [ip, scope] of [
      ["127.0.0.1", "loopback"],
      ["::1", "loopback"],
      ["169.254.3.4", "link-local"],
      ["fe80::1", "link-local"],
      ["10.1.2.3", "private"],
      ["172.31.0.1", "private"],
      ["100.64.0.2", "private"],
      ["100.128.0.2", "global"],
      ["fd00::2", "private"],
      ["198.51.100.4", "global"],
      ["2001:db8::1", "global"],
    ]
  ) assertEquals(scopeOf(ip!), scope, ip);
});
