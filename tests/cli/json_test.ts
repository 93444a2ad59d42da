import { assert, assertEquals, assertMatch } from "@std/assert";
import { Program, type ProgramEvent } from "../fakes/program.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

/** The fields of each event that others rely on; more may come. */
const FIELDS: Record<string, Record<string, string>> = {
  listening: { address: "string" },
  connected: { peer: "string", path: "string" },
  message: { from: "string", text: "string" },
  offer: { from: "string", name: "string", files: "number", bytes: "number" },
  progress: { bytes: "number", total: "number" },
  received: { path: "string", bytes: "number" },
  sent: { path: "string", bytes: "number" },
  renamed: { peer: "string", name: "string" },
  disconnected: { peer: "string" },
  error: { code: "string", message: "string" },
};

/** Each line is an event with its fields, and they are those that are expected. Streams overtake each other: any order will do. */
function assertEvents(events: ProgramEvent[], names: string[]): void {
  const seen = events.map(({ event }) => event).filter((name) => name !== "progress");
  assertEquals(seen.toSorted(), names.toSorted());
  assertEquals([seen.at(0), seen.at(-1)], [names.at(0), names.at(-1)]);
  for (const event of events) {
    for (const [field, type] of Object.entries(FIELDS[event.event]!)) {
      assertEquals(typeof event[field], type, JSON.stringify(event));
    }
  }
}

Deno.test("a visit with chat, a new name and a file makes exactly the events that are told", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("film", new Uint8Array(2_000_000));
  const inbox = folder.folder("in");
  await using alice = await Program.listenJson(["--once", "--yes", "--dir", inbox]);
  const bob = await Program.run(["connect", alice.address, "--json", "--name", "bob"], {
    input: `hello\n/nick robert\n/send ${path}\n`,
  });
  assertEquals(bob.code, 0);
  const ended = await alice.finished();
  assertEquals(ended.code, 0);
  assertEvents(
    alice.events,
    ["listening", "connected", "message", "renamed", "offer", "received", "disconnected"],
  );
  assert(alice.events.some(({ event }) => event === "progress"));
  const sender = bob.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEvents(sender, ["connected", "sent", "disconnected"]);
  assertEquals(sender.find(({ event }) => event === "sent")!.bytes, 2_000_000);
});

Deno.test("send --json tells connected, progress, sent and disconnected, and people on stderr", async () => {
  using folder = new TemporaryFolder();
  await using alice = await Program.listenJson(["--yes", "--dir", folder.folder("in")]);
  const path = folder.file("film", new Uint8Array(3_000_000));
  const words = ["send", "--json", "--address", alice.address, path];
  const { stdout, stderr } = await Program.run(words);
  const events = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEvents(events, ["connected", "sent", "disconnected"]);
  const progress = events.filter(({ event }) => event === "progress");
  assert(progress.length > 0 && progress.every(({ total }) => total === 3_000_000));
  assertMatch(stderr, /film sent: 3 MB/);
  const quiet = await Program.run([...words, "--quiet"]);
  assertEquals([quiet.code, quiet.stderr], [0, ""]);
});

Deno.test("an error is an event and a line, with the same words and the right code", async () => {
  const cases: [string[], number, string][] = [
    [["connect", "127.0.0.1:1", "--json"], 4, "unreachable"],
    [["connect", "no/where", "--json"], 2, "usage"],
    [["send", "--address", "127.0.0.1:1", "--json", "nothing"], 6, "file"],
    [["forget", "nobody", "--json"], 1, "failed"],
  ];
  for (const [words, exit, code] of cases) {
    const ended = await Program.run(words);
    const [event, ...more] = ended.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals([ended.code, event.event, event.code, more], [exit, "error", code, []]);
    assert(ended.stderr.startsWith(`p2p: error: ${event.message}\n`), ended.stderr);
  }
});

Deno.test("refused offers are an error event with code refused on the side that sends", async () => {
  using folder = new TemporaryFolder();
  await using alice = await Program.listenJson();
  const path = folder.file("film", "film");
  const { code, stdout } = await Program.run(["send", "--json", "--address", alice.address, path]);
  assertEquals(code, 3);
  const error = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
  assertEquals([error.event, error.code], ["error", "refused"]);
  assertEquals(typeof error.hint, "string");
});

Deno.test("--quiet leaves chat, warnings and errors, and nothing else", async () => {
  await using alice = await Program.listenJson();
  await using bob = Program.start(["connect", alice.address, "--quiet"]);
  await alice.until("connected");
  await alice.write("heard\n");
  await bob.stdout.until(() => /: heard\n/.test(bob.stdout.text) || undefined, "heard");
  await bob.write("/nonsense\n/quit\n");
  const { code, stderr } = await bob.finished();
  assertEquals([code, stderr], [
    0,
    "p2p: error: Unknown command: /nonsense\n     /help lists them.\n",
  ]);
});
