/** Peers that mean harm, against the program as it runs. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { concatBytes, encodeText } from "../../protocol/bytes.ts";
import { chatMessageLimit, ChatType } from "../../protocol/chat.ts";
import type { ByteStream } from "../../protocol/connection.ts";
import type { P2pError } from "../../protocol/errors.ts";
import { INITIAL_WINDOW_BYTES, MAX_STREAMS } from "../../protocol/limits.ts";
import { encodeMessage, writeMessageHeader } from "../../protocol/messages.ts";
import {
  decodeRefusal,
  encodeEntries,
  encodeOffer,
  type Entry,
  EntryKind,
  FileMessage,
  receiverMessageLimit,
  RefuseCode,
} from "../../protocol/offer.ts";
import { FrameType } from "../../protocol/session_frame.ts";
import { MessageReader } from "../../transfer/message_reader.ts";
import { Program } from "../fakes/program.ts";
import { RawMember } from "../fakes/raw_member.ts";
import { RawPeer } from "../fakes/raw_peer.ts";
import { TamperingProxy } from "../fakes/tampering_proxy.ts";
import { TemporaryFolder } from "../fakes/temporary_folder.ts";

/** A listener that accepts everything, deep in a folder of which every change can be seen. */
class Target implements AsyncDisposable {
  readonly #folder: TemporaryFolder;
  readonly #before: string[];

  private constructor(folder: TemporaryFolder, readonly listener: Program) {
    this.#folder = folder;
    this.#before = this.files();
  }

  static async open(): Promise<Target> {
    const folder = new TemporaryFolder();
    const inbox = folder.folder("parent/inbox");
    folder.file("parent/victim", "untouched");
    const flags = ["--yes", "--conflict", "overwrite", "--dir", inbox];
    return new Target(folder, await Program.listenJson(flags));
  }

  get address(): string {
    return this.listener.address;
  }

  /** Everything in the folder around the one that receives, with sizes. */
  files(folder = this.#folder.path): string[] {
    return Array.from(Deno.readDirSync(folder)).flatMap(({ name, isDirectory }) => {
      const path = `${folder}/${name}`;
      return [`${path} ${Deno.lstatSync(path).size}`, ...(isDirectory ? this.files(path) : [])];
    }).sort();
  }

