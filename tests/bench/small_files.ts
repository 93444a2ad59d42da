/** Many small files in one folder: what each file costs beyond its bytes. */
import { duel } from "./duel.ts";
import { randomFolder } from "./fixtures.ts";
import { type Harness, type Options, requirePrograms } from "./harness.ts";
import { P2p } from "./p2p.ts";
import { rounds } from "./rounds.ts";
import { Ssh } from "./ssh.ts";
import type { Section } from "./table.ts";

const FILE_BYTES = 1024;
const MAX_RATIO = 1.5;
const OURS = "**p2p send FOLDER**";
const THEIRS = "tar over ssh";

/** A way to carry a whole folder into another; resolves to its seconds. */
type Carry = (source: string, target: string) => Promise<number>;

export async function smallFiles(harness: Harness, options: Options): Promise<Section> {
  const files = options.quick ? 2_000 : 10_000;
  const count = options.quick ? 3 : 5;
  await requirePrograms(["tar", "diff"], "tar diffutils");
  const source = harness.path("photos");
  await randomFolder(source, files, FILE_BYTES);
  const ssh = await Ssh.create(harness);
  const server = await ssh.serve();
  const p2p = await P2p.create(harness, options.program);
  const ours: Carry = async (from, to) => (await p2p.transfer(from, to)).wall;
  const theirs: Carry = (from, to) => harness.run(tarOverSsh(ssh, from, to));
  const samples = await rounds(count, {
    [OURS]: (round) => measured(harness, ours, source, round === 0),
    [THEIRS]: (round) => measured(harness, theirs, source, round === 0),
  });
  await server.stop();
  const title = `${files} files of ${FILE_BYTES} bytes, median of ${count}`;
  const limit = { ratio: MAX_RATIO };
  return duel({ name: "small-files", title, ours: OURS, theirs: THEIRS, samples, limit });
}

/** `tar cf - NAME | ssh … tar xf -`, which is what people type who know that scp -r is slow. */
function tarOverSsh(ssh: Ssh, source: string, target: string): string[] {
  const script = 'folder=$0 name=$1; shift; tar cf - -C "$folder" "$name" | "$@"';
  const end = source.lastIndexOf("/");
  const words = [source.slice(0, end), source.slice(end + 1)];
  return ["sh", "-c", script, ...words, ...ssh.ssh(`tar xf - -C '${target}'`)];
}

/** One transfer; with `compare` everything must also have arrived as it was. */
async function measured(
  harness: Harness,
  carry: Carry,
  source: string,
  compare: boolean,
): Promise<number> {
  // What earlier rounds left stays: ext4 searches long for inodes where many were freed within the
  // last minutes, which hits whoever comes next.
  const folder = harness.path(`received-${crypto.randomUUID()}`);
  await Deno.mkdir(folder);
  await harness.run(["sync"]);
  const seconds = await carry(source, folder);
  if (compare) await harness.run(["diff", "-r", source, `${folder}/${source.split("/").at(-1)}`]);
  return seconds;
}
