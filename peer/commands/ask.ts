/** Bare `p2p`: asks whom to connect to, or listens. */
import { UsageError } from "../../protocol/errors.ts";
import { DEFAULT_PORT, parseAddress } from "../../protocol/address.ts";
import { COMMANDS, parseFlags } from "../args.ts";
import type { Environment } from "../host.ts";
import { Screen } from "../terminal/screen.ts";
import { connect } from "./connect.ts";
import { listen } from "./listen.ts";

/** @throws {UsageError} if there is no terminal to ask at, or the answer is no address */
export async function ask(environment: Environment): Promise<void> {
  // One screen for the questions and for the chat after them: what is typed in between is not lost.
  using screen = Screen.open({ onInterrupt: environment.interrupt });
  const { host, port } = await askAddress(environment, screen);
  environment.signal.throwIfAborted();
  if (host === "") {
    const words = parseFlags(["--port", port], COMMANDS.listen, "listen");
    return await listen(environment, words, screen);
  }
  const address = /:\d+$/.test(host) ? host : `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return await connect(environment, parseFlags([address], COMMANDS.connect, "connect"), screen);
}

async function askAddress(
  environment: Environment,
  screen: Screen,
): Promise<{ host: string; port: string }> {
  if (!screen.interactive) {
    throw new UsageError("Nothing to do: no command was named", {
      hint: "p2p --help shows the commands.",
    });
  }
  const { signal } = environment;
  const host = (await screen.ask("Peer address (Enter to listen): ", { signal }) ?? "").trim();
  if (host !== "") parseAddress(host, DEFAULT_PORT);
  if (/[^:]:\d+$|\]:\d+$/.test(host)) return { host, port: "" };
  const port = await screen.ask(`Port [${DEFAULT_PORT}]: `, { signal }) ?? "";
  return { host, port: port.trim() || String(DEFAULT_PORT) };
}
