import { note } from "./harness.ts";

/**
 * Measures every subject once in each round, so that what slows the machine down for a while slows
 * all alike. Each round begins with another, so that none always follows the same.
 * Resolves to the samples of each, in the order of the rounds.
 */
export async function rounds<Sample>(
  count: number,
  subjects: Record<string, (round: number) => Promise<Sample>>,
): Promise<Record<string, Sample[]>> {
  const names = Object.keys(subjects);
  const samples: Record<string, Sample[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < count; round++) {
    const first = round % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      note(`round ${round + 1} of ${count}: ${name}`);
      samples[name]!.push(await subjects[name]!(round));
    }
  }
  return samples;
}
