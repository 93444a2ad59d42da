/**
 * What the program may do and how it runs, as the first line of main.ts says it: tests and
 * benchmarks run it with that and no more.
 */
export const RUN_FLAGS: readonly string[] = readFlags();

function readFlags(): string[] {
  const source = Deno.readTextFileSync(new URL("../../main.ts", import.meta.url));
  return source.split("\n", 1)[0]!.match(/--\S+/g) ?? [];
}
