import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { COMMANDS, parseCommandLine, parseFlags } from "../../peer/args.ts";
import { UsageError } from "../../protocol/errors.ts";

const SPEC = {
  flags: {
    address: { kind: "string", required: true },
    file: { kind: "strings" },
    name: { kind: "string" },
    port: { kind: "port" },
    mode: { kind: "choice", choices: ["ask", "skip"] },
    yes: { kind: "boolean" },
  },
  operands: { name: "PATH", min: 0, max: 2 },
} as const;

function parse(...argv: string[]) {
  return parseFlags(["--address", "a", ...argv], SPEC, "send");
}

/** Asserts the error's message and hint. */
function refuses(run: () => unknown, message: string, hint: string): void {
  const error = assertThrows(run, UsageError);
  assertEquals([error.message, error.hint], [message, hint]);
}

Deno.test("parseFlags() gives every flag a value", () => {
  assertEquals(parse(), {
    flags: {
      address: "a",
      file: [],
      name: undefined,
      port: undefined,
      mode: undefined,
      yes: false,
    },
    operands: [],
  });
});

Deno.test("parseFlags() reads every kind of flag, before and behind operands", () => {
  const words = "--yes x --file a --file=b --name=n=m --port 0 --mode skip -".split(" ");
  assertEquals(parse(...words), {
    flags: { address: "a", file: ["a", "b"], name: "n=m", port: 0, mode: "skip", yes: true },
    operands: ["x", "-"],
  });
});

Deno.test("parseFlags() takes - as a value, and anything after = or --", () => {
  assertEquals(parse("--file", "-", "--file=--yes").flags.file, ["-", "--yes"]);
  assertEquals(parse("--", "--yes", "-x").operands, ["--yes", "-x"]);
  assertEquals(parse("--yes", "true").operands, ["true"]);
});

Deno.test("parseFlags() refuses mistyped flags with the nearest right one", () => {
  for (
    const [typed, meant] of [
      ["--fiel", "file"],
      ["--fil", "file"],
      ["--files=x", "file"],
      ["-file", "file"],
      ["--adress", "address"],
      ["--add", "address"],
      ["--YES", "yes"],
      ["--hepl", "help"],
    ] as const
  ) {
    const error = assertThrows(() => parse(typed), UsageError, "Flag not known: -");
    assertEquals(error.hint, `Did you mean --${meant}?`);
  }
  refuses(() => parse("--zzzzzz"), "Flag not known: --zzzzzz", "See: p2p send --help");
  refuses(() => parse("--__proto__"), "Flag not known: --__proto__", "See: p2p send --help");
});

Deno.test("parseFlags() refuses missing, empty and unwanted values", () => {
  const see = "See: p2p send --help";
  refuses(() => parse("--name"), "Value missing after --name", see);
  refuses(() => parse("--name="), "Value missing after --name", see);
  refuses(() => parse("--name", ""), "Value missing after --name", see);
  refuses(
    () => parse("--name", "--yes"),
    "Value missing after --name",
    'If "--yes" is meant, write --name=--yes',
  );
  refuses(
    () => parse("--yes=no"),
    "Flag takes no value: --yes",
    "Write --yes alone, or leave it out.",
  );
});

Deno.test("parseFlags() refuses a flag given twice, even a switch", () => {
  refuses(() => parse("--name", "a", "--name", "b"), "Flag given twice: --name", "Give it once.");
  refuses(() => parse("--yes", "--yes"), "Flag given twice: --yes", "Give it once.");
});

Deno.test("parseFlags() refuses what is no port", () => {
  for (const text of ["65536", "http", "0x50", "8.5", "100000", " 80"]) {
    refuses(
      () => parse("--port", text),
      `Port not understood: --port ${JSON.stringify(text)}`,
      "A port is a number from 0 to 65535; 0 picks a free one.",
    );
  }
  assertEquals(parse("--port", "65535").flags.port, 65_535);
});

Deno.test("parseFlags() refuses what is none of the choices", () => {
  refuses(
    () => parse("--mode", "skp"),
    'Value not understood: --mode "skp"',
    "It is one of: ask, skip.",
  );
});

Deno.test("parseFlags() counts operands and wants what is required", () => {
  refuses(() => parse("a", "b", "c"), 'Word not understood: "c"', "See: p2p send --help");
  refuses(() => parseCommandLine(["forget"]), "NAME missing", "Write: p2p forget NAME");
  // Without an address, connect goes back to the last chat.
  const { operands } = parseFlags(["--yes"], COMMANDS.connect, "connect");
  assertEquals(operands, []);
});

