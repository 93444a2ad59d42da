import { decodeText } from "../../protocol/bytes.ts";
import { P2pError } from "../../protocol/errors.ts";
import { ReceiveBuffer } from "../../protocol/framing.ts";
import { MAX_CHAT_BYTES } from "../../protocol/limits.ts";

/** What lines are read from: Deno.stdin, or a stand-in. */
export interface LineSource {
  read(into: Uint8Array): Promise<number | null>;
}

const CHUNK_BYTES = 65_536;

/**
 * Lines of UTF-8 from a file or pipe, without their ends, which are `\n` or `\r\n`; the last one
 * may have none. Reads on only when the lines that it has were taken.
 * @param limit bytes in a line
 * @throws {P2pError} where a line is longer, or is not UTF-8
 */
export async function* readLines(
  source: LineSource,
  limit: number = MAX_CHAT_BYTES,
): AsyncGenerator<string, void, void> {
  const buffer = new ReceiveBuffer(CHUNK_BYTES);
  for (;;) {
    const count = await source.read(buffer.space());
    if (count === null) break;
    buffer.filled(count);
    for (let line = takeLine(buffer, limit); line !== undefined; line = takeLine(buffer, limit)) {
      yield line;
    }
  }
  if (buffer.pending > 0) yield textOf(buffer.takeAll());
}

function takeLine(buffer: ReceiveBuffer, limit: number): string | undefined {
  const line = takeBytes(buffer, limit);
  return line && textOf(line);
}

function takeBytes(buffer: ReceiveBuffer, limit: number): Uint8Array | undefined {
  const lineEndBytes = 2;
  try {
    return buffer.takeLine(limit + lineEndBytes);
  } catch (cause) {
    throw new P2pError(`Line not sent: longer than ${limit} bytes`, {
      hint: "Send it as a file instead.",
      cause,
    });
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return decodeText(bytes);
  } catch (cause) {
    throw new P2pError("Line not sent: standard input is not UTF-8 text", {
      hint: "Send it as a file instead.",
      cause,
    });
  }
}
