import { assertEquals } from "@std/assert";
import { reachOf, simultaneousOf } from "../../peer/candidates.ts";
import type { PeerInfo } from "../../protocol/rendezvous.ts";

const RELAY = { host: "198.51.100.200", port: 8080 };

function infoOf(changes: Partial<PeerInfo>): PeerInfo {
  return { peer: "203.0.113.2:7", username: "anna", ...changes };
}

Deno.test("reachOf() keeps what can be reached from here", () => {
  const udp = ["192.168.1.10:9", "127.0.0.1:9", "224.0.0.1:9", "[2001:db8::1]:9"];
  const reach = reachOf(infoOf({ udp, seen: ["203.0.113.2:9"], mapping: "independent" }), RELAY);
  assertEquals(reach, {
    udp: [{ host: "192.168.1.10", port: 9 }, { host: "2001:db8::1", port: 9 }],
    seen: [{ host: "203.0.113.2", port: 9 }],
    mapping: "independent",
  });
  assertEquals(reachOf(infoOf({}), RELAY), { udp: [], seen: [], mapping: undefined });
});

Deno.test("reachOf(): a peer cannot have many packets sent to where the relay does not see it", () => {
  for (
    const [peer, seen, mapping] of [
      ["203.0.113.2:7", "203.0.113.2:9", "dependent"],
      ["203.0.113.2:7", "203.0.113.99:9", "independent"],
      // A relay that is reached over both families sees one address of each.
      ["[2001:db8::1]:7", "203.0.113.2:9", "dependent"],
      ["[2001:db8::1]:7", "[2001:db8::2]:9", "independent"],
    ] as const
  ) {
    const info = infoOf({ peer, seen: [seen], mapping: "dependent" });
    assertEquals(reachOf(info, RELAY).mapping, mapping);
  }
  assertEquals(reachOf(infoOf({ mapping: "dependent" }), RELAY).mapping, "independent");
});

Deno.test("simultaneousOf(): a relay cannot have us open a connection to this machine, or to many", () => {
  const client = { address: RELAY, localPort: 40_000 };
  const remote = { host: "203.0.113.2", port: 7 };
  assertEquals(simultaneousOf(infoOf({}), client), { localPort: 40_000, remote });
  for (const peer of ["127.0.0.1:22", "[::1]:22", "0.0.0.0:22", "224.0.0.1:7", "nowhere"]) {
    assertEquals(simultaneousOf(infoOf({ peer }), client), undefined);
  }
  const here = { address: { host: "127.0.0.1", port: 8080 }, localPort: 40_000 };
  const own = { host: "127.0.0.1", port: 7 };
  assertEquals(simultaneousOf(infoOf({ peer: "127.0.0.1:7" }), here)?.remote, own);
  assertEquals(simultaneousOf(infoOf({}), { ...client, localPort: undefined }), undefined);
});
