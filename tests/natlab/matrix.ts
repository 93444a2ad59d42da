/** What peers behind each two kinds of NAT must reach, and how soon. */
import type { Path } from "../../protocol/connection.ts";

/**
 * D  straight at once: by dialling a public address, or through holes that both sides open
 * S  straight once the next port of a NAT that counts has been guessed
 * P  straight by many ports: where one side's are random, and the other's filter knows only its own
 * T  straight over TCP, since one side has no UDP
 * R  relayed: measured to be impossible, or hopeless
 * L  straight without leaving the LAN
 *
 * Rows ask, columns are asked for. In the last row both are behind the same NAT.
 */
const TABLE = `
|                 | none | full-cone | restricted | port-restricted | firewall | symmetric-seq | symmetric | udp-blocked |
| none            | D    | D         | D          | D               | D        | D             | D         | T           |
| full-cone       | D    | D         | D          | D               | D        | D             | D         | T           |
| restricted      | D    | D         | D          | D               | D        | D             | D         | T           |
| port-restricted | D    | D         | D          | D               | D        | S             | P         | T           |
| firewall        | D    | D         | D          | D               | D        | S             | P         | T           |
| symmetric-seq   | D    | D         | D          | S               | S        | S             | R         | T           |
| symmetric       | D    | D         | D          | P               | P        | R             | R         | R           |
| udp-blocked     | T    | T         | T          | T               | T        | T             | R         | T           |
| same-lan        | L    | L         | L          | L               | L        | L             | L         | L           |
`;

export type Verdict = "D" | "S" | "P" | "T" | "R" | "L";

/** Milliseconds from the asker's start until the bytes travel straight; for R, until it is told. */
export const WITHIN_MS: Readonly<Record<Verdict, number>> = {
  D: 3_000,
  S: 6_000,
  P: 20_000,
  T: 6_000,
  R: 12_000,
  L: 3_000,
};

/** Milliseconds from the asker's start until something said has arrived, whatever the way. */
export const FIRST_DATA_WITHIN_MS = 2_000;

export interface Pair {
  asker: string;
  target: string;
  verdict: Verdict;
  /** Options of the laboratory. */
  options?: readonly string[];
}

/** What the table has no room for. */
const SPECIAL: readonly Pair[] = [
  // Two NATs in a row are as the stricter one.
  { asker: "port-restricted+full-cone", target: "port-restricted", verdict: "D" },
  { asker: "restricted+symmetric", target: "full-cone", verdict: "D" },
  // Somebody else may have the peer's address in one's own LAN.
  { asker: "port-restricted", target: "port-restricted", verdict: "D", options: ["--overlap"] },
  // A LAN whose machines may not speak to each other: only a NAT that turns packets around helps.
  { asker: "same-lan", target: "full-cone", verdict: "D", options: ["--isolate", "--hairpin"] },
  { asker: "same-lan", target: "port-restricted", verdict: "R", options: ["--isolate"] },
  { asker: "same-lan", target: "full-cone", verdict: "L", options: ["--hairpin"] },
];

/** All pairs, row by row. */
export const PAIRS: readonly Pair[] = [...parse(TABLE), ...SPECIAL];

/** The paths on which a pair has what it must reach. None: nothing but the relay. */
export function goalOf({ target, verdict }: Pair): readonly Path[] {
  if (verdict === "R") return [];
  const isPublic = target === "none" || target === "firewall";
  if (verdict === "L") return [isPublic ? "direct" : "lan"];
  // Whoever is public is dialled.
  return target === "none" ? ["direct"] : ["direct", "punched"];
}

/** The pair, for people. */
export function describePair({ asker, target, verdict, options = [] }: Pair): string {
  return `${[asker, "to", target, ...options].join(" ")} (${verdict})`;
}

function parse(table: string): Pair[] {
  const [head, ...rows] = table.trim().split("\n").map(cells);
  return rows.flatMap(([asker, ...verdicts]) =>
    verdicts.map((verdict, column) => ({
      asker: asker!,
      target: head![column + 1]!,
      verdict: verdict as Verdict,
    }))
  );
}

function cells(row: string): string[] {
  return row.split("|").slice(1, -1).map((cell) => cell.trim());
}
