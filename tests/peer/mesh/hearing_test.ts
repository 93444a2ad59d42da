import { assert, assertEquals } from "@std/assert";
import { Hearing, type HearingOptions } from "../../../peer/mesh/hearing.ts";
import type { Host } from "../../../peer/host.ts";
import type { MessageOptions } from "../../../peer/output.ts";
import { fingerprint } from "../../../protocol/fingerprint.ts";
import type { Channel, Line } from "../../../protocol/line.ts";
import { settled } from "../../fakes/clock.ts";

const BOB = new Uint8Array(32).fill(0xb0);
const CAROL = new Uint8Array(32).fill(0xca);

function line(number: number, changes: Partial<Line> = {}): Line {
  return {
    author: BOB,
    instance: new Uint8Array(8).fill(1),
    channel: 0,
    number,
    time: Date.now(),
    name: "bob",
    text: `line ${number}`,
    signature: new Uint8Array(64),
    ...changes,
  };
}

interface Shown extends MessageOptions {
  from: string;
  text: string;
}

/** What happens, in its order: what is written, that others may have it, what is shown. */
class Rig {
  readonly happened: string[] = [];
  readonly shown: Shown[] = [];
  readonly kept: unknown[] = [];
  readonly hearing: Hearing;

  constructor(options: Partial<HearingOptions> = {}, json = true) {
    const output = {
      json,
      message: (from: string, text: string, options: MessageOptions) => {
        this.happened.push(`shown ${text}`);
        this.shown.push({ from, text, ...options });
      },
    };
    const history = { add: (entry: unknown) => void this.kept.push(entry) };
    this.hearing = new Hearing({ output, history } as unknown as Host, {
      write: () => this.happened.push("write"),
      written: () => this.happened.push("written"),
      nameOf: ({ name }) => `the ${name}`,
      isMuted: () => false,
      ...options,
    });
  }
}

Deno.test("Hearing writes what was heard in one turn together, before any of it is shown", async () => {
  const rig = new Rig();
  rig.hearing.hear(line(1));
  await Promise.resolve();
  rig.hearing.hear(line(2));
  assertEquals(rig.happened, []);
  await rig.hearing.flushed();
  assertEquals(rig.happened, ["write", "written", "shown line 1", "shown line 2"]);
  rig.hearing.hear(line(3));
  await rig.hearing.flushed();
  assertEquals(rig.happened.slice(4), ["write", "written", "shown line 3"]);
});

Deno.test("Hearing shows a line with all that is known of it, and keeps it", async () => {
  const rig = new Rig();
  const time = Date.now();
  rig.hearing.hear(line(7, { time }));
  await rig.hearing.flushed();
  const key = fingerprint(BOB);
  const id = `${"b0".repeat(32)}/${"01".repeat(8)}/0/7`;
  const shown = { from: "the bob", text: "line 7", id, key, time, late: false, private: false };
  assertEquals(rig.shown, [{ ...shown, through: undefined }]);
  const from = "the bob";
  const heard = { sent: false, private: false, from, with: [{ key: BOB, name: from }] };
  assertEquals(rig.kept, [{ ...heard, text: "line 7" }]);
});

Deno.test("Hearing tells apart what is private, old, or handed on by somebody", async () => {
  const rig = new Rig();
  const channel: Channel = 1;
  rig.hearing.hear(line(1, { channel }));
  rig.hearing.hear(line(2, { time: Date.now() - 9_000 }));
  rig.hearing.hear(line(3, { time: Date.now() - 11_000 }));
  rig.hearing.hear(line(4, { time: Date.now() + 3_600_000 }));
  rig.hearing.hear(line(5), { name: "carol" });
  await rig.hearing.flushed();
  assertEquals(rig.shown.map((each) => [each.private, each.late, each.through]), [
    [true, false, undefined],
    [false, false, undefined],
    [false, true, undefined],
    [false, false, undefined],
    [false, false, "carol"],
  ]);
  assertEquals(rig.shown[0]!.id!.split("/").slice(2), ["1", "1"]);
  assertEquals(rig.kept.map((each) => (each as { private: boolean }).private), [
    ...[true, false, false, false, false],
  ]);
});

Deno.test("Hearing writes what a muted author says, and neither shows nor keeps it", async () => {
  const rig = new Rig({ isMuted: (author) => author === CAROL });
  rig.hearing.hear(line(1, { author: CAROL }));
  rig.hearing.hear(line(2));
  await rig.hearing.flushed();
  assertEquals(rig.happened, ["write", "written", "shown line 2"]);
  assertEquals(rig.kept.length, 1);
});

Deno.test("Hearing knows at the end of a turn who is muted, and what an author is called", async () => {
  let muted = false;
  let called = "bob";
  const rig = new Rig({ isMuted: () => muted, nameOf: () => called });
  rig.hearing.hear(line(1));
  called = "bob-2";
  await rig.hearing.flushed();
  assertEquals(rig.shown.map(({ from }) => from), ["bob-2"]);
  rig.hearing.hear(line(2));
  muted = true;
  await rig.hearing.flushed();
  assertEquals(rig.shown.length, 1);
});

Deno.test("Hearing.say() writes lines of our own with others', and takes 256 in one turn", async () => {
  const rig = new Rig();
  rig.hearing.hear(line(1));
  for (let n = 0; n < 254; n++) await rig.hearing.say();
  assertEquals(rig.happened, []);
  let said = false;
  const last = rig.hearing.say().then(() => said = true);
  await Promise.resolve();
  assert(!said, "there was room for more");
  await last;
  assertEquals(rig.happened, ["write", "written", "shown line 1"]);
});

Deno.test("Hearing.flushed() resolves at once where nothing waits", async () => {
  const rig = new Rig();
  await rig.hearing.flushed();
  rig.hearing.hear(line(1));
  await settled();
  await rig.hearing.flushed();
  assertEquals(rig.happened.length, 3);
});

Deno.test("Hearing does not make up what tells lines apart where nobody is shown it", async () => {
  const rig = new Rig({}, false);
  rig.hearing.hear(line(1));
  await rig.hearing.flushed();
  const [{ id, key } = {}] = rig.shown;
  assertEquals([id, key], [undefined, undefined]);
});
