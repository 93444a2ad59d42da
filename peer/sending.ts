/** Sends files over a session, with everything that its user sees of that. */
import { ResetCode } from "../protocol/connection.ts";
import { BULK_BYTES } from "../protocol/limits.ts";
import { EntryKind, FILES_KIND } from "../protocol/offer.ts";
import { sendFiles, type SendResult } from "../transfer/send.ts";
import type { Sources } from "../transfer/walk.ts";
import type { Output } from "./output.ts";
import type { Session } from "./session.ts";
import { formatBytes } from "./terminal/format.ts";
import { Progress } from "./terminal/progress.ts";
import { fitWidth } from "./terminal/width.ts";

/** Columns for what is sent where it is shown to whom, too. */
const LABEL_COLUMNS = 16;

export interface SendingOptions {
  output: Output;
  signal: AbortSignal;
  /** What the peer is called now. Default: as it greeted. */
  peer?: string;
  /** Whether the same goes to others, too: the progress then says to whom. */
  oneOfMany?: boolean;
}

/**
 * Offers the sources to a peer and sends what it wants of them.
 * @throws as sendFiles
 */
export async function sendSources(
  session: Session,
  sources: Sources,
  options: SendingOptions,
): Promise<SendResult> {
  const { output, signal, peer = session.remoteName } = options;
  const name = nameOf(sources);
  const label = options.oneOfMany ? `${fitWidth(name, LABEL_COLUMNS)} → ${peer}` : name;
  const size = sources.total === undefined ? "length unknown" : formatBytes(sources.total);
  output.say(`Offering ${name} (${size}) to ${peer}`);
  const stream = session.open(FILES_KIND, "bulk");
  if (sources.total !== undefined && sources.total >= BULK_BYTES) session.onBulk?.();
  let progress: Progress | undefined;
  try {
    const result = await sendFiles(stream, sources, {
      signal,
      stdin: Deno.stdin,
      onProgress({ bytes, total, resumedBytes }) {
        // Of a pipe nobody knows beforehand how much it is, and connections may be lost.
        if (bytes - resumedBytes >= BULK_BYTES) session.onBulk?.();
        const { path } = session;
        const fields = { peer, direction: "sent" };
        const shown = { name, label, total, resumed: resumedBytes, path, fields };
        progress ??= new Progress(output, shown);
        progress.change({ total, path });
        progress.update(bytes);
      },
    });
    report(output, result, progress?.finish("sent") ?? `${name} sent`, peer);
    return result;
  } finally {
    progress?.close();
    stream.reset(ResetCode.cancelled);
  }
}

function report(output: Output, result: SendResult, summary: string, peer: string): void {
  for (const { path, bytes } of result.items) output.event("sent", { path, bytes, peer });
  const { length } = result.skipped;
  const skipped = length === 0 ? "" : `, but not the ${length} it has or does not want`;
  output.say(`${summary}; ${peer} has confirmed it${skipped}`);
}

/** What a transfer is called in one line: its only file or directory, or how many there are. */
export function nameOf(sources: Sources): string {
  const [first] = sources.roots;
  if (sources.roots.length === 1) return first?.path === "-" ? "standard input" : first!.name;
  const { length } = sources.roots;
  const files = sources.roots.every(({ first }) => sources.entries[first]!.kind === EntryKind.file);
  return `${length} ${files ? "files" : "files and folders"}`;
}
