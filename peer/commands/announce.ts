/** What `listen` says when it listens: every address, with the command to paste. */
import { type Address, formatAddress, isLoopback } from "../../protocol/address.ts";
import type { Output } from "../output.ts";

/** Prints them for people, and a `listening` event for each. */
export function announce(output: Output, addresses: Address[], options: { plain: boolean }): void {
  const plain = options.plain ? " --plain" : "";
  output.say("Listening. On the other machine, run one of:");
  for (const address of addresses) {
    const text = formatAddress(address);
    output.say(
      `  p2p connect ${text}${plain}${isLoopback(address.host) ? "   (on this machine)" : ""}`,
    );
    output.event("listening", { address: text });
  }
  const [best] = addresses;
  if (!options.plain && best) {
    output.say("or, to send a file:", `  p2p send --address ${formatAddress(best)} --file PATH`);
  }
}
