/** Benchmark results as Markdown. */

/** One bound, and whether what was measured keeps it. */
export interface Target {
  text: string;
  held: boolean;
}

export interface Row {
  /** The columns that were measured; the first names what was. */
  cells: string[];
  /** Ours ÷ this, in words; empty for our own row. */
  ratio: string;
  targets: Target[];
}

/** What one section of the benchmark found. */
export interface Section {
  name: string;
  /** Heads of `cells`. */
  columns: string[];
  rows: Row[];
  /** Every sample that the rows come from, for `--json`. */
  samples: unknown;
}

export function atMost(value: number, limit: number, text = `≤ ${limit}`): Target {
  return { text, held: value <= limit };
}

export function atLeast(value: number, limit: number, text = `≥ ${limit}`): Target {
  return { text, held: value >= limit };
}

/** Whether every target of the section was met. */
export function allHeld(section: Section): boolean {
  return section.rows.every((row) => row.targets.every((target) => target.held));
}

/** The section as a Markdown table, its columns padded as `deno fmt` pads them. */
export function markdownTable(section: Section): string {
  const lines = [
    [...section.columns, "ratio (p2p ÷ it)", "target", "held?"],
    ...section.rows.map((row) => [
      ...row.cells,
      row.ratio,
      row.targets.map((target) => target.text).join("; "),
      heldCell(row.targets),
    ]),
  ];
  const widths = lines[0]!.map((_, column) => {
    return Math.max(3, ...lines.map((line) => line[column]!.length));
  });
  const [head, ...body] = lines.map((line) => markdownRow(line, widths));
  return [head, markdownRow(widths.map((width) => "-".repeat(width)), widths), ...body].join("\n");
}

function heldCell(targets: Target[]): string {
  if (targets.length === 0) return "";
  const missed = targets.filter((target) => !target.held);
  if (missed.length === 0) return "yes";
  return targets.length === 1 ? "no" : `no: ${missed.map((target) => target.text).join("; ")}`;
}

function markdownRow(cells: string[], widths: number[]): string {
  return `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
}
