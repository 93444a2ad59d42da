/** Whether there is the room that these tests need: a full disk would fail them, and whatever else runs on the machine. */
import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";

const NEEDED_BYTES = 15e9;

/** Says so on standard error, for each file of tests, if there is not. */
export function lacksDisk(): boolean {
  const { bavail, bsize } = statfsSync(tmpdir());
  const free = bavail * bsize;
  if (free >= NEEDED_BYTES) return false;
  console.error(
    `SKIPPED: heavy tests need ${NEEDED_BYTES / 1e9} GB in ${tmpdir()}, ` +
      `where ${(free / 1e9).toFixed(1)} GB are free`,
  );
  return true;
}
