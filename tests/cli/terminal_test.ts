/** The program on real terminals. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Program, programCommand } from "../fakes/program.ts";
import { TamperingProxy } from "../fakes/tampering_proxy.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";
import { hasTmux, Tmux } from "../fakes/tmux.ts";

const ignore = !await hasTmux();

function test(name: string, run: () => Promise<void>): void {
  Deno.test({ name, ignore, fn: run });
}

/** The program in a shell in a terminal of its own; the shell tells how it ended and what it left of the terminal. */
class Terminal implements AsyncDisposable {
  private constructor(readonly folder: TemporaryFolder, readonly tmux: Tmux) {}

  static async start(
    words: readonly string[],
    options: {
      columns?: number;
      rows?: number;
      env?: Record<string, string>;
      prepare?: (folder: TemporaryFolder) => void;
    } = {},
  ): Promise<Terminal> {
    const folder = new TemporaryFolder();
    options.prepare?.(folder);
    const script = 'cd "$0"; "$@"; echo "exit $?"; stty -a | tr " ;" "\\n\\n" | ' +
      'grep -x -e "-\\?icanon" -e "-\\?echo" -e "-\\?isig" | sort | xargs echo; cat';
    const tmux = await Tmux.start({
      columns: 90,
      rows: 16,
      ...options,
      command: ["sh", "-c", script, folder.path, ...programCommand(words)],
      env: {
        XDG_CONFIG_HOME: folder.join("config"),
        XDG_DATA_HOME: folder.join("data"),
        // What a program that is ended writes last would come into a folder that is being removed.
        P2P_NO_HISTORY: "1",
        P2P_NAME: "",
        ...options.env,
      },
    });
    return new Terminal(folder, tmux);
  }

  static async listen(flags: readonly string[] = [], options = {}): Promise<Terminal> {
    const words = ["listen", "--port", "0", "--host", "127.0.0.1", "--name", "alice", ...flags];
    await using started = new AsyncDisposableStack();
    const terminal = started.use(await Terminal.start(words, options));
    await terminal.shows(/^>$/m);
    started.move();
    return terminal;
  }

  async address(): Promise<string> {
    return /127\.0\.0\.1:\d+/.exec(await this.shows(/127\.0\.0\.1:\d+/))![0];
  }

  async shows(wanted: string | RegExp): Promise<string> {
    return await this.tmux.waitFor(wanted);
  }

  async enter(text: string): Promise<void> {
    if (text !== "") await this.tmux.type(text);
    await this.tmux.press("Enter");
  }

