/** One large file: how fast, at what cost in CPU and memory, beside the tools that people use. */
import { presentMemory, randomFile } from "./fixtures.ts";
import { type Harness, type Options, requirePrograms } from "./harness.ts";
import { Netcat } from "./netcat.ts";
import { P2p } from "./p2p.ts";
import { rounds } from "./rounds.ts";
import { Ssh } from "./ssh.ts";
import { median, medianRatio } from "./statistics.ts";
import { atMost, type Row, type Section, type Target } from "./table.ts";
import { TcpPair } from "./tcp_pair.ts";
import type { Tool, Transfer } from "./tool.ts";
import { Wormhole } from "./wormhole.ts";

/** MB that either side may have resident. */
const MAX_RESIDENT = 150;

/** What ours ÷ a rival's may be at most. */
const LIMITS: Record<string, { wall: number; cpu?: number }> = {
  "nc, plain": { wall: 3.2 },
  "scp, aes256-gcm": { wall: 0.8, cpu: 1 },
};

export async function bulk(harness: Harness, options: Options): Promise<Section> {
  const mebibytes = options.quick ? 256 : 1024;
  const count = options.quick ? 3 : 5;
  await requirePrograms(["cmp"], "diffutils");
  const source = harness.path("film");
  await randomFile(source, mebibytes * 2 ** 20);
  const tools = await allTools(harness, options);
  const samples = await rounds(
    count,
    Object.fromEntries(tools.map((tool) => [
      tool.name,
      (round: number) => measured(harness, tool, source, round === 0),
    ])),
  );
  return section(`${mebibytes} MiB file to file over loopback, median of ${count}`, samples);
}

async function allTools(harness: Harness, options: Options): Promise<Tool[]> {
  const ssh = await Ssh.create(harness);
  const gcm = ["-c", "aes256-gcm@openssh.com"];
  const wormhole = await Wormhole.create(harness);
  return [
    await P2p.create(harness, options.program),
    await Netcat.create(harness),
    new TcpPair(harness, "Deno plain TCP, read and write", "plain_tcp.ts"),
    new TcpPair(harness, "Deno TCP and ChaCha20-Poly1305, nothing else", "sealed_tcp.ts"),
    { name: "scp, aes256-gcm", transfer: (source, folder) => ssh.copy(source, folder, gcm) },
    { name: "scp, as it comes", transfer: (source, folder) => ssh.copy(source, folder, []) },
    ...(wormhole === null ? [] : [wormhole]),
  ];
}

/** One transfer; with `compare` it must also have arrived as it was. */
async function measured(
  harness: Harness,
  tool: Tool,
  source: string,
  compare: boolean,
): Promise<Transfer> {
  const folder = await harness.emptyFolder();
  presentMemory(folder, 2 * (await Deno.stat(source)).size);
  const transfer = await tool.transfer(source, folder);
  if (compare) await harness.run(["cmp", source, `${folder}/${source.split("/").at(-1)}`]);
  return transfer;
}

function section(title: string, samples: Record<string, Transfer[]>): Section {
  const { [P2p.title]: ours, ...rivals } = samples;
  const rows = Object.entries(rivals)
    .sort(([, a], [, b]) => median(a.map(wallOf)) - median(b.map(wallOf)))
    .map(([name, transfers]) => rivalRow(name, transfers, ours!));
  return {
    name: "bulk",
    columns: [title, "wall", "CPU sender / receiver", "resident sender / receiver"],
    rows: [ourRow(ours!), ...rows],
    samples,
  };
}

function ourRow(transfers: Transfer[]): Row {
  const resident = transfers.flatMap((one) => [one.sender.resident, one.receiver.resident]);
  const target = atMost(Math.max(...resident), MAX_RESIDENT, `≤ ${MAX_RESIDENT} MB, ever`);
  return { cells: measures(P2p.title, transfers), ratio: "", targets: [target] };
}

function rivalRow(name: string, transfers: Transfer[], ours: Transfer[]): Row {
  const ratio = (of: (transfer: Transfer) => number) => {
    return medianRatio(ours.map(of), transfers.map(of));
  };
  const wall = ratio(wallOf);
  const cpu = [ratio((one) => one.sender.cpu), ratio((one) => one.receiver.cpu)];
  return {
    cells: measures(name, transfers),
    ratio: `${wall.toFixed(2)}; CPU ${cpu.map((value) => value.toFixed(2)).join(" / ")}`,
    targets: targets(name, wall, Math.max(...cpu)),
  };
}

function targets(name: string, wall: number, cpu: number): Target[] {
  const limits = LIMITS[name];
  if (limits === undefined) return [];
  const bounds = [atMost(wall, limits.wall)];
  if (limits.cpu !== undefined) bounds.push(atMost(cpu, limits.cpu, `CPU ≤ ${limits.cpu}, both`));
  return bounds;
}

function measures(name: string, transfers: Transfer[]): string[] {
  const middle = (of: (transfer: Transfer) => number, digits: number) => {
    return median(transfers.map(of)).toFixed(digits);
  };
  const cpu = [middle((one) => one.sender.cpu, 2), middle((one) => one.receiver.cpu, 2)];
  const resident = [
    middle((one) => one.sender.resident, 0),
    middle((one) => one.receiver.resident, 0),
  ];
  return [
    name,
    `${middle(wallOf, 2)} s`,
    `${cpu.join(" / ")} s`,
    `${resident.join(" / ")} MB`,
  ];
}

function wallOf(transfer: Transfer): number {
  return transfer.wall;
}
