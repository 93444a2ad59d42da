/** TCP by simultaneous open, where UDP cannot be used. */
import { assertEquals, assertLess } from "@std/assert";
import { LabProcess } from "../fakes/lab_process.ts";
import { type NatHost, type NatLab, natTest } from "../fakes/nat_lab.ts";

const SCRIPT = `${import.meta.dirname}/../fakes/tcp_punch.ts`;
/** Milliseconds: the kernel sends a lost first packet again after 1 s. */
const CONNECTED_WITHIN_MS = 3_000;

function start(lab: NatLab, host: NatHost, ...words: string[]): LabProcess {
  return new LabProcess(lab, host, [Deno.execPath(), "run", "-A", SCRIPT, ...words]);
}

async function outcome(peer: LabProcess): Promise<string[]> {
  const line = await peer.until((lines) => lines.find((each) => each.includes("met")), "greeting");
  return line.split(" ");
}

for (
  const [a, b, ...options] of [
    ["port-restricted", "udp-blocked"],
    ["none", "udp-blocked"],
    ["udp-blocked", "udp-blocked"],
    ["firewall", "port-restricted"],
    // Both refuse whom they do not try to reach just then.
    ["none", "none", "--delay", "10"],
  ] as const
) {
  natTest(`TCP straight between ${a} and ${b}`, [a, b, ...options], async (lab) => {
    await using relay = start(lab, "relay", "relay");
    await relay.until((lines) => lines.find((line) => line === "listening"), "listening");
    const address = await lab.address("relay");
    await using anna = start(lab, "a", "peer", address);
    await using bella = start(lab, "b", "peer", address);
    for (const peer of [anna, bella]) {
      const [path, milliseconds, ...greeting] = await outcome(peer);
      assertEquals([path, ...greeting], ["punched", "well", "met"]);
      assertLess(Number(milliseconds), CONNECTED_WITHIN_MS);
    }
  });
}
