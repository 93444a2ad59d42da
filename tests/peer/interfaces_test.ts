import { assertEquals } from "@std/assert";

const SCRIPT = `${import.meta.dirname}/../fakes/out_of_descriptors.ts`;

Deno.test({
  name: "a process that may open no more files goes on, and takes no network for blocked",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const limited = ["-c", 'ulimit -n 100; exec "$0" "$@"', Deno.execPath()];
    const command = new Deno.Command("sh", {
      args: [...limited, "run", "-A", "--no-check", SCRIPT],
      stderr: "inherit",
    });
    const { code, stdout } = await command.output();
    assertEquals(code, 0);
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)), {
      addresses: [],
      reach: { udp: [], seen: [] },
      dialled: "Could not reach the relay 127.0.0.1:9: too many open files",
    });
  },
});
