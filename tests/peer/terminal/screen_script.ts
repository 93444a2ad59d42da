/**
 * A small program around a Screen, for screen_test.ts: it does what typed lines say and prints what became of them. The
 * argument is a port of this machine; what comes from there is shown as a peer's lines.
 */
import { Output } from "../../../peer/output.ts";
import { Screen } from "../../../peer/terminal/screen.ts";

const screen = Screen.open({
  onInterrupt() {
    screen.close();
    console.log("interrupted");
    Deno.exit(130);
  },
});
const output = new Output();
output.screen = screen;
const status = screen.status();
let questions = 0;

function act(line: string): void {
  if (line === "status") {
    status.update((columns) => `status ${"=".repeat(Math.min(columns - 7, 20))}`);
  } else if (line === "no status") status.remove();
  else if (line === "ask") ask(new AbortController().signal);
  else if (line === "exit") Deno.exit(3);
  else if (line === "throw") throw new Error("planted");
  else output.say(`typed: ${line}`);
}

async function ask(signal: AbortSignal): Promise<void> {
  try {
    const answer = await screen.ask(`Question ${++questions}? `, { signal });
    output.say(`answer: ${JSON.stringify(answer)}`);
  } catch {
    output.say("withdrawn");
  }
}

async function hear(port: number): Promise<void> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const decoder = new TextDecoder();
  for await (const chunk of connection.readable) {
    for (const line of decoder.decode(chunk, { stream: true }).split("\n")) {
      if (line === "!ask") ask(new AbortController().signal);
      else if (line === "!withdrawn") ask(AbortSignal.timeout(1));
      else if (line) output.message("peer", line);
    }
  }
}

if (Deno.args[0]) hear(Number(Deno.args[0]));
for await (const line of screen.lines()) act(line);
screen.close();
console.log("end of lines");
const stty = new Deno.Command("stty", { args: ["-a"], stdin: "inherit" });
const settings = new TextDecoder().decode((await stty.output()).stdout);
console.log(/ icanon /.test(settings) ? "terminal as before" : "terminal still raw");
Deno.exit(0);
