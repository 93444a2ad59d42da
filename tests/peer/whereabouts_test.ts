import { assert, assertEquals } from "@std/assert";
import { Output } from "../../peer/output.ts";
import type { Session } from "../../peer/session.ts";
import { Sink } from "../../peer/terminal/sink.ts";
import { Whereabouts } from "../../peer/whereabouts.ts";
import type { Path } from "../../protocol/connection.ts";

const WORDS = { away: () => "gone", back: () => "here again" };

/** What is told of a session whose path a test changes. */
function tellOf(session: { path: Path; remote: string }) {
  const written = { out: "", err: "" };
  const sink = (to: "out" | "err") =>
    new Sink({
      isTerminal: () => false,
      writeSync(bytes) {
        written[to] += new TextDecoder().decode(bytes);
        return bytes.length;
      },
    });
  const output = new Output({ json: true, stdout: sink("out"), stderr: sink("err") });
  const of = (session: { path: Path; remote: string }) => {
    const usual = { remoteName: "bob", remoteKey: new Uint8Array(32), state: "connected" };
    const full = Object.assign(session, { ...usual, ...session }) as unknown as Session;
    return new Whereabouts(output, full, { words: WORDS });
  };
  return { whereabouts: of(session), of, written };
}

Deno.test("Whereabouts tells of a path when it changes, and of nothing else that goes on", () => {
  const session = { path: "relayed" as Path, remote: "relay r:8080" };
  const { whereabouts, written } = tellOf(session);
  whereabouts.changed("connected", undefined);
  assertEquals(written.err, "");
  whereabouts.connected();
  assert(written.err.includes("(through relay r:8080, relayed, encrypted"), written.err);
  written.err = written.out = "";
  whereabouts.changed("connected", undefined);
  assertEquals(written.err, "");
  Object.assign(session, { path: "lan", remote: "192.168.1.20:9000" });
  whereabouts.changed("connected", undefined);
  assertEquals(written.err, "The way to bob is now 192.168.1.20:9000, lan\n");
  assertEquals(JSON.parse(written.out), { event: "path", peer: "bob", path: "lan" });
});

Deno.test("Whereabouts tells once that a peer is away, however many connections come to nothing", () => {
  const { whereabouts, written } = tellOf({ path: "lan" as Path, remote: "192.168.1.20:9000" });
  whereabouts.connected();
  written.err = "";
  whereabouts.changed("away", new Error("lost"));
  whereabouts.changed("away", new Error("nobody greeted"));
  assertEquals(written.err, "gone\n");
});

Deno.test("Whereabouts tells that a peer is away and back, and on which path", () => {
  const session = { path: "lan" as Path, remote: "192.168.1.20:9000" };
  const { whereabouts, written } = tellOf(session);
  whereabouts.connected();
  written.err = written.out = "";
  whereabouts.changed("away", new Error("lost"));
  whereabouts.changed("connected", undefined);
  assertEquals(written.err, "gone\nhere again\n");
  whereabouts.changed("away", new Error("lost"));
  Object.assign(session, { path: "relayed", remote: "relay r:8080" });
  whereabouts.changed("connected", undefined);
  const events = written.out.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(events.map(({ event, path }) => [event, path]), [
    ["away", undefined],
    ["back", "lan"],
    ["away", undefined],
    ["back", "relayed"],
    ["path", "relayed"],
  ]);
  assert(written.err.endsWith("The way to bob is now through relay r:8080, relayed\n"));
});

Deno.test("Whereabouts: another session with a peer goes on where the one before was", () => {
  const { whereabouts, of, written } = tellOf({ path: "lan", remote: "192.168.1.20:9000" });
  whereabouts.connected();
  written.err = written.out = "";
  const second = of({ path: "lan", remote: "192.168.1.20:1234" });
  second.takeOver(whereabouts);
  assertEquals([written.err, written.out], ["", ""], "it was there all the while");
  second.changed("away", new Error("lost"));
  const third = of({ path: "relayed", remote: "relay r:8080" });
  third.takeOver(second);
  assertEquals(
    written.err,
    "gone\nhere again\nThe way to bob is now through relay r:8080, relayed\n",
  );
  const fourth = { path: "relayed" as Path, remote: "relay r:8080", state: "away" };
  third.changed("away", new Error("lost"));
  written.err = "";
  const whereaboutsOfFourth = of(fourth);
  whereaboutsOfFourth.takeOver(third);
  assertEquals(written.err, "", "it is away itself");
  whereaboutsOfFourth.changed("connected", undefined);
  assertEquals(written.err, "here again\n");
});
