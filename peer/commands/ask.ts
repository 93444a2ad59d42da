/** Bare `p2p`: asks whom to connect to, or listens. */
import { UsageError } from "../../protocol/errors.ts";
import { DEFAULT_PORT, parseAddress } from "../address.ts";
import { COMMANDS, parseFlags } from "../args.ts";
import type { Environment } from "../host.ts";
import { Screen } from "../terminal/screen.ts";
import { connect } from "./connect.ts";
import { listen } from "./listen.ts";

export async function ask(environment: Environment): Promise<void> {
  const { host, port } = await askAddress(environment);
  environment.signal.throwIfAborted();
  if (host === "") {
    return await listen(environment, parseFlags(["--port", port], COMMANDS.listen, "listen"));
  }
  const address = /:\d+$/.test(host) ? host : `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return await connect(environment, parseFlags([address], COMMANDS.connect, "connect"));
}

async function askAddress(environment: Environment): Promise<{ host: string; port: string }> {
  using screen = Screen.open({ onInterrupt: environment.interrupt });
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