Deno.test("parseCommandLine() tells what is asked for", () => {
  assertEquals(parseCommandLine([]), { command: "ask" });
  for (const word of ["--help", "-h", "help"]) {
    assertEquals(parseCommandLine([word]), { command: "help" });
  }
  for (const word of ["--version", "-V"]) {
    assertEquals(parseCommandLine([word]), { command: "version" });
  }
  for (const words of ["help listen", "--help listen", "listen --help", "listen --bad -h"]) {
    assertEquals(parseCommandLine(words.split(" ")), { command: "help", topic: "listen" });
  }
  const send = parseCommandLine(["send", "--address", "a:1", "--", "--help"]);
  assertEquals(send.command === "send" && send.operands, ["--help"]);
});

Deno.test("parseFlags() reads whole numbers, and bytes with a unit", () => {
  const { flags } = parseFlags(["--idle", "60", "--circuit-rate", "2M"], COMMANDS.relay, "relay");
  assertEquals([flags.idle, flags["circuit-rate"], flags.drain], [60, 2_000_000, undefined]);
  for (const [text, bytes] of [["7", 7], ["500k", 500_000], ["1G", 1e9]] as const) {
    const read = parseFlags([`--circuit-rate=${text}`], COMMANDS.relay, "relay");
    assertEquals(read.flags["circuit-rate"], bytes);
  }
  for (const text of ["0", "-1", "1.5", "1e3", "9999999999", "K", "1T"]) {
    for (const flag of ["--idle", "--circuit-rate"]) {
      assertThrows(() => parseFlags([`${flag}=${text}`], COMMANDS.relay, "relay"), UsageError);
    }
  }
});

Deno.test("parseCommandLine() refuses mistyped commands with the nearest right one", () => {
  refuses(
    () => parseCommandLine(["conect", "1.2.3.4:80"]),
    'Command not known: "conect"',
    "Did you mean p2p connect?",
  );
  refuses(() => parseCommandLine(["xyz"]), 'Command not known: "xyz"', "See: p2p --help");
  refuses(
    () => parseCommandLine(["1.2.3.4:8080"]),
    'Command not known: "1.2.3.4:8080"',
    "To reach a peer there: p2p connect 1.2.3.4:8080",
  );
  refuses(
    () => parseCommandLine(["--file", "1"]),
    "Command missing before --file",
    "Begin with one of: listen, connect, send, punch, relay, doctor, history, peers, forget. See: p2p --help",
  );
});

Deno.test("parseCommandLine() takes flags without a command for those of listen", () => {
  const words = ["--port", "8081", "--peer", "127.0.0.1:8080", "--uname", "Bob", "--peer=h:1"];
  const bare = parseCommandLine(words);
  assertEquals(bare, parseCommandLine(["listen", ...words]));
  assertEquals(
    bare.command === "listen" && [bare.flags.port, bare.flags.peer, bare.flags.name],
    [8081, ["127.0.0.1:8080", "h:1"], "Bob"],
  );
  assertEquals(parseCommandLine(["--plain", "--help"]), { command: "help", topic: "listen" });
  assertEquals(parseCommandLine(["--json", "--version"]), { command: "version" });
  refuses(
    () => parseCommandLine(["--prot", "1"]),
    "Flag not known: --prot",
    "Did you mean --port?",
  );
  refuses(() => parseCommandLine(["-p", "1"]), "Flag not known: -p", "Did you mean --port?");
  refuses(
    () => parseCommandLine(["--port", "1", "1.2.3.4:80"]),
    'Word not understood: "1.2.3.4:80"',
    "See: p2p listen --help",
  );
  for (const word of ["-", "--", "--=", "-="]) {
    assertThrows(() => parseCommandLine([word]), UsageError, "Command missing");
  }
});

Deno.test("parseFlags() takes --uname for --name, and one of them once", () => {
  for (const command of ["listen", "connect", "send", "punch"] as const) {
    const spec = COMMANDS[command];
    const words = command === "connect" ? ["a:1"] : [];
    assertEquals(parseFlags([...words, "--uname", "Bob"], spec, command).flags.name, "Bob");
    for (const first of ["--name", "--uname"]) {
      refuses(
        () => parseFlags([...words, first, "a", "--uname", "b"], spec, command),
        "Flag given twice: --uname",
        "--uname is another word for --name. Give it once.",
      );
    }
  }
  refuses(
    () => parseFlags(["--unam", "b"], COMMANDS.listen, "listen"),
    "Flag not known: --unam",
    "Did you mean --uname?",
  );
  refuses(
    () => parseFlags(["--uname", "b"], COMMANDS.peers, "peers"),
    "Flag not known: --uname",
    "See: p2p peers --help",
  );
});

Deno.test("parseCommandLine() answers any words with values or a UsageError", () => {
  const flags = Object.values(COMMANDS).flatMap((spec) => Object.keys(spec.flags));
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom("--", "-", "help", ...Object.keys(COMMANDS), ...flags.map((f) => `--${f}`)),
  );
  fc.assert(fc.property(fc.array(word, { maxLength: 8 }), (words: string[]) => {
    try {
      parseCommandLine(words);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
    }
  }));
});
