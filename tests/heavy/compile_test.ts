/**
 * `deno compile` downloads a runtime into which it puts the program. Any other executable can stand in for it where nothing can be
 * downloaded: what then comes out does not run, but holds what the real one would.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { RUN_FLAGS } from "../fakes/run_flags.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

const PROJECT = join(import.meta.dirname!, "..", "..");
/** Words that stand only in these files of ours; the last two are loaded only when they are asked for. */
const EMBEDDED = {
  "protocol/mux.ts": "controlPending",
  "transfer/walk.ts": "Names must be valid on every system",
  "peer/usage.ts": "Chat and send files straight between two machines",
  "relay/server.ts": "This is a p2p relay. Meet there with",
  "ws, which a relay loads when it is asked for a WebSocket": "WebSocketServer",
  "peer/commands/forget.ts": "Nothing forgotten: nobody is known as",
  "peer/history/store.ts": "it was made by a later version of p2p",
};
/** Words of the tests, and of a package that only they use. */
const NOT_EMBEDDED = ["A folder of 10,000 files arrives", "Property failed after"];

Deno.test("The program compiles into one executable", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  using folder = new TemporaryFolder();
  const output = folder.join("p2p");
  const runtime = Deno.realPathSync(Deno.execPath());
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["compile", "--exclude-unused-npm", ...RUN_FLAGS, "--output", output, "main.ts"],
    cwd: PROJECT,
    env: { DENORT_BIN: runtime },
  }).output();

  assertEquals(code, 0, new TextDecoder().decode(stderr));
  const before = Deno.statSync(runtime).size;
  assertGreater(Deno.statSync(output).size, before);
  const program = Buffer.from(await Deno.readFile(output));
  for (const [file, text] of Object.entries(EMBEDDED)) assert(program.includes(text), file);
  for (const text of NOT_EMBEDDED) assert(!program.includes(text), text);
});
