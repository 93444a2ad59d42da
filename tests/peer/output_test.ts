import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type MessageOptions, Output, type OutputOptions } from "../../peer/output.ts";
import { Sink } from "../../peer/terminal/sink.ts";
import { describe } from "../../peer/words.ts";
import { FileError } from "../../protocol/errors.ts";

/** What was written to one of the standard streams. */
class Written {
  text = "";
  readonly sink: Sink;
  readonly #decoder = new TextDecoder();

  constructor(terminal = false) {
    this.sink = new Sink({
      isTerminal: () => terminal,
      writeSync: (bytes) => {
        this.text += this.#decoder.decode(bytes, { stream: true });
        return bytes.length;
      },
    });
  }
}

function create(options: OutputOptions = {}, terminal = false) {
  const [stdout, stderr] = [new Written(terminal), new Written(terminal)];
  const output = new Output({ ...options, stdout: stdout.sink, stderr: stderr.sink });
  return { output, stdout, stderr };
}

const failure = describe(new FileError("File not read: it is gone", { hint: "Look elsewhere." }));

/** Everything that can be printed. */
function printAll(output: Output): void {
  output.event("listening", { address: "1.2.3.4:8080", nothing: undefined });
  output.say("said", "twice");
  output.warn("warned");
  output.message("bob", "hi");
  output.error(failure);
}

const ERROR_WORDS = "p2p: error: File not read: it is gone\n     Look elsewhere.\n";

Deno.test("Output separates data from what is said to people", () => {
  const { output, stdout, stderr } = create();
  printAll(output);
  assertEquals(stdout.text, "bob: hi\n");
  assertEquals(stderr.text, `said\ntwice\nwarned\n${ERROR_WORDS}`);
});

Deno.test("Output prints with json: true nothing but events on standard output", () => {
  const { output, stdout, stderr } = create({ json: true });
  printAll(output);
  assertEquals(stdout.text.trimEnd().split("\n").map((line) => JSON.parse(line)), [
    { event: "listening", address: "1.2.3.4:8080" },
    { event: "message", from: "bob", text: "hi" },
    {
      event: "error",
      code: "file",
      message: "File not read: it is gone",
      hint: "Look elsewhere.",
    },
  ]);
  assertEquals(stderr.text, `said\ntwice\nwarned\n${ERROR_WORDS}`);
});

Deno.test("Output leaves out with quiet: true only what is merely said", () => {
  const { output, stdout, stderr } = create({ quiet: true });
  printAll(output);
  assertEquals(stdout.text, "bob: hi\n");
  assertEquals(stderr.text, `warned\n${ERROR_WORDS}`);
});

Deno.test("Output.error() shows where it came from only with debug: true", () => {
  const { output, stderr } = create({ debug: true });
  output.error(failure);
  assert(/^FileError: File not read/m.test(stderr.text));
  assert(/^ {4}at /m.test(stderr.text));
});

Deno.test("Output escapes whatever it is given", () => {
  const { output, stdout, stderr } = create();
  output.message("b\x1b[1mob", "a\nb\u202e");
  output.say("from \x1b[2J");
  output.warn("\r");
  output.error({ ...failure, message: "\x07", hint: "\x08" });
  assertEquals(stdout.text, "b\\x1b[1mob: a\\nb\\u202e\n");
  assertEquals(stderr.text, "from \\x1b[2J\n\\r\np2p: error: \\x07\n     \\x08\n");
});

Deno.test("Output.event() writes one line of JSON that no text can break or steer", () => {
  const hostile = "\x1b[2J\x9b\x7f\n\u202e\u2028\u200b\u{e0041}\ud800";
  const property = fc.property(fc.string({ unit: "binary" }), (text: string) => {
    const { output, stdout } = create({ json: true });
    output.message(text, text);
    assert(/^[^\p{Cc}\p{Zl}\p{Zp}\p{DI}]+\n$/u.test(stdout.text));
    assertEquals(JSON.parse(stdout.text), { event: "message", from: text, text });
  });
  fc.assert(property, { examples: [[hostile]] });
});

Deno.test("Output colours names on terminals only, the same name the same, and not with color: false", () => {
  const { output, stdout, stderr } = create({ color: true }, true);
  output.message("bob", "hi");
  output.message("bob", "ho");
  output.error(failure);
  const [color] = /3[2-6]/.exec(stdout.text)!;
  const bob = `\x1b[${color}mbob\x1b[0m`;
  assertEquals(stdout.text, `${bob}: hi\n${bob}: ho\n`);
  assert(stderr.text.startsWith("\x1b[1;31mp2p: error:\x1b[0m File"));
  for (const [options, terminal] of [[{ color: false }, true], [{ color: true }, false]] as const) {
    const plain = create(options, terminal);
    printAll(plain.output);
    assert(!(plain.stdout.text + plain.stderr.text).includes("\x1b"));
  }
});

const NOON = new Date(2026, 4, 17, 12, 5).getTime();

const ASIDES: [options: MessageOptions, aside: string][] = [
  [{}, ""],
  [{ private: false, late: false, time: NOON }, ""],
  [{ private: true }, " (privately)"],
  [{ late: true, time: NOON }, " (12:05)"],
  // When it was said is not known.
  [{ late: true }, ""],
  [{ through: "carol" }, " (through carol)"],
  [{ through: "a\x1bb" }, String.raw` (through a\x1bb)`],
  [
    { private: true, through: "carol", late: true, time: NOON },
    " (privately, through carol, 12:05)",
  ],
];

for (const [options, aside] of ASIDES) {
  Deno.test(`Output.message() says${aside === "" ? " nothing more" : aside} of ${JSON.stringify(options)}`, () => {
    const { output, stdout } = create();
    output.message("bob", "hi", options);
    assertEquals(stdout.text, `bob${aside}: hi\n`);
  });
}

Deno.test("Output.message() has all that is known of a line in its event, and no more", () => {
  const { output, stdout } = create({ json: true });
  const whose = { id: "k/i/0/1", key: "abcd-efgh", through: "carol" };
  output.message("bob", "hi", { ...whose, time: NOON, private: true, late: true });
  output.message("bob", "hi", { id: "k/i/0/2", time: 0, private: false, late: false });
  output.message("bob", "hi", { time: 2 ** 48 - 1 });
  const line = { event: "message", from: "bob", text: "hi" };
  assertEquals(stdout.text.trimEnd().split("\n").map((each) => JSON.parse(each)), [
    { ...line, ...whose, time: new Date(NOON).toISOString(), private: true, late: true },
    { ...line, id: "k/i/0/2", time: "1970-01-01T00:00:00.000Z" },
    // The latest time that there can be.
    { ...line, time: "+010889-08-02T05:31:50.655Z" },
  ]);
});
