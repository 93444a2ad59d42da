/** Messages of 64 bytes, as chat sends them, between two processes over loopback. */
import type { Harness, Options } from "./harness.ts";
import type { Figures } from "./message_pair.ts";
import { rounds } from "./rounds.ts";
import { median } from "./statistics.ts";
import type { Section } from "./table.ts";

/** Programs built on `message_pair.ts`, by what they show. */
const PAIRS = { "Deno plain TCP": "plain_messages.ts" };

export async function messages(harness: Harness, options: Options): Promise<Section> {
  const count = options.quick ? 3 : 5;
  const trips = options.quick ? 5_000 : 20_000;
  const subjects = Object.entries(PAIRS).map(([name, file]) => {
    return [name, () => measured(harness, `${import.meta.dirname}/${file}`, trips)] as const;
  });
  const samples = await rounds(count, Object.fromEntries(subjects));
  const columns = [`64-byte messages between two processes, median of ${count}`];
  columns.push("round trip p50", "p99", "one way", "further session");
  const rows = Object.entries(samples).map(([name, figures]) => {
    return { cells: cells(name, figures), ratio: "", targets: [] };
  });
  return { name: "messages", columns, rows, samples };
}

async function measured(harness: Harness, program: string, trips: number): Promise<Figures> {
  const command = [Deno.execPath(), "run", "--allow-net", program];
  const server = harness.start([...command, "serve"], { server: true, stdout: "piped" });
  const address = await server.firstLine();
  const client = harness.start([...command, "measure", address, String(trips)], {
    stdout: "piped",
  });
  const figures = JSON.parse(await client.firstLine());
  await client.finished();
  await server.stop();
  return figures;
}

function cells(name: string, figures: Figures[]): string[] {
  const middle = (of: (figures: Figures) => number) => median(figures.map(of));
  return [
    name,
    `${middle((one) => one.roundTripP50).toFixed(3)} ms`,
    `${middle((one) => one.roundTripP99).toFixed(3)} ms`,
    `${Math.round(middle((one) => one.messagesPerSecond) / 1000)},000 /s`,
    `${middle((one) => one.furtherSession).toFixed(2)} ms`,
  ];
}
