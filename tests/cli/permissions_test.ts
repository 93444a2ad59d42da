import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { PERMISSIONS } from "../fakes/permissions.ts";

Deno.test("the tasks that run and compile the program allow what its first line allows", () => {
  assert(PERMISSIONS.length > 0);
  for (const task of [config.tasks.p2p, config.tasks.compile]) {
    assertEquals(task.command.match(/--allow-\S+/g), [...PERMISSIONS]);
  }
});
