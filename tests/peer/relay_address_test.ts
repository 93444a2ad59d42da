import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  findRelay,
  formatRelay,
  formatRelayWithKey,
  parseRelay,
} from "../../peer/relay_address.ts";
import { FileError, UsageError } from "../../protocol/errors.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const key = Uint8Array.from({ length: 32 }, (_, index) => 255 - index);
const KEY = key.toBase64({ alphabet: "base64url", omitPadding: true });

function find(
  flags: { relay?: string; file?: string },
  variables: Record<string, string> = {},
) {
  const given = { relay: flags.relay, "password-file": flags.file };
  return findRelay(given, (name) => variables[name]);
}

Deno.test("parseRelay() reads host and port, the host alone, and the key behind #", () => {
  const address = { host: "relay.example", port: 9000 };
  assertEquals(parseRelay("relay.example:9000"), { address });
  assertEquals(parseRelay("relay.example"), { address: { ...address, port: 8080 } });
  assertEquals(parseRelay(`relay.example:9000#${KEY}`), { address, key });
  assertEquals(parseRelay(`[::1]#${KEY}`), { address: { host: "::1", port: 8080 }, key });
  assertEquals(formatRelay(parseRelay(`[::1]:7#${KEY}`)), "[::1]:7");
  for (const text of ["[::1]:7", `[::1]:7#${KEY}`]) {
    assertEquals(formatRelayWithKey(parseRelay(text)), text);
  }
});

const BAD = [
  "",
  ":80",
  "relay:",
  "relay:0",
  "relay:65536",
  "http://relay.example/",
  "#",
  `#${KEY}`,
  "relay:80#",
  `relay:80#${KEY.slice(1)}`,
  `relay:80#${KEY}A`,
  `relay:80#${KEY}=`,
  `relay:80# ${KEY}`,
  `relay:80#${key.toBase64()}`,
  `relay:80#${KEY}#${KEY}`,
];
for (const text of BAD) {
  Deno.test(`parseRelay() refuses ${JSON.stringify(text)}, and says how to write it`, () => {
    const error = assertThrows(() => parseRelay(text), UsageError) as UsageError;
    assert(error.hint);
  });
}

Deno.test("findRelay() takes the flag before the variable, and nothing for nothing", async () => {
  const variables = { P2P_RELAY: "one.example", P2P_RELAY_PASSWORD: "" };
  assertEquals(formatRelay((await find({}, variables))!), "one.example:8080");
  assertEquals(formatRelay((await find({ relay: "two.example:1" }, variables))!), "two.example:1");
  assertEquals(await find({}), undefined);
  assertEquals(await find({}, { P2P_RELAY: "" }), undefined);
  assertEquals((await find({}, variables))!.password, undefined);
});

Deno.test("findRelay() takes the password from the file's first line, else from the variable", async () => {
  using folder = new TemporaryFolder();
  const file = folder.file("secret", "  open sesame \r\nsomething else\n");
  const variables = { P2P_RELAY_PASSWORD: "from here" };
  assertEquals((await find({ relay: "r", file }, variables))!.password, "open sesame");
  assertEquals((await find({ relay: "r" }, variables))!.password, "from here");
});

Deno.test("findRelay() says what is wrong with the password's file, or that it is for nothing", async () => {
  using folder = new TemporaryFolder();
  const [empty, missing] = [folder.file("empty", "\n"), folder.join("missing")];
  await assertRejects(() => find({ relay: "r", file: empty }), UsageError);
  await assertRejects(() => find({ relay: "r", file: missing }), FileError);
  const error = await assertRejects(() => find({ file: empty }), UsageError) as UsageError;
  assert(error.hint!.includes("--relay"));
});
