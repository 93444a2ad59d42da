#!/usr/bin/env -S DENO_NO_UPDATE_CHECK=1 deno run --quiet --v8-flags=--max-semi-space-size=4 --allow-net --allow-read --allow-write --allow-env --allow-sys --allow-run=/usr/bin/sync
/**
 * The program: finds the command, runs it, turns signals into an end and errors into words and an
 * exit code. Commands are loaded when they are asked for, so that `--help` answers at once.
 */
import type { Invocation } from "./peer/args.ts";
import { parseCommandLine } from "./peer/args.ts";
import type { Environment } from "./peer/host.ts";
import { Output } from "./peer/output.ts";
import { describe, type Description } from "./peer/words.ts";
import { InterruptedError, P2pError } from "./protocol/errors.ts";
import config from "./deno.json" with { type: "json" };

/** Runs what the command line asks for. */
async function run(invocation: Invocation, environment: Environment): Promise<void> {
  switch (invocation.command) {
    case "version":
      return environment.output.write(`p2p ${config.version}\n`);
    case "help": {
      const { usage } = await import("./peer/usage.ts");
      return environment.output.write(usage(invocation.topic));
    }
    case "ask":
      return await (await import("./peer/commands/ask.ts")).ask(environment);
    case "listen":
      return await (await import("./peer/commands/listen.ts")).listen(environment, invocation);
    case "connect":
      return await (await import("./peer/commands/connect.ts")).connect(environment, invocation);
    case "send":
      return await (await import("./peer/commands/send.ts")).send(environment, invocation);
    case "punch":
      return await (await import("./peer/commands/punch.ts")).punch(environment, invocation);
    case "relay": {
      const { relayHost } = await import("./peer/relay_host.ts");
      const { relay } = await import("./relay/command.ts");
      return await relay(await relayHost(environment, invocation.flags), invocation.flags);
    }
    case "doctor":
      return await (await import("./peer/commands/doctor.ts")).doctor(environment, invocation);
    case "history":
      return await (await import("./peer/commands/history.ts")).history(environment, invocation);
    case "peers":
      return await (await import("./peer/commands/peers.ts")).peers(environment, invocation);
    case "forget":
      return await (await import("./peer/commands/forget.ts"))
        .forget(environment, invocation.operands[0]!);
  }
}

/**
 * The first signal asks the command to end, the second one ends the program.
 * @param onTerminated called first, if it is the system that asks
 */
function endOnSignals(ending: AbortController, onTerminated: () => void): void {
  function end(signal: Deno.Signal): void {
    if (ending.signal.aborted) Deno.exit(130);
    if (signal === "SIGTERM") onTerminated();
    ending.abort(new InterruptedError("Interrupted"));
  }
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) Deno.addSignalListener(signal, () => end(signal));
}

/** Whoever pressed Ctrl-C knows why the program ends: that is told, but not as an error. */
function report(output: Output, description: Description): void {
  const { code, message } = description;
  if (code !== "interrupted") return output.error(description);
  output.event("error", { code, message });
  if (message !== "") output.say(message);
}

/** What nobody was there to catch is told in words, too, and ends the program. */
function reportStrays(output: Output): void {
  function end(event: Event, error: unknown): void {
    event.preventDefault();
    const description = describe(error);
    report(output, description);
    Deno.exit(description.exit);
  }
  addEventListener("unhandledrejection", (event) => end(event, event.reason));
  addEventListener("error", (event) => end(event, event.error));
}

/** Parses, runs, and reports. Returns the exit code. */
async function main(argv: string[]): Promise<number> {
  const ending = new AbortController();
  const interrupt = () => ending.abort(new InterruptedError("Interrupted"));
  const stdoutClosed = () => ending.abort(new InterruptedError(""));
  let terminated = false;
  endOnSignals(ending, () => terminated = true);
  const output = new Output({
    json: argv.includes("--json"),
    quiet: argv.includes("--quiet"),
    debug: Deno.env.get("P2P_DEBUG") === "1",
    onStdoutClosed: stdoutClosed,
  });
  reportStrays(output);
  try {
    await run(parseCommandLine(argv), {
      output,
      signal: ending.signal,
      terminated: () => terminated,
      interrupt,
      stdoutClosed,
    });
    return 0;
  } catch (error) {
    const description = describe(error);
    if (!(error instanceof P2pError && error.told)) report(output, description);
    return description.exit;
  }
}

Deno.exit(await main(Deno.args));
