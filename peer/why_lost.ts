import { lowerFirst } from "./lower_first.ts";

/** Why a connection is no more, to stand behind words that say that it is. */
export function whyLost(reason: Error | undefined): string {
  return lowerFirst((reason?.message ?? "no connection").replace(/^Connection lost: /, ""));
}
