import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { hasTmux, Tmux } from "../../fakes/tmux.ts";

const SCRIPT = `${import.meta.dirname}/screen_script.ts`;
const ignore = !await hasTmux();

/** The script in a shell in a terminal, and a peer whose lines arrive there. */
class Session implements AsyncDisposable {
  private constructor(readonly terminal: Tmux, readonly peer: Deno.Conn) {}

  static async start(options: { columns?: number; rows?: number } = {}): Promise<Session> {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const run =
      `${Deno.execPath()} run --quiet --allow-env --allow-net --allow-run=stty --no-check ${SCRIPT} ${port}`;
    const command = [
      "sh",
      "-c",
      `${run}; echo "exit code $?"; cat`,
    ];
    const terminal = await Tmux.start({ ...options, command });
    const peer = await listener.accept();
    await terminal.waitFor(">");
    return new Session(terminal, peer);
  }

  async says(...lines: string[]): Promise<void> {
    await this.peer.write(new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.peer.close();
    await this.terminal[Symbol.asyncDispose]();
  }
}

function test(name: string, run: () => Promise<void>): void {
  Deno.test({ name, ignore, fn: run });
}

test("Screen keeps the typed line and its cursor when a line arrives", async () => {
  await using session = await Session.start();
  const { terminal } = session;
  await terminal.type("half a thought");
  await terminal.press("Left", "Left");
  await session.says("hello", "there");
  const shown = await terminal.waitFor("peer: there\n> half a thought");
  assertEquals(shown, "peer: hello\npeer: there\n> half a thought");
  await terminal.waitForCursor([14, 2]);
  await terminal.type("!");
  await terminal.press("Enter");
  await terminal.waitFor("> half a thoug!ht\ntyped: half a thoug!ht\n>");
});

test("Screen keeps a typed line that wraps when lines arrive", async () => {
  await using session = await Session.start({ columns: 20 });
  const { terminal } = session;
  await terminal.type("0123456789 0123456789 0123456789");
  await terminal.waitFor("> 0123456789 0123456\n789 0123456789");
  await session.says("one", "two");
  const shown = await terminal.waitFor(/two\n> /);
  assertEquals(shown, "peer: one\npeer: two\n> 0123456789 0123456\n789 0123456789");
  await terminal.waitForCursor([14, 3]);
});

test("Screen places the cursor behind a line that fills the width exactly", async () => {
  await using session = await Session.start({ columns: 20 });
  const { terminal } = session;
  await terminal.type("0123456789 1234567");
  await terminal.waitForCursor([0, 1]);
  await session.says("one");
  await terminal.waitFor("peer: one\n> 0123456789 1234567");
  await terminal.waitForCursor([0, 2]);
  await terminal.type("x");
  await terminal.waitFor("> 0123456789 1234567\nx");
  await terminal.press("BSpace", "BSpace");
  await terminal.waitFor((shown) => shown === "peer: one\n> 0123456789 123456");
});

test("Screen measures wide characters", async () => {
  await using session = await Session.start({ columns: 20 });
  const { terminal } = session;
  await terminal.type("漢字漢字漢字漢字漢字");
  await terminal.waitFor("> 漢字漢字漢字漢字漢\n字");
  await terminal.waitForCursor([2, 1]);
  await session.says("你好");
  await terminal.waitFor("peer: 你好\n> 漢字漢字漢字漢字漢\n字");
  await terminal.waitForCursor([2, 2]);
  await terminal.press("Home");
  await terminal.type("x");
  await terminal.press("Enter");
  await terminal.waitFor("typed: x漢字漢字漢字");
});

test("Screen shows a typed line that is longer than the terminal is high", async () => {
  await using session = await Session.start({ columns: 20, rows: 5 });
  const { terminal } = session;
  await terminal.type(Array.from({ length: 40 }, (_, i) => `word${i}`).join(" "));
  await terminal.waitFor("word39");
  await session.says("one", "two");
  await terminal.waitFor("word39");
  await terminal.press("Enter");
  await terminal.waitFor(/word39\n>$/);
  const all = await terminal.screen({ history: true });
  assertEquals(all.match(/peer: one/g)?.length, 1);
  assertStringIncludes(all, "peer: one\npeer: two\n> word0");
});

test("Screen recalls earlier lines and comes back to the new one", async () => {
  await using session = await Session.start();
  const { terminal } = session;
  for (const line of ["first", "second"]) {
    await terminal.type(line);
    await terminal.press("Enter");
    await terminal.waitFor(`typed: ${line}`);
  }
  await terminal.type("draft");
  await terminal.waitFor("> draft");
  await terminal.press("Up", "Up");
  await terminal.waitFor(/\n> first$/);
  await terminal.press("Down", "Down");
  await terminal.waitFor(/\n> draft$/);
});

test("Screen.lines() ends at Ctrl-D, and only where nothing is typed", async () => {
  await using session = await Session.start();
  const { terminal } = session;
  await terminal.type("abc");
  await terminal.press("Left", "C-d");
  await terminal.waitFor(/^> ab$/);
  await terminal.press("C-u", "C-d");
  const shown = await terminal.waitFor("exit code");
  assertEquals(shown, "end of lines\nterminal as before\nexit code 0");
});

test("Screen reports Ctrl-C", async () => {
  await using session = await Session.start();
  const { terminal } = session;
  await terminal.type("draft");
  await terminal.waitFor("> draft");
  await terminal.press("C-c");
  const shown = await terminal.waitFor("exit code");
  assertEquals(shown, "interrupted\nexit code 130");
});

test("Screen leaves nothing behind when the program exits without close()", async () => {
  await using session = await Session.start();
  const { terminal } = session;
  await terminal.type("exit");
  await terminal.press("Enter");
  assertEquals(await terminal.waitFor("exit code"), "> exit\nexit code 3");
});

test("Screen lets an error that nobody catches be read", async () => {
  await using session = await Session.start();
  const { terminal } = session;
  await terminal.type("throw");
  await terminal.press("Enter");
  assertMatch(await terminal.waitFor("exit code"), /Error: planted[^]*\nexit code 1$/);
});

test("Screen.ask() takes the next line and keeps the draft", async () => {
  await using session = await Session.start();
  const { terminal } = session;
  await terminal.type("draft");
  await terminal.waitFor("> draft");
  await session.says("!ask", "!ask", "hello");
  await terminal.waitFor(/^peer: hello\nQuestion 1\?$/);
  await terminal.type("yes");
  await terminal.press("Enter");
  await terminal.waitFor("Question 1? yes");
  await terminal.press("C-d");
  const shown = await terminal.waitFor(/> draft$/);
  assertEquals(shown, 'peer: hello\nQuestion 1? yes\nanswer: "yes"\nanswer: null\n> draft');
});

test("Screen.ask() withdraws its question when the signal aborts", async () => {
  await using session = await Session.start();
  const { terminal } = session;
  await terminal.type("draft");
  await terminal.waitFor("> draft");
  await session.says("!withdrawn");
  assertEquals(await terminal.waitFor("withdrawn"), "withdrawn\n> draft");
});

test("Screen keeps status lines above the typed one", async () => {
  await using session = await Session.start();
  const { terminal } = session;
  await terminal.type("status");
  await terminal.press("Enter");
  await terminal.waitFor("> status\nstatus =");
  await terminal.type("draft");
  await terminal.waitFor("> draft");
  await session.says("hello");
  const status = `status ${"=".repeat(20)}`;
  await terminal.waitFor(`> status\npeer: hello\n${status}\n> draft`);
  await terminal.press("C-u");
  await terminal.type("no status");
  await terminal.press("Enter");
  await terminal.waitFor((shown) => shown === "> status\npeer: hello\n> no status\n>");
});

test("Screen draws anew when the terminal becomes narrower and wider", async () => {
  await using session = await Session.start({ columns: 40 });
  const { terminal } = session;
  // From the bottom of a full screen: nothing that is redrawn scrolled away by itself.
  await session.says(...Array.from({ length: 12 }, (_, i) => `line ${i}`));
  await terminal.waitFor("line 11");
  await terminal.type("status");
  await terminal.press("Enter");
  await terminal.type("0123456789 0123456789 0123456789");
  await terminal.waitFor("6789 0123456789");
  await terminal.resize(20, 12);
  const narrow = "status ============\n> 0123456789 0123456\n789 0123456789";
  await terminal.waitFor(`line 11\n> status\n${narrow}`);
  await session.says("narrow");
  await terminal.waitFor(`line 11\n> status\npeer: narrow\n${narrow}`);
  await terminal.resize(50, 12);
  const wide = `status ${"=".repeat(20)}\n> 0123456789 0123456789 0123456789`;
  await terminal.waitFor(`> status\npeer: narrow\n${wide}`);
  await session.says("wide");
  await terminal.waitFor(`line 11\n> status\npeer: narrow\npeer: wide\n${wide}`);
});

test("Screen shows hostile lines without obeying them", async () => {
  await using session = await Session.start();
  const { terminal } = session;
  await terminal.type("draft");
  await terminal.waitFor("> draft");
  await session.says("\x1b[2J\x1b[Hgone\rover\x07\u202e");
  const shown = "peer: \\x1b[2J\\x1b[Hgone\\rover\\x07\\u202e\n> draft";
  assertEquals(await terminal.waitFor(shown), shown);
});
