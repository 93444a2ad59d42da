import { programCommand } from "./program.ts";
import { Tmux } from "./tmux.ts";

/**
 * `p2p punch` at a terminal.
 * @param home where it keeps what is its own
 */
export function punchAtTerminal(words: readonly string[], home: string): Promise<Tmux> {
  return Tmux.start({
    columns: 110,
    rows: 16,
    command: programCommand(["punch", ...words]),
    env: { XDG_CONFIG_HOME: home, P2P_NO_HISTORY: "1", P2P_NAME: "", P2P_RELAY: "" },
  });
}
