import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { RUN_FLAGS } from "../fakes/run_flags.ts";

Deno.test("the tasks that run and compile the program do so as its first line does", () => {
  assert(RUN_FLAGS.length > 0);
  for (const task of [config.tasks.p2p, config.tasks.compile]) {
    assertEquals(task.command.match(/--(quiet|allow-\S+|v8-\S+)/g), [...RUN_FLAGS]);
  }
});

Deno.test("the runtime does not look for a newer version of itself, over TLS, before the program is there", () => {
  const source = Deno.readTextFileSync(new URL("../../main.ts", import.meta.url));
  for (const command of [source.split("\n", 1)[0]!, config.tasks.p2p.command]) {
    assert(command.includes(" DENO_NO_UPDATE_CHECK=1 deno run "), command);
  }
});
