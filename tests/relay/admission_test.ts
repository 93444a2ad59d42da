import { assertEquals } from "@std/assert";
import { Admission, type Permit, RESERVED_DESCRIPTORS } from "../../relay/admission.ts";
import { newCounters } from "../../relay/counters.ts";
import type { RelayLimits } from "../../relay/limits.ts";
import { Rates } from "../../relay/rates.ts";

function rig(limits: Partial<RelayLimits> = {}, descriptorLimit = 1_024) {
  const counters = newCounters();
  const admission = new Admission({
    limits: { maxConnections: 100, connectionsPerAddress: 10, rate: 1_000, ...limits },
    descriptorLimit,
    counters,
  });
  return { admission, counters };
}

function release(permit: Permit | string): void {
  if (typeof permit !== "string") permit[Symbol.dispose]();
}

Deno.test("Connections of one address are bounded; those that close make room, once each", () => {
  const { admission, counters } = rig({ connectionsPerAddress: 2 });
  const first = admission.connect("192.0.2.1", 0);
  admission.connect("192.0.2.1", 0);
  assertEquals(admission.connect("192.0.2.1", 0), "TooMany");
  assertEquals(typeof admission.connect("192.0.2.2", 0), "object");
  release(first);
  release(first);
  assertEquals(typeof admission.connect("192.0.2.1", 0), "object");
  assertEquals(admission.connect("192.0.2.1", 0), "TooMany");
  assertEquals([counters.connections, counters.connectionsTotal], [3, 4]);
});

Deno.test("Connections of all are bounded by the flag, and below what the process may have open", () => {
  for (
    const [limits, descriptors] of [[{ maxConnections: 2 }, 1_024], [{}, RESERVED_DESCRIPTORS + 2]]
  ) {
    const { admission, counters } = rig(limits as Partial<RelayLimits>, descriptors as number);
    assertEquals(counters.maxConnections, 2);
    const permits = ["a", "b", "c"].map((source) => admission.connect(source, 0));
    assertEquals(permits[2], "Full");
    release(permits[0]!);
    assertEquals(typeof admission.connect("c", 0), "object");
  }
});

Deno.test("Connections of one address have a rate, with a burst of four seconds; so have messages", () => {
  const { admission } = rig({ rate: 5, connectionsPerAddress: 100 });
  for (let i = 0; i < 20; i++) assertEquals(typeof admission.connect("a", 0), "object");
  assertEquals(admission.connect("a", 0), "TooFast");
  for (let i = 0; i < 20; i++) assertEquals(admission.maySpeak("a", 0), true);
  assertEquals(admission.maySpeak("a", 0), false);
  assertEquals(admission.maySpeak("b", 0), true);
  assertEquals(admission.maySpeak("a", 200), true);
  assertEquals(admission.maySpeak("a", 200), false);
  assertEquals(typeof admission.connect("a", 200), "object");
  assertEquals(admission.connect("a", 200), "TooFast");
});

Deno.test("Rates.take() forgets sources that were idle, and lets nobody new through where there are too many", () => {
  const rates = new Rates(1, 3);
  for (const source of ["a", "b", "c"]) assertEquals(rates.take(source, 0), true);
  assertEquals(rates.take("d", 0), false);
  assertEquals(rates.take("a", 10), true);
  assertEquals(rates.take("d", 1_500), true);
  assertEquals(rates.size, 2);
});
