/** A path that can be opened any number of times. */
const NOTHING = "/dev/null";

/**
 * How many more files and connections this process may have open, as far as `enough`. It is found
 * out by opening as many: what the system says of it, the program is not permitted to read.
 */
export function countFreeDescriptors(enough: number): number {
  // Windows has no such limit that a relay would come near.
  if (Deno.build.os === "windows") return enough;
  const files: Deno.FsFile[] = [];
  try {
    while (files.length < enough) files.push(Deno.openSync(NOTHING));
  } catch {
    // That was the last one.
  }
  for (const file of files) file.close();
  return files.length;
}
