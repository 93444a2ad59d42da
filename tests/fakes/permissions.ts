/**
 * What the program is allowed, as the first line of main.ts says it: tests and benchmarks run it
 * with no more than that.
 */
export const PERMISSIONS: readonly string[] = readPermissions();

function readPermissions(): string[] {
  const source = Deno.readTextFileSync(new URL("../../main.ts", import.meta.url));
  return source.split("\n", 1)[0]!.match(/--allow-\S+/g) ?? [];
}