  assertUntouched(): void {
    assertEquals(this.files(), this.#before);
  }

  /** It is still there for the next good peer. */
  async assertServes(): Promise<void> {
    const path = this.#folder.file("good/good.txt", "good");
    const { code, stderr } = await Program.run(["send", "--address", this.address, path]);
    assertEquals(code, 0, stderr);
    const { path: kept } = await this.listener.until("received");
    assertEquals(Deno.readTextFileSync(kept), "good");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.listener[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

function entry(path: string, kind: EntryKind = EntryKind.file, target = ""): Entry {
  return { kind, mode: 0o644, mtime: 0, size: 0, path, target };
}

function link(path: string, target: string): Entry {
  return entry(path, EntryKind.link, target);
}

function folder(path: string): Entry {
  return entry(path, EntryKind.directory);
}

/** An offer as bytes, with as many entries announced as told, or with others. */
function offer(entries: Entry[], count = entries.length): Uint8Array<ArrayBuffer> {
  const head = encodeOffer({ id: new Uint8Array(16), count, total: 0 });
  const told = [...encodeEntries(entries)].map((body) => encodeMessage(FileMessage.entries, body));
  return concatBytes(encodeMessage(FileMessage.offer, head), ...told);
}

/** Reads the refusal of what was offered, and leaves. */
async function refusalOn(stream: ByteStream): Promise<{ code: number; text: string }> {
  const message = await new MessageReader(stream, receiverMessageLimit).read();
  assertEquals(message?.type, FileMessage.refuse);
  stream.reset(0);
  return decodeRefusal(message!.body);
}

const deep = Array.from({ length: 65 }, (_, index) => folder("d/".repeat(index) + "d"));
/** What is offered, and what of it is named in the refusal. */
const NAMES: [what: string, entries: Entry[], problem: string][] = [
  ["an empty name", [entry("")], "empty part"],
  ["the folder itself", [folder(".")], "has the part ."],
  ["the folder above", [folder("..")], "has the part .."],
  ["a path that leads up", [entry("../victim")], "has the part .."],
  ["a path that leads up from inside", [folder("a"), entry("a/../../victim")], "has the part .."],
  ["an absolute path", [entry("/etc/p2p-was-here")], "is absolute"],
  ["an empty part", [folder("a"), entry("a//b")], "empty part"],
  ["a backslash", [entry("..\\victim")], "backslash"],
  ["a drive letter", [entry("C:evil")], "colon"],
  ["an alternate stream", [entry("file:stream")], "colon"],
  ...[...'<>"|?*'].map((
    sign,
  ): [string, Entry[], string] => [
    `the sign ${sign}`,
    [entry(`a${sign}b`)],
    `has the sign ${sign}`,
  ]),
  ["a NUL", [entry("a\0b")], "control character"],
  ["an escape sequence", [entry("a\x1b[2Jb")], "control character"],
  ["a newline", [entry("a\nb")], "control character"],
  ["a C1 control character", [entry("a\x9bb")], "control character"],
  ["a trailing dot", [entry("a.")], "ends in a dot or space"],
  ["a trailing space", [entry("a ")], "ends in a dot or space"],
  ...["CON", "nul.txt", "Aux", "prn", "COM1", "lpt9.tar.gz", "com\u00b2", "CONIN$", "COM0"].map(
    (
      name,
    ): [string, Entry[], string] => [
      `the reserved name ${name}`,
      [entry(name)],
      "reserved on Windows",
    ],
  ),
  ["names that differ in case", [entry("README"), entry("readme")], "same name as"],
  ["names that normalise alike", [entry("\u00e9"), entry("e\u0301")], "same name as"],
  ["a name twice", [entry("a"), entry("a")], "stands twice"],
  ["a file in no directory", [entry("a/b")], "directory that was not offered"],
  ["a file under a file", [entry("a"), entry("a/b")], "directory that was not offered"],
  ["a file under a link", [folder("a"), link("a/l", "b"), entry("a/l/x")], "not offered"],
  ["our own part files", [entry("film.p2p-part")], "unfinished transfer"],
  ["our own state files", [entry("film.P2P-State")], "unfinished transfer"],
  ["a part of 256 bytes", [entry("x".repeat(256))], "too long"],
  ["65 parts", deep, "too many parts"],
  ["a link at the top", [link("l", "victim")], "leads outside"],
  ["an absolute link", [folder("a"), link("a/l", "/etc/passwd")], "absolute"],
  ["a link that leads up", [folder("a"), link("a/l", "../../victim")], "leads outside"],
  [
    "a link that leads up later",
    [folder("a"), link("a/l", "b/../../../victim")],
    "'..' behind a name",
  ],
];

Deno.test("each unsafe name is refused by name on both sides, and nothing is written", async (t) => {
  await using target = await Target.open();
  await using mallory = await RawPeer.dial(target.address);
  for (const [what, entries, problem] of NAMES) {
    await t.step(what, async () => {
      const stream = mallory.open("files/1");
      // A harmless file before it is not taken either.
      const count = entries.length === 65 ? entries : [entry("0 harmless"), ...entries];
      await stream.write(offer(count));
      const { code, text } = await refusalOn(stream);
      assertEquals([code, text.includes(problem)], [RefuseCode.unsafeName, true], text);
      const error = await target.listener.until("error");
      assertStringIncludes(error.message, "Offer refused: the name ");
      assertStringIncludes(error.message, problem);
      target.assertUntouched();
    });
  }
  await target.listener.says(String.raw`the name a\x1b[2Jb has a control character`);
  assert(!/[\x00-\x09\x0b-\x1f]/.test(target.listener.stderr.text));
  await target.assertServes();
});

/** What is written on a stream of files, and what the refusal says; or "" where the stream or session just ends. */
const OFFERS: [what: string, bytes: Uint8Array, said: string][] = [
  ["a million entries", offer([entry("a")], 1_000_000), "1000000 entries"],
  ["no entries", offer([], 0), "0 entries"],
  ["more entries than announced", offer([entry("a"), entry("b")], 1), "not what it announced"],
  ["a name that is not UTF-8", withBadName(), "not UTF-8"],
  ["a body that is too long", header(FileMessage.offer, 65), "65"],
  ["entries that are too long", header(FileMessage.entries, 262_145), "262145"],
  ["a message of an unknown type", header(0x7f, 1), "127"],
  ["data before an offer", encodeMessage(FileMessage.data, new Uint8Array(1)), "out of order"],
  ["a receiver's message", encodeMessage(FileMessage.accept), "17"],
];

for (const [what, bytes, said] of OFFERS) {
  Deno.test(`an offer with ${what} is refused, and the listener goes on`, async () => {
    await using target = await Target.open();
    await using mallory = await RawPeer.dial(target.address);
    const stream = mallory.open("files/1");
    await stream.write(bytes);
    const { code, text } = await refusalOn(stream);
    assertEquals([code, text.includes(said)], [RefuseCode.malformed, true], text);
    const error = await target.listener.until("error");
    assertEquals([error.code, error.message.includes(said)], ["protocol", true], error.message);
    target.assertUntouched();
    await target.assertServes();
  });
}

/** What is said on a connection whose handshake was right, and what the listener then tells its user. */
const FRAMES: [what: string, attack: (peer: RawPeer) => Promise<unknown>, told: RegExp][] = [
  ["a frame of unknown type", (peer) => peer.frame(0x77, 0, new Uint8Array(0)), /unknown type 119/],
  [
    "a frame that is too short",
    (peer) => peer.frame(FrameType.window, 1, new Uint8Array(3)),
    /3 bytes/,
  ],
  [
    "data on a stream that was never opened",
    (peer) => peer.frame(FrameType.data, 1, new Uint8Array(9)),
    /stream/i,
  ],
  [
    "a stream of the wrong number",
    (peer) => peer.frame(FrameType.open, 2, encodeText("chat/1")),
    /number 2 out of turn/,
  ],
  [
    "an acknowledgement of what was never sent",
    (peer) => peer.frame(FrameType.ack, 0, new Uint8Array([0, 0, 0, 0, 0, 0, 1, 0])),
    /acknowledge/i,
  ],
  ["a second greeting", (peer) => peer.greet(), /another session/],
  ["more than the window", overrun, /window/i],
];

for (const [what, attack, told] of FRAMES) {
  Deno.test(`${what} ends the session, and the listener goes on`, async () => {
    await using target = await Target.open();
    await using mallory = await RawPeer.dial(target.address);
    await mallory.greet();
    await attack(mallory);
    await mallory.connection.closeWrite();
    await mallory.ended();
    await target.listener.says(told);
    await target.assertServes();
  });
}

Deno.test("a greeting with a name that is none is not taken in", async () => {
  await using target = await Target.open();
  await using mallory = await RawPeer.dial(target.address, "\x1b[2Jroot");
  await mallory.greet();
  await mallory.ended();
  await target.listener.says(/came to nothing: .*control or invisible character/);
  await target.assertServes();
});

Deno.test("a chat line over the limit ends the session before it is buffered", async () => {
  await using target = await Target.open();
  await using mallory = await RawMember.join(target.address);
  const limit = chatMessageLimit(ChatType.line);
  await mallory.write(header(ChatType.line, limit + 1));
  assertEquals((await mallory.ended() as P2pError).code, "protocol");
  await target.listener.says(`${limit + 1}`);
  await target.listener.until("disconnected");
  await target.assertServes();
});

Deno.test("forty connections that say nothing do not keep a good peer out", async () => {
  await using target = await Target.open();
  const port = Number(target.address.split(":")[1]);
  const silent = await Promise.all(
    Array.from({ length: 40 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  await target.assertServes();
  for (const conn of silent) conn.close();
});

/** Bytes from the dialler: 14 of the preface, 34 of the first message, 66 of the last; then records. */
const BITS: [what: string, at: number, exit: number][] = [
  ["the preface", 5, 3],
  ["the first message of the handshake", 20, 4],
  ["the last message of the handshake", 60, 4],
  ["the greeting", 120, 4],
];

for (const [what, at, exit] of BITS) {
  Deno.test(`one bit turned over in ${what} ends connect with ${exit} and one line on the other side`, async () => {
    await using target = await Target.open();
    await using proxy = new TamperingProxy(target.address);
    proxy.flipAt = at;
    const { code, stderr } = await Program.run(["connect", proxy.address], { input: "a line\n" });
    assertEquals(code, exit, stderr);
    assertMatch(stderr, /^p2p: error: .+\n( {5}.+\n)?$/m);
    await target.listener.says(/came to nothing: .+\n/);
    assert(!target.listener.stdout.text.includes("a line"));
    await target.assertServes();
  });
}

Deno.test("one bit turned over in a file ends send with 4; nothing of it is kept as whole", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("film", new Uint8Array(3_000_000));
  await using target = await Target.open();
  await using proxy = new TamperingProxy(target.address);
  proxy.flipAt = 1_500_000;
  const { code, stderr } = await Program.run(["send", "--address", proxy.address, path]);
  assertEquals(code, 4, stderr);
  assertMatch(stderr, /^p2p: error: .*(altered|authentic).*\n( {5}.+\n)?$/m);
  await target.listener.says(/(altered|authentic)/);
  assert(!target.files().some((file) => file.includes("/film ")));
  await target.assertServes();
});

function header(type: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(5);
  writeMessageHeader(bytes, 0, type, length);
  return bytes;
}

function withBadName(): Uint8Array {
  const bytes = offer([entry("abc")]);
  // The path is the last thing but the length of the target, which is 0.
  bytes.set([0xed, 0xa0, 0x80], bytes.length - 5);
  return bytes;
}

/** As many streams as may be: on the last of them, which nobody reads yet, comes more than its window. */
async function overrun(peer: RawPeer): Promise<void> {
  const last = 2 * MAX_STREAMS - 1;
  for (let stream = 1; stream <= last; stream += 2) {
    await peer.frame(FrameType.open, stream, encodeText("files/1"));
  }
  for (let sent = 0; sent <= INITIAL_WINDOW_BYTES; sent += 60_000) {
    await peer.frame(FrameType.data, last, new Uint8Array(60_000));
  }
}