  /** The program has ended so, and the terminal is as it was. */
  async ended(code: number): Promise<string> {
    const shown = await this.shows(/^exit \d+\n.*icanon/m);
    assertMatch(shown, new RegExp(`^exit ${code}\necho icanon isig`, "m"));
    return shown;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tmux[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

test("two terminals chat, and a draft is not broken by lines that come in", async () => {
  await using alice = await Terminal.listen();
  const address = await alice.address();
  await using bob = await Terminal.start(["connect", address, "--name", "bob"]);
  await bob.shows("Connected to alice");
  await alice.shows("Connected to bob");
  await alice.tmux.type("half a thou");
  await bob.enter("first");
  await bob.enter("second");
  const shown = await alice.shows("bob: second");
  assertMatch(shown, /\nbob: first\nbob: second\n> half a thou$/);
  await alice.enter("ght");
  await bob.shows("alice: half a thought");
  await bob.enter("/quit");
  await bob.ended(0);
  await alice.shows("bob has left");
});

test("an offer is asked about: n refuses it, y takes it", async () => {
  await using alice = await Terminal.listen();
  const address = await alice.address();
  const path = alice.folder.file("out/note.txt", "hello");
  const words = ["send", "--address", address, "--name", "bob", path];
  {
    await using bob = Program.start(words);
    await alice.shows("bob offers note.txt (5 B). Accept? [y/N]");
    await alice.enter("n");
    const { code, stderr } = await bob.finished();
    assertEquals(code, 3);
    assertStringIncludes(stderr, "Files refused by the other side: declined");
  }
  // Another key under the name bob would be refused: so it goes by another one.
  await using carol = Program.start(words.with(4, "carol"));
  await alice.shows("carol offers note.txt (5 B). Accept? [y/N]");
  await alice.enter("y");
  assertEquals((await carol.finished()).code, 0);
  await alice.shows(/note\.txt received: 5 B/);
  assertEquals(Deno.readTextFileSync(alice.folder.join("note.txt")), "hello");
});

test("what was being typed comes back after a question", async () => {
  await using alice = await Terminal.listen();
  const address = await alice.address();
  await alice.tmux.type("a draft");
  const words = ["send", "--address", address, alice.folder.file("out/a", "a")];
  await using bob = Program.start(words);
  await alice.shows("Accept? [y/N]");
  await alice.enter("");
  assertEquals((await bob.finished()).code, 3);
  await alice.shows(/\n> a draft$/);
});

test("a sender who gives up takes the question away", async () => {
  await using alice = await Terminal.listen();
  const address = await alice.address();
  const words = ["send", "--address", address, alice.folder.file("out/a", "a")];
  await using bob = Program.start(words);
  await alice.shows("Accept? [y/N]");
  bob.kill("SIGINT");
  assertEquals((await bob.finished()).code, 130);
  const shown = await alice.shows(/has left\n>$/);
  assertStringIncludes(shown, "has taken the offer back");
});

test("a name that is taken is asked about: skip, rename or overwrite", async () => {
  await using alice = await Terminal.listen(["--yes"]);
  const address = await alice.address();
  const path = alice.folder.file("out/a.txt", "new");
  const config = alice.folder.join("config of bob");
  for (const [answer, expected] of [["s", "old"], ["r", "old"], ["o", "new"]] as const) {
    alice.folder.file("a.txt", "old");
    await using bob = Program.start(["send", "--address", address, path], { config });
    await alice.shows(/a\.txt exists\. Skip, rename or overwrite\? \[s\/R\/o\] *$/);
    await alice.enter(answer);
    assertEquals((await bob.finished()).code, 0);
    assertEquals(Deno.readTextFileSync(alice.folder.join("a.txt")), expected);
  }
  assertEquals(Deno.readTextFileSync(alice.folder.join("a (1).txt")), "new");
});

test("a transfer shows a line that moves, on both sides, and a summary after it", async () => {
  await using alice = await Terminal.listen(["--yes"]);
  await using proxy = new TamperingProxy(await alice.address());
  proxy.stallAfter(8_000_000);
  const path = alice.folder.file("out/film.mkv", new Uint8Array(20_000_000));
  await using bob = await Terminal.start(["send", "--address", proxy.address, path]);
  await alice.shows(/^film\.mkv +█+░+ +\d+% .*\/20 MB.* lan\n> *$/m);
  await bob.shows(/^film\.mkv +█*░+ +\d+% .*\/20 MB.* lan$/m);
  proxy.release();
  await alice.shows(/film\.mkv received: 20 MB in .*, lan/);
  const shown = await bob.ended(0);
  assertMatch(shown, /film\.mkv sent: 20 MB in .*, lan; alice has confirmed it/);
  assert(!/[█░]/.test(shown), shown);
});

test("Ctrl-C ends listen and connect with 130 and gives the terminal back", async () => {
  await using alice = await Terminal.listen();
  await using bob = await Terminal.start(["connect", await alice.address()]);
  await bob.shows("Connected to alice");
  await bob.tmux.type("a draft");
  await bob.tmux.press("C-c");
  await bob.ended(130);
  await alice.shows("has left");
  await alice.tmux.press("C-c");
  await alice.ended(130);
});

test("Ctrl-C while it waits for an answer ends listen and refuses the offer", async () => {
  await using alice = await Terminal.listen();
  const words = ["send", "--address", await alice.address(), alice.folder.file("out/a", "a")];
  await using bob = Program.start(words);
  await alice.shows("Accept? [y/N]");
  await alice.tmux.press("C-c");
  await alice.ended(130);
  const { code, stderr } = await bob.finished();
  assertEquals(code, 3, stderr);
});

test("Ctrl-C ends a connect that is still dialling and gives the terminal back", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using bob = await Terminal.start(["connect", `127.0.0.1:${silent.addr.port}`]);
  using _conn = await silent.accept();
  await bob.tmux.press("C-c");
  await bob.ended(130);
});

test("an error gives the terminal back", async () => {
  await using bob = await Terminal.start(["connect", "127.0.0.1:1"]);
  assertStringIncludes(await bob.ended(4), "nobody listens there");
});

test("Ctrl-D ends connect and listen with 0", async () => {
  await using alice = await Terminal.listen();
  await using bob = await Terminal.start(["connect", await alice.address()]);
  await bob.shows("Connected to alice");
  await bob.tmux.press("C-d");
  await bob.ended(0);
  await alice.shows("has left");
  await alice.tmux.press("C-d");
  await alice.ended(0);
});

test("bare p2p asks for an address and a port, and connects", async () => {
  await using alice = await Program.listenJson(["--name", "alice"]);
  const [host, port] = alice.address.split(":");
  await using bob = await Terminal.start([]);
  await bob.shows("Peer address (Enter to listen):");
  await bob.enter(host!);
  await bob.shows("Port [8080]:");
  await bob.enter(port!);
  await bob.shows("Connected to alice");
  await bob.enter("hello");
  assertEquals((await alice.until("message")).text, "hello");
});

test("bare p2p takes an address with its port in one", async () => {
  await using alice = await Program.listenJson(["--name", "alice"]);
  await using bob = await Terminal.start([]);
  await bob.shows("Peer address (Enter to listen):");
  await bob.enter(alice.address);
  await bob.shows("Connected to alice");
});

test("bare p2p with Enter listens on the port that is asked for", async () => {
  await using alice = await Terminal.start([]);
  await alice.shows("Peer address (Enter to listen):");
  await alice.enter("");
  await alice.shows("Port [8080]:");
  await alice.enter("0");
  const address = await alice.address();
  const { code } = await Program.run(["connect", address, "--name", "bob"], { input: "hello\n" });
  assertEquals(code, 0);
  await alice.shows("bob: hello");
});

test("bare p2p tells what is wrong with an address, and Ctrl-D and Ctrl-C leave it", async () => {
  await using wrong = await Terminal.start([]);
  await wrong.shows("Peer address (Enter to listen):");
  await wrong.enter("not an address");
  assertStringIncludes(await wrong.ended(2), "Address not understood");
  await using interrupted = await Terminal.start([]);
  await interrupted.shows("Peer address (Enter to listen):");
  await interrupted.tmux.press("C-c");
  await interrupted.ended(130);
});

test("in 40 columns the chat and a draft that wraps stay whole", async () => {
  await using alice = await Terminal.listen([], { columns: 40 });
  await using bob = Program.start(["connect", await alice.address(), "--name", "bob"]);
  await alice.shows("Connected to bob");
  await alice.tmux.type("a draft that is longer than the window is wide");
  await bob.write("one\ntwo\n");
  await alice.shows("bob: two");
  const shown = await alice.tmux.screen();
  assertMatch(shown, /\nbob: one\nbob: two\n> a draft that is longer than the window\n is wide$/);
});

test("colours show on a terminal, and not with NO_COLOR", async () => {
  for (const [env, coloured] of [[{ NO_COLOR: "" }, true], [{ NO_COLOR: "1" }, false]] as const) {
    await using bob = await Terminal.start(["connect", "127.0.0.1:1"], { env });
    await bob.ended(4);
    assertEquals((await bob.tmux.screen({ colors: true })).includes("\x1b["), coloured);
  }
});

test("three terminals: Tab, /msg, /history and /kick", async () => {
  await using alice = await Terminal.listen([], { rows: 24, env: { P2P_NO_HISTORY: "" } });
  const address = await alice.address();
  await using bob = await Terminal.start(["connect", address, "--name", "bob b"]);
  await using bert = await Terminal.start(["connect", address, "--name", "bert"]);
  await alice.shows("Connected to bob b");
  await alice.shows("Connected to bert");
  await bob.shows("Connected to alice");
  await bert.shows("Connected to alice");
  await bert.shows("Connected to bob b");

  // As far as it is clear, then at the second Tab what there is, then the rest.
  await alice.tmux.type("/m\t");
  await alice.shows(/^> \/msg$/m);
  await alice.tmux.type("b\t\t");
  await alice.shows(/^bert {3}bob b\n> \/msg b$/m);
  await alice.tmux.type("o\t");
  await alice.shows(/^> \/msg bob b$/m);
  await alice.enter("only you");
  await bob.shows("alice (privately): only you");
  await alice.shows("To bob b (privately): only you");
  await bob.enter("hello all");
  await alice.shows("bob b: hello all");

  await alice.enter("/history");
  await alice.shows(/ {2}alice to bob b \(privately\): only you\n.* {2}bob b: hello all\n>$/);

  await bert.tmux.type("/k\tal\t");
  await bert.shows(/^> \/kick alice$/m);
  await bert.tmux.press("C-u");
  await alice.enter("/kick bob b enough");
  await bob.shows(/sent you away: enough/);
  await bob.enter("to you, bert");
  await bert.shows("bob b: to you, bert");
  await bob.enter("/quit");
  await bob.ended(3);
  await alice.enter("still here");
  await bert.shows("alice: still here");
  await alice.enter("/quit");
  await bert.ended(0);
  await alice.ended(0);
});

test("Tab completes paths behind /send, and changes nothing where nothing fits", async () => {
  await using alice = await Terminal.listen();
  await using bob = await Terminal.start([
    ...["connect", await alice.address(), "--name", "bob", "--yes", "--dir", "in"],
  ], { prepare: (folder) => folder.folder("in") });
  await bob.shows("Connected to alice");
  alice.folder.file("pictures/a flower.jpg", "rose");
  await alice.tmux.type("/send zz\t\t");
  await alice.shows(/^> \/send zz$/m);
  await alice.tmux.press("C-w");
  await alice.tmux.type("pi\ta\t");
  await alice.shows(/^> \/send pictures\/a flower\.jpg$/m);
  await alice.enter("");
  await bob.shows(/a flower\.jpg received/);
  assertEquals(Deno.readTextFileSync(bob.folder.join("in/a flower.jpg")), "rose");
});

test("p2p history --clear asks before it deletes", async () => {
  using folder = new TemporaryFolder();
  await using alice = await Program.listen(["--once"], { data: folder.path });
  await Program.run(["connect", alice.address, "--name", "bob"], { input: "hello\n" });
  await alice.finished();
  for (
    const [answer, said, left] of [["", "Nothing deleted", 1], ["y", "Deleted: 1", 0]] as const
  ) {
    await using terminal = await Terminal.start(["history", "--clear", "--with", "bob"], {
      env: { XDG_DATA_HOME: folder.path },
    });
    await terminal.shows("The history with bob is deleted for good. Go on? [y/N]");
    await terminal.enter(answer);
    await terminal.shows(said);
    await terminal.ended(0);
    const { stdout } = await Program.run(["history"], { data: folder.path });
    assertEquals(stdout.split("\n").length - 1, left);
  }
});
