/** What `p2p doctor` makes of each kind of NAT, behind real ones. */
import { assert, assertEquals } from "@std/assert";
import { natTest } from "../fakes/nat_lab.ts";
import { Program } from "../fakes/program.ts";

const RELAY_PORT = 8080;

const CASES: [kind: string, mapping: string, filtering: string, expect: string][] = [
  ["none", "none", "loose", "straight straight straight straight tcp"],
  ["firewall", "none", "strict", "straight straight straight likely tcp"],
  ["full-cone", "independent", "loose", "straight straight straight straight tcp"],
  ["restricted", "independent", "loose", "straight straight straight straight tcp"],
  ["port-restricted", "independent", "strict", "straight straight straight likely tcp"],
  ["symmetric", "dependent", "strict", "likely likely relayed relayed tcp"],
  ["symmetric-seq", "sequential", "strict", "straight straight straight relayed tcp"],
  ["udp-blocked", "blocked", "unknown", "tcp tcp tcp tcp tcp"],
  ["port-restricted+symmetric", "dependent", "strict", "likely likely relayed relayed tcp"],
];

for (const [kind, mapping, filtering, expect] of CASES) {
  natTest(`doctor behind ${kind}: ${mapping} and ${filtering}`, [kind, "none"], async (lab) => {
    const before = lab.on("relay");
    await using relay = Program.start(["relay", "--port", `${RELAY_PORT}`, "--json"], { before });
    await relay.until("listening");
    const address = `${await lab.address("relay")}:${RELAY_PORT}`;
    const started = performance.now();
    const words = ["doctor", "--relay", address, "--json"];
    const { code, stdout, stderr } = await Program.run(words, { before: lab.on("a") });
    const milliseconds = performance.now() - started;
    const event = JSON.parse(stdout);
    assertEquals([code, event.mapping, event.filtering], [0, mapping, filtering], stderr);
    assertEquals(Object.values(event.expect).join(" "), expect);
    assertEquals(event.tcp.reachable, true);
    assertEquals(event.udp[0].reachable, kind !== "udp-blocked");
    const outside = kind === "udp-blocked" ? [] : [await lab.address("a", "public")];
    assertEquals(event.public, outside);
    assert(milliseconds < 6_000, `it took ${milliseconds} ms`);
  });
}

natTest(
  "doctor over a slow line that loses packets is right all the same",
  ["port-restricted", "none", "--delay", "40", "--loss", "5"],
  async (lab) => {
    const before = lab.on("relay");
    await using relay = Program.start(["relay", "--port", `${RELAY_PORT}`, "--json"], { before });
    await relay.until("listening");
    const words = ["doctor", "--relay", `${await lab.address("relay")}:${RELAY_PORT}`, "--json"];
    const { stdout } = await Program.run(words, { before: lab.on("a") });
    const { mapping, filtering, udp } = JSON.parse(stdout);
    assertEquals([mapping, filtering], ["independent", "strict"]);
    assert(udp[0].roundTripMs > 70, `${udp[0].roundTripMs} ms`);
  },
);
