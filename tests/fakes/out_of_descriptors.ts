/** What becomes of ports and addresses in a process that may open no more files: lines of JSON. */
import { reachableAddresses } from "../../peer/carrier/listen_tcp.ts";
import { dialRelayPort } from "../../peer/carrier/node_tcp.ts";
import { systemClock } from "../../peer/clock.ts";
import { systemStraight } from "../../peer/straight.ts";

const NOBODY = { host: "127.0.0.1", port: 9 };
const open = systemStraight(systemClock);

/** What is found out of a port. */
async function reach() {
  const opening = open(NOBODY, "asker");
  await opening.known;
  opening.close();
  return opening.reach;
}

/** Takes all that there are. */
function holdAll(): Deno.FsFile[] {
  const held: Deno.FsFile[] = [];
  try {
    for (;;) held.push(Deno.openSync("/dev/null"));
  } catch {
    return held;
  }
}

async function failure(work: Promise<unknown>): Promise<string> {
  return await work.then(() => "no failure", (error: Error) => error.message);
}

// What is loaded late needs files.
await reach();
const held = holdAll();
const found = {
  addresses: reachableAddresses(undefined, 7),
  reach: await reach(),
  dialled: await failure(dialRelayPort(NOBODY, new AbortController().signal)),
};
for (const each of held) each.close();
console.log(JSON.stringify(found));
