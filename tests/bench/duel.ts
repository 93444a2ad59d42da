import { median, medianRatio } from "./statistics.ts";
import { atMost, type Section } from "./table.ts";

export interface Duel {
  /** Name of the section. */
  name: string;
  title: string;
  ours: string;
  theirs: string;
  /** Seconds of both, by name, round by round. */
  samples: Record<string, number[]>;
  /** What must hold: our seconds, or ours ÷ theirs. */
  limit: { seconds: number } | { ratio: number };
}

/** A section of two rows, in which only time counts. */
export function duel({ name, title, ours, theirs, samples, limit }: Duel): Section {
  const seconds = samples[ours]!;
  const ratio = medianRatio(seconds, samples[theirs]!);
  const [forOurs, forTheirs] = "seconds" in limit
    ? [[atMost(median(seconds), limit.seconds, `≤ ${limit.seconds} s`)], []]
    : [[], [atMost(ratio, limit.ratio)]];
  return {
    name,
    columns: [title, "wall"],
    rows: [
      { cells: cells(ours, seconds), ratio: "", targets: forOurs },
      { cells: cells(theirs, samples[theirs]!), ratio: ratio.toFixed(2), targets: forTheirs },
    ],
    samples,
  };
}

function cells(name: string, seconds: number[]): string[] {
  return [name, `${median(seconds).toFixed(3)} s`];
}
