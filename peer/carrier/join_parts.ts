import { joinBytes } from "../../protocol/bytes.ts";

/** Bytes of short parts that are joined to one. */
const JOINED_BYTES = 65_536;

/** The same bytes in fewer pieces: each one that is handed over costs as much as a long one. */
export function* joinParts(parts: Uint8Array[]): Generator<Uint8Array> {
  let run: Uint8Array[] = [];
  let bytes = 0;
  for (const part of parts) {
    if (part.length === 0) continue;
    if (bytes > 0 && bytes + part.length > JOINED_BYTES) {
      yield whole(run);
      run = [];
      bytes = 0;
    }
    run.push(part);
    bytes += part.length;
  }
  if (bytes > 0) yield whole(run);
}

/** One that stands alone is not copied. */
function whole(run: Uint8Array[]): Uint8Array {
  return run.length === 1 ? run[0]! : joinBytes(run);
}
