/** One small file: what a person waits for who sends next to nothing, program start included. */
import { duel } from "./duel.ts";
import { randomFile } from "./fixtures.ts";
import type { Harness, Options } from "./harness.ts";
import { P2p } from "./p2p.ts";
import { rounds } from "./rounds.ts";
import { Ssh } from "./ssh.ts";
import type { Section } from "./table.ts";

const FILE_BYTES = 1024;
const MAX_SECONDS = 0.3;
const THEIRS = "scp, as it comes";

/** The receiver is up already, on both sides of the comparison; the sender's whole run counts. */
export async function single(harness: Harness, options: Options): Promise<Section> {
  const count = options.quick ? 5 : 11;
  const source = harness.path("note");
  await randomFile(source, FILE_BYTES);
  const ssh = await Ssh.create(harness);
  const server = await ssh.serve();
  const p2p = await P2p.create(harness, options.program);
  const samples = await rounds(count, {
    [P2p.title]: async () => {
      return (await p2p.transfer(source, await harness.emptyFolder())).wall;
    },
    [THEIRS]: async () => {
      return await harness.run(ssh.scp(source, await harness.emptyFolder()));
    },
  });
  await server.stop();
  const title = `one file of ${FILE_BYTES} bytes, sender's start included, median of ${count}`;
  const limit = { seconds: MAX_SECONDS };
  return duel({ name: "single", title, ours: P2p.title, theirs: THEIRS, samples, limit });
}
