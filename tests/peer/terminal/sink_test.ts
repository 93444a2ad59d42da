import { assertEquals, assertStrictEquals } from "@std/assert";
import { Sink } from "../../../peer/terminal/sink.ts";

Deno.test("Sink.write() writes everything in order when the reader takes little or has no room", () => {
  let text = "";
  let calls = 0;
  const sink = new Sink({
    isTerminal: () => false,
    writeSync(bytes) {
      if (calls++ % 3 === 0) throw new Deno.errors.WouldBlock();
      const count = Math.min(2, bytes.length);
      text += String.fromCharCode(...bytes.subarray(0, count));
      return count;
    },
  });
  sink.write("0123456789");
  sink.write("abc");
  assertEquals(text, "0123456789abc");
});

Deno.test("Sink.write() says once that the reader has gone, and writes no more", () => {
  let [calls, closings] = [0, 0];
  const sink = new Sink({
    isTerminal: () => false,
    writeSync() {
      calls++;
      throw new Deno.errors.BrokenPipe();
    },
  });
  sink.onClosed = () => closings++;
  sink.write("a");
  sink.write("b");
  assertEquals([calls, closings], [1, 1]);
});

Deno.test("Sink.write() to a process that stopped reading ends quietly", async () => {
  const script = `
    import { standardOutput } from "${new URL("../../../peer/terminal/sink.ts", import.meta.url)}";
    standardOutput.onClosed = () => Deno.exit(7);
    for (;;) standardOutput.write("line\\n");
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--ext=ts", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  const errors = await new Response(child.stderr).text();
  assertStrictEquals(errors, "");
  assertEquals((await child.status).code, 7);
});
